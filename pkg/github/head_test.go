package github_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func TestBranchMakesNoRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.client.Branch(parse(t, repoName), "")
	if _, ok := b.Remembered(); ok {
		t.Error("a branch that was never read is remembered")
	}
	if b != w.client.Branch(parse(t, strings.ToUpper(repoName)), "") || b == w.branch() {
		t.Error("one name must be one branch, another name another")
	}
	w.wantSpent()
}

func TestDefaultBranchIsLookedUpOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.client.Branch(parse(t, repoName), "")
	s := w.snapshot(b)
	if s.Branch != "main" {
		t.Errorf("the branch is %q", s.Branch)
	}
	w.snapshot(b)
	w.wantSpent("GET /repos/{owner}/{repo}", readHead, readTree, headStands)
}

func TestBranchNamesAreEscaped(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"feature/x", "a%20b", "a#1", "ä"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, err := w.repo.Commit(name, sandbox.Files{fileA: {Content: []byte("image: a:1\n")}}, "m")
			w.must(err)
			b := w.client.Branch(parse(t, repoName), name)
			s := w.snapshot(b)
			_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			w.must(err)
			if got, err := w.repo.ReadFile(name, fileA); err != nil || string(got) != "image: a:2\n" {
				t.Errorf("%q on the branch: %v", got, err)
			}
		})
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		set    func(*world)
		repo   string
		branch string
		kind   error
		status int
		says   string
	}{
		{"no repository", nil, "octo-org/other", "main", github.ErrRepositoryNotFound, 404, "access"},
		{"no repository, default branch", nil, "octo-org/other", "", github.ErrRepositoryNotFound, 404, "access"},
		{"no branch", nil, repoName, "other", github.ErrBranchNotFound, 404, "other"},
		{"private", func(w *world) {
			w.repo.SetPrivate(true)
			w.sb.AddToken("sandbox", sandbox.Token{Repositories: []string{"octo-org/nothing"}})
		}, repoName, "main", github.ErrRepositoryNotFound, 404, "access"},
		{"empty", func(w *world) {
			_, err := w.sb.CreateRepository("octo-org/empty", sandbox.RepositoryOptions{Empty: true})
			w.must(err)
		}, "octo-org/empty", "main", github.ErrBranchNotFound, 409, "empty"},
		{"empty, default branch", func(w *world) {
			_, err := w.sb.CreateRepository("octo-org/empty", sandbox.RepositoryOptions{Empty: true})
			w.must(err)
		}, "octo-org/empty", "", github.ErrBranchNotFound, 409, "empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.set != nil {
				test.set(w)
			}
			_, err := w.client.Branch(parse(t, test.repo), test.branch).Snapshot(t.Context())
			e := wantKind(t, err, test.kind, test.status)
			if !strings.Contains(e.Detail, test.says) {
				t.Errorf("the detail %q does not say %q", e.Detail, test.says)
			}
		})
	}
}

func TestDeletedBranch(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	_, err := w.repo.Commit("next", sandbox.Files{fileA: {Content: []byte("x")}}, "m")
	w.must(err)
	w.must(w.repo.DeleteBranch("main"))
	_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantKind(t, err, github.ErrBranchNotFound, http.StatusNotFound)
	_, err = b.Snapshot(t.Context())
	wantKind(t, err, github.ErrBranchNotFound, http.StatusNotFound)
}

func TestRenamedRepositoryIsFollowed(t *testing.T) {
	t.Parallel()
	for _, branch := range []string{"main", ""} {
		t.Run("branch "+branch, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.push(map[string]string{fileA: "image: a:1\n"})
			b := w.client.Branch(parse(t, repoName), branch)
			w.snapshot(b)
			w.must(w.sb.Rename(repoName, "octo-org/renamed"))
			w.push(map[string]string{fileB: "image: b:1\n"})

			s := w.snapshot(b)
			if want := parse(t, "octo-org/renamed"); s.Repo != want {
				t.Errorf("the snapshot is of %s, want %s", s.Repo, want)
			}
			w.contents(b, s)
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			w.must(err)
			w.wantFile(fileA, "image: a:2\n")
			w.spent()
			s = w.snapshot(b)
			_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:3\n"))
			w.must(err)
			w.wantSpent(readHead, newTree, newCommit, updateRef)
		})
	}
}

// Writes follow the rename too, when it happened after the read.
func TestRenamedBeforeTheWrite(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	w.must(w.sb.Rename(repoName, "octo-org/renamed"))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	w.wantFile(fileA, "image: a:2\n")
}

// What a redirect leads to on another host never sees the credential.
func TestRedirectToAnotherHostIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := newWorld(t)
	w := newWorld(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if strings.Contains(req.URL.Path, "/branches/") {
				resp.StatusCode = http.StatusMovedPermanently
				resp.Header.Set("Location", elsewhere.url+req.URL.Path)
			}
		}}
	})
	_, err := client.Branch(parse(t, repoName), "main").Snapshot(t.Context())
	wantKind(t, err, github.ErrUpstream, http.StatusMovedPermanently)
	elsewhere.wantSpent()
}

func TestRenamedBranchIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if strings.Contains(req.URL.Path, "/branches/") {
				setBody(resp, `{"name":"trunk","commit":{"sha":"0123456789012345678901234567890123456789"}}`)
			}
		}}
	})
	_, err := client.Branch(parse(t, repoName), "main").Snapshot(t.Context())
	if e := wantKind(t, err, github.ErrBranchNotFound, 0); !strings.Contains(e.Detail, "trunk") {
		t.Errorf("the detail %q does not name the new branch", e.Detail)
	}
}

func TestAnotherDefaultBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.repo.Commit("old", sandbox.Files{fileA: {Content: []byte("x")}}, "m")
	w.must(err)
	name := "old"
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if strings.HasSuffix(req.URL.Path, "/repos/"+repoName) {
				setBody(resp, `{"full_name":"`+repoName+`","default_branch":"`+name+`"}`)
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "")
	if got := w.snapshot(b).Branch; got != "old" {
		t.Fatalf("the branch is %q", got)
	}
	w.must(w.repo.DeleteBranch("old"))
	name = "main"
	if got := w.snapshot(b).Branch; got != "main" {
		t.Errorf("the branch is %q", got)
	}
}

// A client would make a read of a write that is answered 301.
func TestWriteThatIsMovedPermanently(t *testing.T) {
	t.Parallel()
	w, _, _ := planned(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if req.Method == http.MethodPost {
				resp.StatusCode = http.StatusMovedPermanently
				resp.Header.Set("Location", w.url+req.URL.Path)
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "main")
	s := w.snapshot(b)
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantKind(t, err, github.ErrUpstream, http.StatusMovedPermanently)
}

// A default branch that became another one is noticed within minutes, though the
// old one is still there, and nothing is written to the old one from then on.
func TestDefaultBranchChanges(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} { // the last commit that is known is one of our own
		w := newWorld(t)
		w.push(map[string]string{fileA: "image: a:1\n"})
		b := w.client.Branch(parse(t, repoName), "")
		w.snapshot(b)
		commit := func(content string) error {
			s, ok := b.Remembered()
			if !ok {
				s = w.snapshot(b)
			}
			_, err := b.Commit(t.Context(), s, set(s, fileA, content))
			return err
		}
		if own {
			w.must(commit("image: a:2\n"))
			w.snapshot(b)
		}
		before := w.head()
		w.must(w.repo.Reset("trunk", before)) // at the same commit
		w.must(w.repo.SetDefaultBranch("trunk"))
		w.clock.advance(5 * time.Minute)
		w.sb.Inject(sandbox.BadGateway().On(http.MethodGet, "repos/{owner}/{repo}").Once()) // the known name serves on
		w.spent()
		w.snapshot(b)
		w.wantSpent("GET /repos/{owner}/{repo}", headStands)
		wantMoved(t, commit("image: a:3\n"))
		if s := w.snapshot(b); s.Branch != "trunk" {
			t.Fatalf("the branch is %s", s.Branch)
		}
		w.must(commit("image: a:3\n"))
		if w.head() != before {
			t.Error("the old default branch moved")
		}
		got, err := w.repo.ReadFile("trunk", fileA)
		w.must(err)
		if string(got) != "image: a:3\n" {
			t.Errorf("trunk has %q", got)
		}
		w.spent()
		w.must(commit("image: a:4\n"))
		w.wantSpent(newTree, newCommit, updateRef) // no more questions for a while
	}
}
