package github_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// changes keeps what a client tells of its states.
type changes struct {
	mu  sync.Mutex
	all []string
}

func (c *changes) listen(o *github.Options) {
	o.CredentialChanged = func(repo github.Repo, s github.State) { c.add(repo.String(), s) }
	o.BranchChanged = func(repo github.Repo, branch string, s github.State) { c.add(repo.String()+"@"+branch, s) }
}

func (c *changes) add(of string, s github.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, of+" "+kindOf(s))
}

func (c *changes) want(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(want, c.all); diff != "" {
		t.Errorf("changes (-want +got)\n%s", diff)
	}
	c.all = nil
}

func kindOf(s github.State) string {
	var e *github.Error
	switch {
	case !s.Known:
		return "unknown"
	case s.Err == nil:
		return "ok"
	case errors.As(s.Err, &e):
		return e.Kind.Error()
	}
	return fmt.Sprintf("%T", s.Err)
}

func TestCredentialState(t *testing.T) {
	t.Parallel()
	const own = repoName
	for _, test := range []struct {
		name  string
		fault sandbox.Fault
		err   error
	}{
		{"not accepted", sandbox.BadCredentials(), github.ErrUnauthorized},
		{"no access", sandbox.MissingPermission("contents=read"), github.ErrForbidden},
		{"not visible", sandbox.NotVisible(), github.ErrRepositoryNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var told changes
			w := newWorld(t, told.listen)
			w.push(map[string]string{fileA: "image: a:1\n"})
			b, repo := w.branch(), parse(t, repoName)
			if got := kindOf(w.client.CredentialState(repo)); got != "unknown" {
				t.Errorf("before the first request: %s", got)
			}
			id := w.sb.Inject(test.fault)
			for range 2 { // the second time nothing has changed
				if _, err := b.Snapshot(t.Context()); !errors.Is(err, test.err) {
					t.Fatalf("error %v, want %v", err, test.err)
				}
			}
			state := w.client.CredentialState(parse(t, "OCTO-ORG/Infra"))
			if !errors.Is(state.Err, test.err) || state.Since.IsZero() {
				t.Errorf("state %+v, want %v", state, test.err)
			}
			told.want(t, own+" "+test.err.Error())
			w.sb.Remove(id)
			w.sb.Inject(sandbox.BadGateway().Once()) // says nothing of the credential
			w.snapshot(b)
			if got := kindOf(w.client.CredentialState(repo)); got != "ok" {
				t.Errorf("after a success: %s", got)
			}
			told.want(t, own+" ok", own+"@main ok")
		})
	}
}

// A refusal to write outlives reads: it ends when a write succeeds.
func TestCredentialStateOfWrites(t *testing.T) {
	t.Parallel()
	var told changes
	w, b, s := planned(t, told.listen)
	told.want(t, repoName+" ok", repoName+"@main ok")
	id := w.sb.Inject(sandbox.MissingPermission("contents=write").On(http.MethodPost, "git/trees"))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantKind(t, err, github.ErrForbidden, http.StatusForbidden)
	w.snapshot(b)
	state := w.client.CredentialState(parse(t, repoName))
	if e := wantKind(t, state.Err, github.ErrForbidden, http.StatusForbidden); e.Permission != "contents=write" {
		t.Errorf("the state names the permission %q", e.Permission)
	}
	told.want(t, repoName+" "+github.ErrForbidden.Error())
	w.sb.Remove(id)
	_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	told.want(t, repoName+" ok")
}

// What Check finds, Check clears.
func TestCredentialStateOfCheck(t *testing.T) {
	t.Parallel()
	var told changes
	w := newWorld(t, told.listen)
	w.push(map[string]string{fileA: "image: a:1\n"})
	repo := parse(t, repoName)
	w.repo.SetArchived(true)
	_, err := w.client.Check(t.Context(), repo)
	wantKind(t, err, github.ErrForbidden, 0)
	w.snapshot(w.branch())
	told.want(t, repoName+" ok", repoName+" "+github.ErrForbidden.Error(), repoName+"@main ok")
	w.repo.SetArchived(false)
	_, err = w.client.Check(t.Context(), repo)
	w.must(err)
	told.want(t, repoName+" ok")
}

// A credential without Workflows writes everything else: that is no refusal.
func TestCredentialStateWithoutWorkflows(t *testing.T) {
	t.Parallel()
	var told changes
	w := newWorld(t, told.listen)
	w.sb.AddToken("sandbox", sandbox.Token{Kind: sandbox.KindClassic, Permissions: sandbox.Permissions{"contents": sandbox.Write}})
	w.push(map[string]string{fileA: "image: a:1\n", ".github/workflows/ci.yaml": "image: a:1\n"})
	b := w.branch()
	s := w.snapshot(b)
	_, err := b.Commit(t.Context(), s, change(s, map[string]string{fileA: "image: a:2\n", ".github/workflows/ci.yaml": "image: a:2\n"}))
	w.must(err)
	told.want(t, repoName+" ok", repoName+"@main ok")
}

func TestBranchState(t *testing.T) {
	t.Parallel()
	var told changes
	w, b, s := planned(t, told.listen)
	told.want(t, repoName+" ok", repoName+"@main ok")
	w.repo.Protect("main", sandbox.Protection{})
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantKind(t, err, github.ErrBranchProtected, http.StatusUnprocessableEntity)
	w.snapshot(b) // reading it tells nothing
	if got := b.State(); !errors.Is(got.Err, github.ErrBranchProtected) {
		t.Errorf("state %+v, want that it is protected", got)
	}
	told.want(t, repoName+"@main "+github.ErrBranchProtected.Error())
	w.repo.Unprotect("main")
	_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	told.want(t, repoName+"@main ok")

	gone := w.client.Branch(parse(t, repoName), "gone")
	if _, err := gone.Snapshot(t.Context()); !errors.Is(err, github.ErrBranchNotFound) {
		t.Fatalf("error %v, want that there is no branch", err)
	}
	told.want(t, repoName+"@gone "+github.ErrBranchNotFound.Error())
	if got := kindOf(w.client.CredentialState(parse(t, repoName))); got != "ok" {
		t.Errorf("a missing branch makes the credential %s", got)
	}
}

// A renamed repository is one under both names.
func TestCredentialStateOfARenamedRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{fileA: "image: a:1\n"})
	w.must(w.sb.Rename(repoName, "octo-org/renamed"))
	b := w.branch()
	s := w.snapshot(b)
	w.sb.Inject(sandbox.MissingPermission("contents=write").On(http.MethodPost, "git/trees"))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantKind(t, err, github.ErrForbidden, http.StatusForbidden)
	for _, name := range []string{repoName, "octo-org/renamed"} {
		if state := w.client.CredentialState(parse(t, name)); !errors.Is(state.Err, github.ErrForbidden) {
			t.Errorf("%s: %+v", name, state)
		}
	}
}
