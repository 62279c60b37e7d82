package github_test

import (
	"net/http"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A commit that lost the race and is asked for again on the new head is made
// already, or not at all.
func TestDraft(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		second string // the content asked for after the lost race
		spent  []string
	}{
		{
			"the same edits", "image: a:2\n",
			[]string{newTree, newCommit, updateRef, readHead, newTree, newCommit, readTree, updateRef},
		},
		{
			"other edits", "image: a:3\n",
			[]string{newTree, newCommit, updateRef, readHead, newTree, newCommit, readTree, newTree, newCommit, updateRef},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t)
			theirs := sandbox.Competitor(sandbox.Push{Branch: "main", Message: "theirs", Files: map[string]string{"theirs.txt": "x"}})
			w.sb.Inject(theirs.On(http.MethodPatch, "git/refs").Once())
			// What is not wanted of the draft is ended before it is done: so that it can
			// be counted, the listing waits for it.
			drafted := make(chan struct{})
			w.sb.Inject(sandbox.Call(func() { close(drafted) }).On(http.MethodPost, "git/commits").After(1).Once())
			w.sb.Inject(sandbox.Call(func() { <-drafted }).On(http.MethodGet, "git/trees").Once())
			w.spent()

			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			wantMoved(t, err)
			s = w.snapshot(b)
			made, err := b.Commit(t.Context(), s, set(s, fileA, tt.second))
			w.must(err)
			w.wantSpent(tt.spent...)
			w.wantFile(fileA, tt.second)
			w.wantFile("theirs.txt", "x")
			if w.head() != string(made.SHA) {
				t.Errorf("the branch is at %s, not at %s", w.head(), made.SHA)
			}
		})
	}
}
