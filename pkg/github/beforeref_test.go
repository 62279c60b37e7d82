package github_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// What is told before the ref is sent is the commit that is on the branch
// afterwards.
func TestBeforeRef(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	var told []github.SHA
	c := set(s, fileA, "image: a:2\n")
	c.BeforeRef = func(_ context.Context, sha github.SHA) error {
		told = append(told, sha)
		for _, r := range w.requests() {
			if r.Method == http.MethodPatch {
				t.Error("the ref was sent before it was told")
			}
		}
		return nil
	}
	w.spent()
	made, err := b.Commit(t.Context(), s, c)
	w.must(err)
	w.wantSpent(newTree, newCommit, updateRef)
	if len(told) != 1 || told[0] != made.SHA || w.head() != string(made.SHA) {
		t.Errorf("told of %v, made %s, the branch is at %s", told, made.SHA, w.head())
	}
}

func TestBeforeRefFails(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	full := errors.New("the disk is full")
	c := set(s, fileA, "image: a:2\n")
	c.BeforeRef = func(context.Context, github.SHA) error { return full }
	w.spent()
	if _, err := b.Commit(t.Context(), s, c); !errors.Is(err, full) {
		t.Fatalf("error %v, want the hook's", err)
	}
	w.wantSpent(newTree, newCommit)
	if w.head() != string(s.Commit) {
		t.Errorf("the branch moved to %s", w.head())
	}
	c.BeforeRef = nil
	if _, err := b.Commit(t.Context(), s, c); err != nil {
		t.Errorf("the same commit afterwards: %v", err)
	}
}

// A caller that has gone while the commit was told gets nothing on the branch.
func TestBeforeRefGivenUp(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := set(s, fileA, "image: a:2\n")
	c.BeforeRef = func(context.Context, github.SHA) error { cancel(); return nil }
	w.spent()
	if _, err := b.Commit(ctx, s, c); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want a cancelled context", err)
	}
	w.wantSpent(newTree, newCommit)
	if w.head() != string(s.Commit) {
		t.Errorf("the branch moved to %s", w.head())
	}
}

// A commit without the workflow files is another one, and is told as well.
func TestBeforeRefWithoutWorkflows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{fileA: "image: a:1\n", ".github/workflows/ci.yaml": "image: a:1\n"})
	b := w.branch()
	s := w.snapshot(b)
	w.sb.Inject(sandbox.Refuse(http.StatusUnprocessableEntity,
		"refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yaml` without `workflows` permission",
	).On(http.MethodPatch, "git/refs").Once())
	c := change(s, map[string]string{fileA: "image: a:2\n", ".github/workflows/ci.yaml": "image: a:2\n"})
	var told []github.SHA
	c.BeforeRef = func(_ context.Context, sha github.SHA) error { told = append(told, sha); return nil }
	made, err := b.Commit(t.Context(), s, c)
	w.must(err)
	if len(told) != 2 || told[0] == told[1] || told[1] != made.SHA || w.head() != string(made.SHA) {
		t.Errorf("told of %v, made %s, the branch is at %s", told, made.SHA, w.head())
	}
}
