package github_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// calls collects what a client reports.
type calls struct {
	mu  sync.Mutex
	all []github.Call
}

func (c *calls) observe(_ context.Context, call github.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, call)
}

func TestObserveTellsEveryRequest(t *testing.T) {
	t.Parallel()
	var seen calls
	w := newWorld(t, func(o *github.Options) { o.Observe = seen.observe })
	w.push(many(50))
	w.sb.Inject(sandbox.BadGateway().On(http.MethodGet, "git/trees").Once())
	w.sb.Inject(sandbox.Drop().On(http.MethodPatch, "").Once())
	b := w.branch()
	w.must(update(t.Context(), b))
	w.snapshot(b)

	want, got := map[string]int{}, map[string]int{}
	for _, r := range w.requests() {
		want[r.Endpoint]++
	}
	want["GET archive"] = 1
	for _, c := range seen.all {
		got[c.Method+" "+c.Endpoint]++
		if c.Duration <= 0 || (c.Status == 0) != (c.Err != nil) {
			t.Errorf("a call is told as %+v", c)
		}
		if c.Method == http.MethodPost && c.Sent == 0 || c.Status == http.StatusOK && c.Bytes == 0 {
			t.Errorf("the bytes of a call are told as %+v", c)
		}
		if c.Status == http.StatusOK && c.Endpoint != "archive" && c.Limit != 5000 {
			t.Errorf("the budget of a call is told as %+v", c)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}

func TestEndpointsAreFew(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"repos/o/r":                                       "/repos/{owner}/{repo}",
		"repos/o/r/branches/feature%2Fx":                  "/repos/{owner}/{repo}/branches/{branch}",
		"repos/o/r/branches/feature/x":                    "/repos/{owner}/{repo}/branches/{branch}",
		"repos/o/r/git/ref/heads/feature/x":               "/repos/{owner}/{repo}/git/ref/{ref}",
		"repos/o/r/git/refs/heads/main":                   "/repos/{owner}/{repo}/git/refs/{ref}",
		"repos/o/r/git/trees":                             "/repos/{owner}/{repo}/git/trees",
		"repos/o/r/git/trees/0123":                        "/repos/{owner}/{repo}/git/trees/{tree_sha}",
		"repositories/12/git/commits/0123":                "/repositories/{repository_id}/git/commits/{commit_sha}",
		"repos/o/r/compare/a...b":                         "/repos/{owner}/{repo}/compare/{basehead}",
		"repos/o/r/installation":                          "/repos/{owner}/{repo}/installation",
		"app/installations/5/access_tokens":               "/app/installations/{installation_id}/access_tokens",
		"":                                                "other",
		"repos/o":                                         "other",
		"repos/o/r/secret/thing":                          "/repos/{owner}/{repo}/other",
		"repos/o/r/git":                                   "/repos/{owner}/{repo}/other",
		"repos/o/r/git/" + strings.Repeat("x/", 50) + "y": "/repos/{owner}/{repo}/other",
	} {
		if got := github.EndpointOf(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

func TestSpendingCountsRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(50))
	b := w.branch()
	outer, all := github.WithSpending(t.Context())
	ctx, first := github.WithSpending(outer)
	w.must(update(ctx, b))
	if got, want := first.Requests(), int64(len(w.spent())); got != want || want != 6 {
		t.Errorf("%d requests were counted, %d were made", got, want)
	}
	ctx, second := github.WithSpending(outer)
	for range 2 {
		_, err := b.Snapshot(ctx)
		w.must(err)
	}
	w.wantSpent(readHead, headStands)
	if second.Requests() != 2 || all.Requests() != 8 {
		t.Errorf("counted %d, and %d in all", second.Requests(), all.Requests())
	}
	if _, err := b.Snapshot(t.Context()); err != nil || all.Requests() != 8 {
		t.Errorf("a request of nobody's was counted (%v)", err)
	}
}

// Several at once, readers beside writers, each finding the branch consistent.
func TestBranchIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *github.Options) { o.Unpaced = true })
	files := many(60)
	w.push(files)
	b := w.branch()
	var all sync.WaitGroup
	var mu sync.Mutex
	landed := 0
	for range 4 {
		all.Go(func() {
			for range 5 {
				s, err := b.Snapshot(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				got, err := readYAML(context.Background(), b, s)
				if err != nil || len(got) != len(files) {
					t.Errorf("%d files, want %d (%v)", len(got), len(files), err)
				}
			}
		})
		all.Go(func() {
			for range 5 {
				if err := update(context.Background(), b); err == nil {
					mu.Lock()
					landed++
					mu.Unlock()
				} else if !strings.Contains(err.Error(), github.ErrBranchMoved.Error()) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	log, err := w.repo.Log("main")
	w.must(err)
	if landed == 0 || len(log) != landed+2 {
		t.Errorf("%d commits landed, the branch has %d beside the first two", landed, len(log)-2)
	}
	if keys := slices.Sorted(maps.Keys(w.sb.Counts())); len(keys) == 0 {
		t.Error("no request was counted")
	}
}
