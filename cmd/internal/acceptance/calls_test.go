package acceptance_test

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The requests to GitHub, as spentSince names them.
const (
	callRepository   = "GET"
	callHead         = "GET branches/{branch}"
	callHeadStands   = callHead + " 304"
	callTree         = "GET git/trees/{tree_sha}"
	callBlob         = "GET git/blobs/{file_sha}"
	callTarball      = "GET tarball/{ref}"
	callNewTree      = "POST git/trees"
	callNewBlob      = "POST git/blobs"
	callNewCommit    = "POST git/commits"
	callUpdateRef    = "PATCH git/refs/{ref}"
	callInstallation = "GET installation"
	callAppToken     = "POST app/installations/{installation_id}/access_tokens"
)

// writes are the requests that one commit of a few files takes.
func writes() []string { return []string{callNewTree, callNewCommit, callUpdateRef} }

// calls returns every API request that GitHub saw. The embedded GitHub notes one
// after its answer is out, and the program logs one when that is read: what the
// program has logged is waited for.
func (w *world) calls() []sandbox.Request {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		logged := strings.Count(w.logs.String(), `"msg":"github"`) -
			strings.Count(w.logs.String(), `"endpoint":"archive"`)
		seen := w.hub.Requests()
		if len(seen) >= logged {
			return seen
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the program logged %d requests, GitHub saw %d", logged, len(seen))
		}
	}
}

// mark is a point in the list of requests, for spentSince.
func (w *world) mark() int { return len(w.calls()) }

// spentSince names the requests since mark, in the order in which GitHub had
// answered them.
func (w *world) spentSince(mark int) []string {
	w.t.Helper()
	var names []string
	for _, r := range w.calls()[mark:] {
		name := strings.Replace(r.Endpoint, "/repos/{owner}/{repo}", "", 1)
		name = strings.TrimSpace(strings.Replace(name, " /", " ", 1))
		if r.Conditional {
			name += " 304"
		}
		names = append(names, name)
	}
	return names
}

// wantSpent compares the requests since mark with those wanted, in any order.
func (w *world) wantSpent(mark int, want ...string) {
	w.t.Helper()
	got := slices.Sorted(slices.Values(w.spentSince(mark)))
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		w.t.Errorf("requests to GitHub (-want +got):\n%s", diff)
	}
}

// commits counts the commits on the branch after one of its earlier heads.
func (w *world) commitsSince(head string) int {
	w.t.Helper()
	return strings.Count(w.git("", "rev-list", head+"..main"), "\n")
}
