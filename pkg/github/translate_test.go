package github_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const secretToken = "ghp_0123456789secret"

func TestRefusalsOfAWrite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		set        func(*world)
		kind       error
		status     int
		permission string
		says       string
	}{
		{"classic protection", func(w *world) { w.repo.Protect("main", sandbox.Protection{}) }, github.ErrBranchProtected, 422, "", "approving review"},
		{"protection with 403", func(w *world) { w.repo.Protect("main", sandbox.Protection{Status: 403}) }, github.ErrBranchProtected, 403, "", "bypass"},
		{"ruleset", func(w *world) { w.repo.Protect("main", sandbox.Protection{Ruleset: true}) }, github.ErrBranchProtected, 422, "", "pull request"},
		{"ruleset on updates", func(w *world) {
			w.repo.Protect("main", sandbox.Protection{Message: "Repository rule violations found\n\nCannot update this protected ref.\n\n"})
		}, github.ErrBranchProtected, 422, "", "rule violations"},
		{"archived", func(w *world) { w.repo.SetArchived(true) }, github.ErrForbidden, 403, "", "archived"},
		{"read only token", func(w *world) {
			w.sb.AddToken(secretToken, sandbox.Token{Permissions: sandbox.Permissions{"contents": sandbox.Read}})
		}, github.ErrForbidden, 403, "contents=write", "contents=write"},
		{"classic token without a scope", func(w *world) {
			w.sb.AddToken(secretToken, sandbox.Token{Kind: sandbox.KindClassic, Permissions: sandbox.Permissions{"contents": sandbox.Read}})
		}, github.ErrForbidden, 404, "contents=write", "Contents: write"},
		{"single sign-on", func(w *world) {
			w.sb.AddToken(secretToken, sandbox.Token{SSO: "https://github.com/orgs/octo-org/sso?authorization_request=X"})
		}, github.ErrForbidden, 403, "", "https://github.com/orgs/octo-org/sso"},
		{"revoked token", func(w *world) { w.sb.RemoveToken(secretToken) }, github.ErrUnauthorized, 401, "", "expired or revoked"},
		{"blocked account", func(w *world) {
			w.sb.Inject(sandbox.Refuse(403, "Maximum number of login attempts exceeded. Please try again later."))
		}, github.ErrUnauthorized, 403, "", "wrong credentials"},
		{"legal", func(w *world) { w.sb.Inject(sandbox.Refuse(451, "Repository access blocked")) }, github.ErrForbidden, 451, "", "access blocked"},
		{"nonsense", func(w *world) { w.sb.Inject(sandbox.Refuse(422, "Something\n\nelse")) }, github.ErrUpstream, 422, "", "Something else"},
		{"a page", func(w *world) { w.sb.Inject(sandbox.BadGateway()) }, github.ErrUpstream, 502, "", "an HTML page"},
		{"errors as one string", func(w *world) {
			f := sandbox.Refuse(422, "Validation Failed")
			f.Errors = json.RawMessage(`"because of that"`)
			w.sb.Inject(f)
		}, github.ErrUpstream, 422, "", "because of that"},
		{"errors as objects", func(w *world) {
			f := sandbox.Refuse(422, "Validation Failed")
			f.Errors = json.RawMessage(`[{"resource":"author","field":"name","code":"missing_field"},"or that"]`)
			w.sb.Inject(f)
		}, github.ErrUpstream, 422, "", "name missing_field or that"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *github.Options) { o.Credential = github.Token(secretToken) })
			w.sb.AddToken(secretToken, sandbox.Token{})
			w.push(map[string]string{fileA: "image: a:1\n"})
			b := w.branch()
			s := w.snapshot(b)
			test.set(w)
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			e := wantKind(t, err, test.kind, test.status)
			if e.Permission != test.permission || !strings.Contains(e.Detail, test.says) {
				t.Errorf("permission %q, detail %q; want %q and %q", e.Permission, e.Detail, test.permission, test.says)
			}
			if strings.Contains(err.Error(), secretToken) {
				t.Error("the error shows the token")
			}
			if test.name == "single sign-on" && e.AuthorizeURL == "" {
				t.Error("the address to authorise at is missing")
			}
			w.wantFile(fileA, "image: a:1\n")
		})
	}
}

// Of edits that the credential may write only in part, the rest lands.
func TestWorkflowFilesAreLeftOut(t *testing.T) {
	t.Parallel()
	const workflow = ".github/workflows/build.yaml"
	for _, kind := range []sandbox.TokenKind{sandbox.KindClassic, sandbox.KindFineGrained} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w, b, _ := planned(t)
			w.push(map[string]string{workflow: "container: a:1\n"})
			w.sb.AddToken("sandbox", sandbox.Token{Kind: kind, Permissions: sandbox.Permissions{"contents": sandbox.Write}})
			s := w.snapshot(b)
			w.spent()
			made, err := b.Commit(t.Context(), s, change(s, map[string]string{fileA: "image: a:2\n", workflow: "container: a:2\n"}))
			w.must(err)
			if diff := cmp.Diff([]string{workflow}, made.LeftOut); diff != "" {
				t.Errorf("left out (-want +got)\n%s", diff)
			}
			w.wantSpent(newTree, newTree, newCommit, updateRef)
			w.wantFile(fileA, "image: a:2\n")
			w.wantFile(workflow, "container: a:1\n")
			next, _ := b.Remembered()
			if got := w.contents(b, next)[workflow]; got != "container: a:1\n" {
				t.Errorf("%s is remembered as %q", workflow, got)
			}

			_, err = b.Commit(t.Context(), next, set(next, workflow, "container: a:2\n"))
			if e := wantKind(t, err, github.ErrForbidden, http.StatusNotFound); e.Permission != "workflows=write" {
				t.Errorf("the permission is %q", e.Permission)
			}
		})
	}
}

func TestWorkflowFilesRefusedAtTheRef(t *testing.T) {
	t.Parallel()
	const workflow = ".github/workflows/build.yaml"
	w, b, _ := planned(t)
	w.push(map[string]string{workflow: "container: a:1\n"})
	s := w.snapshot(b)
	w.sb.Inject(sandbox.Refuse(422, "refusing to allow a GitHub App to create or update workflow `"+workflow+"` without `workflows` permission").
		On(http.MethodPatch, "").Once())
	made, err := b.Commit(t.Context(), s, change(s, map[string]string{fileA: "image: a:2\n", workflow: "container: a:2\n"}))
	w.must(err)
	if len(made.LeftOut) != 1 {
		t.Errorf("left out %v", made.LeftOut)
	}
	w.wantFile(workflow, "container: a:1\n")
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	client, err := github.NewClient(github.Options{
		BaseURL: "http://127.0.0.1:1/", Credential: github.Token(secretToken), Sleep: (&clock{}).Sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Branch(parse(t, repoName), "main").Snapshot(t.Context())
	e := wantKind(t, err, github.ErrUpstream, 0)
	if !strings.Contains(e.Detail, "refused") || strings.Contains(err.Error(), secretToken) {
		t.Errorf("the error says %q", err)
	}
}

func TestNonsenseAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ path, body string }{
		"no JSON":           {"/branches/", "hello"},
		"an HTML page":      {"/branches/", "<html>"},
		"no commit":         {"/branches/", "{}"},
		"empty":             {"/branches/", ""},
		"a path for a name": {"/branches/", `{"commit":{"sha":"../../../user"}}`},
		"no tree":           {"/git/trees", "[]"},
		"half a tree":       {"/git/trees", `{"tree":[{"path":"a","mode":"100644","type":"blob"`},
		"a wrong name":      {"/git/trees", `{"tree":[{"path":"a","mode":"100644","type":"blob","sha":"x"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			client := w.another(func(o *github.Options) {
				o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
					if strings.Contains(req.URL.Path, test.path) {
						setBody(resp, test.body)
					}
				}}
			})
			_, err := client.Branch(parse(t, repoName), "main").Snapshot(t.Context())
			var e *github.Error
			if !errors.As(err, &e) || !errors.Is(err, github.ErrUpstream) {
				t.Errorf("error %v, want ErrUpstream", err)
			}
		})
	}
}

// A page in place of an answer is told from GitHub's own failures, whatever its
// status is.
func TestPageOfAProxy(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 302, 401, 403, 404, 407, 502, 503} {
		w := newWorld(t)
		w.push(map[string]string{fileA: "image: a:1\n"})
		w.sb.Inject(sandbox.Proxy(status))
		_, err := w.branch().Snapshot(t.Context())
		e := wantKind(t, err, github.ErrUpstream, status)
		if !e.NotGitHub || !strings.Contains(e.Detail, "check GITHUB_API_URL or the proxy") || e.InDoubt() {
			t.Errorf("status %d: %+v", status, e)
		}
		if state := w.client.CredentialState(parse(t, repoName)); state.Err != nil {
			t.Errorf("status %d says of the credential: %v", status, state.Err)
		}
	}
	w, b, s := planned(t)
	w.sb.Inject(sandbox.BadGateway().On(http.MethodPost, "git/trees"))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	if e := wantKind(t, err, github.ErrUpstream, http.StatusBadGateway); e.NotGitHub || e.InDoubt() {
		t.Errorf("GitHub's own page: %+v", e)
	}
}

// What GitHub said is told rather than that there was no time for another answer.
func TestDeadlineAfterAnAnswer(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]sandbox.Fault{
		"failure": sandbox.Refuse(http.StatusServiceUnavailable, "We are having a problem"),
		"page":    sandbox.BadGateway(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			w.sb.Inject(said.On(http.MethodPost, "git/trees").Once())
			w.sb.Inject(sandbox.Silence().On(http.MethodPost, "git/trees").After(1))
			_, err := b.Commit(ctx, s, set(s, fileA, "image: a:2\n"))
			wantKind(t, err, github.ErrUpstream, max(said.Status, http.StatusBadGateway))
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v is a mere deadline", err)
			}
		})
	}
}
