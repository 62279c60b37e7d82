package github_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A commit that lost the race twice and is asked for again on the new head is
// made already.
func TestDraft(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		last  string   // the content asked for after the lost races
		spent []string // from the second race on
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
			pushes := 0
			w.sb.Inject(sandbox.Call(func() {
				pushes++
				w.push(map[string]string{"theirs.txt": strconv.Itoa(pushes)})
			}).On(http.MethodPatch, "git/refs").For(2))
			// What is not wanted of the draft is ended before it is done: so that it can
			// be counted, the listing waits for it.
			drafted := make(chan struct{})
			w.sb.Inject(sandbox.Call(func() { close(drafted) }).On(http.MethodPost, "git/commits").After(2).Once())
			w.sb.Inject(sandbox.Call(func() { <-drafted }).On(http.MethodGet, "git/trees").After(1).Once())

			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			wantMoved(t, err)
			s = w.snapshot(b)
			w.spent()
			_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			wantMoved(t, err)
			s = w.snapshot(b)
			made, err := b.Commit(t.Context(), s, set(s, fileA, tt.last))
			w.must(err)
			// The draft's last request may have been given up before it was counted.
			for deadline := time.Now().Add(10 * time.Second); len(w.requests()) < len(tt.spent) && time.Now().Before(deadline); <-time.After(time.Millisecond) {
			}
			w.wantSpent(tt.spent...)
			w.wantFile(fileA, tt.last)
			w.wantFile("theirs.txt", "2")
			if w.head() != string(made.SHA) {
				t.Errorf("the branch is at %s, not at %s", w.head(), made.SHA)
			}
		})
	}
}
