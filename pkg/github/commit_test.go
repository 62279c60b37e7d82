package github_test

import (
	"errors"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

func wantMoved(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, github.ErrBranchMoved) {
		t.Fatalf("error %v, want ErrBranchMoved", err)
	}
}
