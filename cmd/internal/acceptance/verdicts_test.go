package acceptance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// Refusals that TestProblems does not stage: those of a service that has worked
// before, and those that depend on the credential.

func TestVerdictsOnAWarmService(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		happen func(*world)
		status int
		code   api.ProblemCode
		detail string
	}{
		{
			name: "branch deleted",
			happen: func(w *world) {
				_, err := w.repo.Commit("other", sandbox.Files{"a.yaml": {Content: []byte("a: 1\n")}}, "another branch")
				w.must(err)
				w.must(w.repo.DeleteBranch("main"))
			},
			status: 404, code: api.ProblemCodeBranchNotFound, detail: "main",
		},
		{
			name: "token expired",
			happen: func(w *world) {
				w.hub.AddToken(githubToken, sandbox.Token{Name: "service", Expires: time.Now().Add(-time.Hour)})
			},
			status: 502, code: api.ProblemCodeUpstreamUnauthorized, detail: "expire",
		},
		{
			name:   "token revoked",
			happen: func(w *world) { w.hub.RemoveToken(githubToken) },
			status: 502, code: api.ProblemCodeUpstreamUnauthorized, detail: "revoked",
		},
		{
			name: "single sign-on wanted",
			happen: func(w *world) {
				w.hub.AddToken(githubToken, sandbox.Token{Name: "service", SSO: "https://example.com/sso?a=1"})
			},
			status: 502, code: api.ProblemCodeUpstreamForbidden, detail: "https://example.com/sso?a=1",
		},
		{
			name: "permission taken away",
			happen: func(w *world) {
				w.hub.AddToken(githubToken, sandbox.Token{Name: "service", Permissions: sandbox.Permissions{"contents": sandbox.Read}})
			},
			status: 502, code: api.ProblemCodeUpstreamForbidden, detail: "contents=write",
		},
		{
			name:   "archived",
			happen: func(w *world) { w.repo.SetArchived(true) },
			status: 502, code: api.ProblemCodeUpstreamForbidden, detail: "unarchive",
		},
		{
			name:   "protected",
			happen: func(w *world) { w.repo.Protect("main", sandbox.Protection{Ruleset: true}) },
			status: 409, code: api.ProblemCodeBranchProtected, detail: "bypass",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			wantCommitted(t, w.post(mission))
			tt.happen(w)
			for range 2 { // the second time is no other verdict
				r := w.post(setTo(node, "next"))
				if r.status != tt.status || r.problem.Code != tt.code || !strings.Contains(r.problem.Detail, tt.detail) {
					t.Errorf("got %d, want %d %s that says %q\n%s", r.status, tt.status, tt.code, tt.detail, r.body)
				}
			}
		})
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// A renamed repository is followed, and the answer has its new name.
func TestRenamedRepository(t *testing.T) {
	t.Parallel()
	const renamed = "refty-yapi/refty-infra"
	for _, when := range []string{"before the start", "while warm"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			if when == "while warm" {
				wantCommitted(t, w.post(setTo(node, "first")))
			}
			w.must(w.hub.Rename(repoName, renamed))
			r := w.post(mission)
			wantCommitted(t, r)
			if when == "while warm" { // the head is known from the own write: the name is learnt at the next read
				w.post(mission)
				r = w.post(setTo(node, "third"))
				wantCommitted(t, r)
			}
			if got := r.update.Targets[0].Repository; got != renamed {
				t.Errorf("the answer names %s, want %s", got, renamed)
			}
			if got := r.header.Get("Location"); !strings.Contains(got, renamed+"/commit/") {
				t.Errorf("Location: %s", got)
			}
			mark := w.mark()
			wantCommitted(t, w.post(setTo(node, "last")))
			for _, call := range w.calls()[mark:] {
				if call.Status >= 300 {
					t.Errorf("%s was answered %d: the new name is not remembered", call.Path, call.Status)
				}
			}
		})
	}
}

const workflow = ".github/workflows/build.yaml"

// Workflow files need a permission of their own; without it the rest is committed
// and they are listed.
func TestWorkflowFiles(t *testing.T) {
	t.Parallel()
	without := sandbox.Permissions{"contents": sandbox.Write}
	with := sandbox.Permissions{"contents": sandbox.Write, "workflows": sandbox.Write}
	uses := "jobs:\n  build:\n    container: " + node + ":10-10-ver\n"
	tests := []struct {
		name        string
		kind        sandbox.TokenKind
		permissions sandbox.Permissions
		skipped     bool
	}{
		{"fine-grained without", sandbox.KindFineGrained, without, true},
		{"classic without", sandbox.KindClassic, without, true},
		{"fine-grained with", sandbox.KindFineGrained, with, false},
		{"classic with", sandbox.KindClassic, with, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain, withFiles(map[string]string{workflow: uses}))
			w.hub.AddToken(githubToken, sandbox.Token{Name: "service", Kind: tt.kind, Permissions: tt.permissions})
			r := w.post(mission)
			wantCommitted(t, r)
			want, files := []api.Skip{}, 3
			if tt.skipped {
				want, files = []api.Skip{{Path: workflow, Line: ptr(3), Reason: "workflow_permission"}}, 2
			}
			if diff := cmp.Diff(want, r.update.Targets[0].Skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
			if got := len(r.update.Targets[0].Files); got != files {
				t.Errorf("%d files were committed, want %d", got, files)
			}
			if touched := w.file(workflow) != uses; touched == tt.skipped {
				t.Errorf("the workflow was touched: %v", touched)
			}
		})
	}
}

func TestNothingButWorkflowFiles(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(map[string]string{workflow: "container: octo-org/ci:1\n"}))
	w.hub.AddToken(githubToken, sandbox.Token{Permissions: sandbox.Permissions{"contents": sandbox.Write}})
	before := w.head()
	r := w.post(setTo("octo-org/ci", "2"))
	if r.status != http.StatusBadGateway || r.problem.Code != api.ProblemCodeUpstreamForbidden || !strings.Contains(r.problem.Detail, "Workflows: write") {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if w.head() != before {
		t.Error("the branch moved")
	}
}
