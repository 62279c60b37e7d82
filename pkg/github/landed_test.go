package github_test

import (
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

func TestLanded(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	c := set(s, fileA, "image: a:2\n")
	made, err := b.Commit(t.Context(), s, c)
	w.must(err)
	next, err := b.Snapshot(t.Context())
	w.must(err)
	later, err := b.Commit(t.Context(), next, set(next, fileA, "image: a:3\n"))
	w.must(err)
	for name, sha := range map[string]github.SHA{"below the head": made.SHA, "the head": later.SHA} {
		found, err := b.Landed(t.Context(), sha)
		if err != nil || found == nil || found.Commit.SHA != sha || found.Branch != "main" || found.Commit.URL == "" || found.Commit.Message != c.Message {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	if found, err := b.Landed(t.Context(), github.SHA(strings.Repeat("0a", 20))); err != nil || found != nil {
		t.Errorf("a commit that nobody made: %+v, %v", found, err)
	}
}
