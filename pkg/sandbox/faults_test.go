package sandbox_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// next makes a commit on the head without moving the branch.
func (h *hub) next() string {
	h.t.Helper()
	return h.must(201, h.do("POST", "/git/commits", map[string]any{
		"message": "next", "tree": h.git("rev-parse", "main^{tree}"), "parents": []string{h.head()},
	})).text("sha")
}

func (h *hub) patch(sha string) reply {
	h.t.Helper()
	return h.do("PATCH", "/git/refs/heads/main", map[string]any{"sha": sha, "force": false})
}

// Each fault is injected for one PATCH, which would be fine without it.
func TestFaultsOfARefUpdate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fault   sandbox.Fault
		status  int // 0: no answer
		message string
		moved   bool
	}{
		{"lost race", sandbox.LostRace(), 422, "Reference cannot be updated", false},
		{"refusal", sandbox.Refuse(422, "Reference update failed"), 422, "Reference update failed", false},
		{"bad gateway", sandbox.BadGateway(), 502, "", false},
		{"bad gateway after", sandbox.BadGatewayAfter(), 502, "", true},
		{"drop", sandbox.Drop(), 0, "", false},
		{"drop after", sandbox.DropAfter(), 0, "", true},
		{"cut", sandbox.Cut(), 0, "", true},
		{"bad credentials", sandbox.BadCredentials(), 401, "Bad credentials", false},
		{"missing permission", sandbox.MissingPermission("contents=write"), 403, "Resource not accessible by personal access token", false},
		{"not visible", sandbox.NotVisible(), 404, "Not Found", false},
		{"empty", sandbox.EmptyRepository(), 409, "Git Repository is empty.", false},
		{"competitor", sandbox.Competitor(sandbox.Push{Branch: "main", Message: "theirs", Files: map[string]string{"theirs": "x"}}), 422, "Update is not a fast forward", true},
		{"latency", sandbox.Latency(time.Millisecond), 200, "", true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			head, next := h.head(), h.next()
			h.Inject(tc.fault.On("PATCH", "git/refs").Once())
			r := h.patch(next)
			if tc.status == 0 {
				if r.err == nil {
					t.Errorf("an answer came: %d %s", r.status, r.body)
				}
			} else if r.status != tc.status || r.text("message") != tc.message {
				t.Errorf("%d %q, want %d %q", r.status, r.text("message"), tc.status, tc.message)
			}
			if tc.status == 502 && (!strings.HasPrefix(string(r.body), "<!DOCTYPE html>") || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html")) {
				t.Errorf("502 is no page: %s", r.body)
			}
			if moved := h.head() != head; moved != tc.moved {
				t.Errorf("branch moved: %t, want %t", moved, tc.moved)
			}
			if again := h.patch(h.next()); again.status != 200 {
				t.Errorf("the fault struck twice: %d %s", again.status, again.body)
			}
			h.fsck()
		})
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault sandbox.Fault
		moved bool
	}{{"nothing done", sandbox.Silence(), false}, {"all done", sandbox.SilenceAfter(), true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			head, next := h.head(), h.next()
			h.Inject(tc.fault.On("PATCH", "git/refs").Once())
			ctx, giveUp := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodPatch, h.url+"/repos/"+repoName+"/git/refs/heads/main", strings.NewReader(`{"sha":"`+next+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer sandbox")
			failed := make(chan error, 1)
			go func() {
				_, err := http.DefaultTransport.RoundTrip(req)
				failed <- err
			}()
			eventually(t, func() bool { return h.Faults()[0].Struck == 1 && (h.head() == next || !tc.moved) })
			giveUp()
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want none but our own end", err)
			}
			eventually(t, func() bool { return h.Counts()["PATCH /repos/{owner}/{repo}/git/refs/{ref}"] == 1 })
			if moved := h.head() != head; moved != tc.moved {
				t.Errorf("branch moved: %t, want %t", moved, tc.moved)
			}
		})
	}
}

// eventually waits until something is true that another goroutine does.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in half a minute")
		}
	}
}

func TestCutBodyIsAnError(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Inject(sandbox.Cut().On("GET", "git/trees").Once())
	r := h.do("GET", "/git/trees/main", nil)
	if r.status != 200 || !errors.Is(r.err, io.ErrUnexpectedEOF) {
		t.Errorf("status %d, error %v; want 200 and an unexpected end", r.status, r.err)
	}
}

func TestFaultScope(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *sandbox.Options) { o.Seed = 7 })
	h.AddToken("other", sandbox.Token{Name: "other"})
	get := func(n int, headers ...string) (statuses []int) {
		for range n {
			statuses = append(statuses, h.do("GET", "/branches/main", nil, headers...).status)
		}
		return statuses
	}
	id := h.Inject(sandbox.BadGateway().On("GET", "branches").After(1).For(2))
	if diff := cmp.Diff([]int{200, 502, 502, 200}, get(4)); diff != "" {
		t.Errorf("after 1 for 2 (-want +got):\n%s", diff)
	}
	if f := h.Faults(); len(f) != 1 || f[0].Struck != 2 || !h.Remove(id) || h.Remove(id) {
		t.Errorf("faults %+v", f)
	}
	h.Inject(sandbox.BadGateway().To("other"))
	if diff := cmp.Diff([]int{200, 502}, append(get(1), get(1, "Authorization: Bearer other")...)); diff != "" {
		t.Errorf("by token (-want +got):\n%s", diff)
	}
	h.ClearFaults()
	h.Inject(sandbox.BadGateway().WithProbability(0.3))
	struck := 0
	for _, status := range get(200) {
		if status == 502 {
			struck++
		}
	}
	if struck < 30 || struck > 90 {
		t.Errorf("%d of 200 struck at 0.3", struck)
	}
}

func TestStaleReads(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	h := newHub(t, func(o *sandbox.Options) { o.Clock = func() time.Time { return now } })
	read := func() string { return h.must(200, h.do("GET", "/git/ref/heads/main", nil)).text("object", "sha") }
	branch := func() string { return h.must(200, h.do("GET", "/branches/main", nil)).text("commit", "sha") }
	h.Configure(func(s *sandbox.Settings) { s.StaleReads.Reads = 2 })
	old := h.head()
	fresh := h.must(200, h.patch(h.next())).text("object", "sha")
	if diff := cmp.Diff([]string{old, old, fresh}, []string{read(), branch(), read()}); diff != "" {
		t.Errorf("two reads (-want +got):\n%s", diff)
	}
	h.Configure(func(s *sandbox.Settings) {
		s.StaleReads = sandbox.StaleReads{Window: sandbox.Duration(time.Second)}
	})
	newest := h.must(200, h.patch(h.next())).text("object", "sha")
	if got := read(); got != fresh {
		t.Errorf("within the window %s, want %s", got, fresh)
	}
	now = now.Add(time.Second)
	if got := read(); got != newest {
		t.Errorf("after the window %s, want %s", got, newest)
	}
	h.Inject(sandbox.Stale().Once())
	if diff := cmp.Diff([]string{fresh, newest}, []string{read(), read()}); diff != "" {
		t.Errorf("by fault (-want +got):\n%s", diff)
	}
}

func TestLesserServer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Configure(func(s *sandbox.Settings) {
		s.BranchWithoutTree, s.NoTarball, s.NewTreeEntries, s.NewTreeBytes = true, true, 1, 1000
	})
	branch := h.must(200, h.do("GET", "/branches/main", nil))
	if branch.text("commit", "sha") == "" || branch.field("commit", "commit", "tree") != nil {
		t.Errorf("branch %s", branch.body)
	}
	h.must(404, h.do("GET", "/tarball/main", nil))
	entry := map[string]any{"path": "a", "mode": "100644", "content": "x"}
	h.must(201, h.do("POST", "/git/trees", tree(entry)))
	for name, body := range map[string]any{
		"entries": map[string]any{"tree": []any{entry, entry}},
		"bytes":   tree(map[string]any{"path": "a", "mode": "100644", "content": strings.Repeat("x", 1000)}),
	} {
		r := h.must(422, h.do("POST", "/git/trees", body))
		if !strings.HasPrefix(r.text("message"), "Sorry, your request timed out.  It's likely") {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	h.Configure(func(s *sandbox.Settings) { s.NoBranches = true })
	h.must(404, h.do("GET", "/branches/main", nil))
}

func TestNotReplicatedTree(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Inject(sandbox.TreeNotReplicated().Once())
	body := map[string]any{"message": "m", "tree": h.git("rev-parse", "main^{tree}")}
	if r := h.must(422, h.do("POST", "/git/commits", body)); r.text("message") != "Tree SHA does not exist" {
		t.Errorf("%s", r.body)
	}
	h.must(201, h.do("POST", "/git/commits", body))
}

func TestRewindAndReset(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.head()
	h.commit(sandbox.Files{"a": text("1")})
	h.commit(sandbox.Files{"a": text("2")})
	got, err := h.repo.Rewind("main", 2)
	if err != nil || got != first || h.head() != first {
		t.Errorf("rewound to %s, error %v; want %s", got, err, first)
	}
	if _, err := h.repo.Rewind("main", 1); !errors.Is(err, sandbox.ErrNotFound) {
		t.Errorf("before the first commit: %v", err)
	}
	if err := h.repo.DeleteBranch("main"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.repo.Head("main"); !errors.Is(err, sandbox.ErrNotFound) {
		t.Errorf("deleted branch: %v", err)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.head()
	sha := h.commit(sandbox.Files{"a": text("1")})
	log, err := h.repo.Log("main")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range log {
		got = append(got, c.SHA+" "+c.Message)
	}
	if diff := cmp.Diff([]string{sha + " change", first + " Initial commit"}, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// A flood is as long as it is told to be, and compressed for who takes that; what
// is tampered with is sent with another body and status; a proxy's page has
// nothing of GitHub's.
func TestFaultsOfTheAnswer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	flood := sandbox.Flood{Begin: `{"a":"`, Repeat: "x", End: `"}`, Bytes: 64 << 10, Gzip: true}
	h.Inject(sandbox.Flooded(flood).On("GET", "/branches/").Once())
	if r := h.do("GET", "/branches/main", nil); r.status != 200 || len(r.text("a")) != 64<<10 {
		t.Errorf("status %d, %d bytes", r.status, len(r.text("a")))
	}
	tampered := sandbox.Tampered(func(r *http.Request, body []byte) []byte {
		return []byte(`{"path":"` + r.URL.Path + `","was":` + string(body) + `}`)
	}).On("GET", "/branches/").Once()
	tampered.Status = http.StatusTeapot
	h.Inject(tampered)
	if r := h.do("GET", "/branches/main", nil); r.status != http.StatusTeapot || r.text("was", "name") != "main" || !strings.HasSuffix(r.text("path"), "/branches/main") {
		t.Errorf("tampered: %d %v", r.status, r.body)
	}
	h.Inject(sandbox.Proxy(http.StatusForbidden).On("GET", "/branches/").Once())
	if r := h.do("GET", "/branches/main", nil); r.status != 403 || r.header.Get("X-GitHub-Request-Id") != "" || !strings.Contains(r.header.Get("Content-Type"), "html") {
		t.Errorf("proxy: %d %v", r.status, r.header)
	}
}
