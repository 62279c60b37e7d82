package acceptance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// TestProblems stages every refusal and reads its row of the contract: the
// status, the code, a word of the detail, and that nothing was written.
func TestProblems(t *testing.T) {
	t.Parallel()
	inject := func(faults ...sandbox.Fault) option {
		return func(w *world) {
			for _, f := range faults {
				w.hub.Inject(f)
			}
		}
	}
	tests := []struct {
		name       string
		options    []option
		body       string // the mission's when empty
		status     int
		code       api.ProblemCode
		detail     string
		retryAfter bool
	}{
		{
			name: "image that no file names", body: `{"image": "ghcr.io/refty-yapi/refty-nod", "version": "1"}`,
			status: 404, code: api.ProblemCodeImageNotReferenced, detail: "ghcr.io/refty-yapi/refty-nod",
		},
		{
			name: "image that no file names in a dry run", body: `{"image": "ghcr.io/refty-yapi/refty-nod", "version": "1", "dry_run": true}`,
			status: 404, code: api.ProblemCodeImageNotReferenced, detail: "did you mean `" + node + "`",
		},
		{
			name: "image outside the paths", body: `{"image": "` + node + `", "version": "1", "paths": ["elsewhere/**"]}`,
			status: 404, code: api.ProblemCodeImageNotReferenced, detail: "paths",
		},
		{
			name: "repository of somebody else", body: `{"image": "` + node + `", "version": "1", "repository": "octo-org/infra"}`,
			status: 404, code: api.ProblemCodeRepositoryNotFound, detail: "octo-org/infra is not a target",
		},
		{
			name: "branch that is no target", body: `{"image": "` + node + `", "version": "1", "branch": "stage"}`,
			status: 404, code: api.ProblemCodeBranchNotFound, detail: "stage",
		},
		{
			name: "branch that is not there", options: []option{withEnv("GITHUB_BRANCH", "stage")},
			status: 404, code: api.ProblemCodeBranchNotFound, detail: "stage",
		},
		{
			name: "repository that is not there", options: []option{withEnv("GITHUB_REPOSITORY", "refty-yapi/gone")},
			status: 404, code: api.ProblemCodeRepositoryNotFound, detail: "refty-yapi/gone",
		},
		{
			name: "private repository that the token does not reach",
			options: []option{func(w *world) {
				w.repo.SetPrivate(true)
				w.hub.AddToken(githubToken, sandbox.Token{Name: "service", Repositories: []string{"octo-org/other"}})
			}},
			status: 404, code: api.ProblemCodeRepositoryNotFound, detail: repoName,
		},
		{
			name: "empty repository",
			options: []option{func(w *world) {
				if _, err := w.hub.CreateRepository("refty-yapi/empty", sandbox.RepositoryOptions{Branch: "main", Empty: true}); err != nil {
					w.t.Fatal(err)
				}
				w.env["GITHUB_REPOSITORY"] = "refty-yapi/empty"
			}},
			status: 404, code: api.ProblemCodeBranchNotFound, detail: "empty",
		},
		{
			name: "bad credentials", options: []option{withEnv("GITHUB_TOKEN", "wrong")},
			status: 502, code: api.ProblemCodeUpstreamUnauthorized, detail: "credential",
		},
		{
			name: "missing permission",
			options: []option{func(w *world) {
				w.hub.AddToken(githubToken, sandbox.Token{Permissions: sandbox.Permissions{"contents": sandbox.Read}})
			}},
			status: 502, code: api.ProblemCodeUpstreamForbidden, detail: "ontents",
		},
		{
			name: "archived repository", options: []option{func(w *world) { w.repo.SetArchived(true) }},
			status: 502, code: api.ProblemCodeUpstreamForbidden, detail: "archived",
		},
		{
			name: "GitHub answers 502 with a page", options: []option{inject(sandbox.BadGateway())},
			status: 502, code: api.ProblemCodeUpstreamError, detail: "(status 502); nothing was written, send the request again",
		},
		{
			name:    "protected branch",
			options: []option{func(w *world) { w.repo.Protect("main", sandbox.Protection{}) }},
			status:  409, code: api.ProblemCodeBranchProtected, detail: "protect",
		},
		{
			name:    "branch under a ruleset",
			options: []option{func(w *world) { w.repo.Protect("main", sandbox.Protection{Ruleset: true}) }},
			status:  409, code: api.ProblemCodeBranchProtected, detail: "rule",
		},
		{
			name: "every race is lost",
			options: []option{inject(sandbox.Competitor(sandbox.Push{
				Branch: "main", Message: "me first", Files: map[string]string{"other.yaml": "a: 1\n"},
			}).On("PATCH", "git/refs"))},
			status: 409, code: api.ProblemCodeBranchMoved, detail: "16 times",
		},
		{
			name: "primary rate limit", options: []option{inject(sandbox.PrimaryLimit(http.StatusForbidden, time.Hour))},
			status: 503, code: api.ProblemCodeUpstreamRateLimited, detail: "limit", retryAfter: true,
		},
		{
			name: "update that takes too long",
			options: []option{withEnv("UPDATE_TIMEOUT", "1s"), func(w *world) {
				w.hub.Configure(func(s *sandbox.Settings) { s.Latency = sandbox.Duration(700 * time.Millisecond) })
			}},
			status: 504, code: api.ProblemCodeTimeout, detail: "1s",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, tt.options...)
			body := tt.body
			if body == "" {
				body = mission
			}
			r := w.post(body)
			if r.status != tt.status || r.problem.Code != tt.code || r.problem.Status != tt.status {
				t.Fatalf("got %d %s, want %d %s\n%s", r.status, r.problem.Code, tt.status, tt.code, r.body)
			}
			if !strings.Contains(r.problem.Detail, tt.detail) {
				t.Errorf("detail %q does not say %q", r.problem.Detail, tt.detail)
			}
			if got := r.header.Get("Retry-After") != ""; got != tt.retryAfter {
				t.Errorf("Retry-After: %q", r.header.Get("Retry-After"))
			}
			if r.problem.RequestId != r.header.Get("X-Request-Id") || r.problem.Instance != "/v1/updates" {
				t.Errorf("problem: %s", r.body)
			}
			if refused := tt.code != api.ProblemCodeTimeout && tt.code != api.ProblemCodeBranchMoved; refused {
				line := w.logs.requests(t, "/v1/updates")[0]
				if got, made := line["github_requests"], len(w.calls()); got != nil && got != float64(made) {
					t.Errorf("%v requests to GitHub are logged, %d were made", got, made)
				}
			}
			for _, c := range w.log() {
				if strings.HasPrefix(c.Message, "Update ") {
					t.Errorf("a commit was made: %s", c.Message)
				}
			}
		})
	}
}

func TestLostRaceIsPlannedAgain(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.hub.Inject(sandbox.Competitor(sandbox.Push{
		Branch: "main", Message: "me first",
		Files: map[string]string{"apps/worker.yaml": deployment(node + ":10-10-ver"), "apps/parser.yaml": "gone: true\n"},
	}).On("PATCH", "git/refs").Once())

	r := w.post(mission)

	if r.status != http.StatusCreated {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if got := w.file("apps/parser.yaml"); got != "gone: true\n" {
		t.Errorf("the colleague's file was overwritten:\n%s", got)
	}
	if got := w.file("apps/worker.yaml"); got != deployment(node+":05-06-42a252") {
		t.Errorf("the colleague's new reference was not seen:\n%s", got)
	}
	if log := w.log(); len(log) != 3 || log[1].Message != "me first" {
		t.Errorf("log: %+v", log)
	}
}

func TestOneBadGatewayIsForgiven(t *testing.T) {
	t.Parallel()
	for _, call := range [][2]string{
		{"GET", ""}, {"POST", "git/trees"}, {"POST", "git/commits"}, {"PATCH", "git/refs"},
	} {
		t.Run(strings.TrimSpace(call[0]+" "+call[1]), func(t *testing.T) {
			t.Parallel()
			w := start(t)
			w.hub.Inject(sandbox.BadGateway().On(call[0], call[1]).Once())
			if r := w.post(mission); r.status != http.StatusCreated {
				t.Fatalf("status %d: %s", r.status, r.body)
			}
			if log := w.log(); len(log) != 2 {
				t.Errorf("%d commits", len(log))
			}
		})
	}
}

func TestServersThatSpeakLess(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sandbox.Settings){
		"base64 blobs":        func(s *sandbox.Settings) { s.Base64Blobs = true },
		"branch without tree": func(s *sandbox.Settings) { s.BranchWithoutTree = true },
		"no tarball":          func(s *sandbox.Settings) { s.NoTarball = true },
		"no branches":         func(s *sandbox.Settings) { s.NoBranches = true },
		"all of these":        func(s *sandbox.Settings) { s.Base64Blobs, s.BranchWithoutTree, s.NoTarball = true, true, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			w.hub.Configure(change)
			if r := w.post(mission); r.status != http.StatusCreated {
				t.Errorf("status %d: %s", r.status, r.body)
			}
			if r := w.post(mission); r.update.Status != api.StatusUnchanged {
				t.Errorf("status %d: %s", r.status, r.body)
			}
		})
	}
}

// TestRefusalOfTheRef reads the head again after any 422 or 409, whatever the text.
func TestRefusalOfTheRef(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Update is not a fast forward", "Reference cannot be updated", "Reference update failed", "something new"} {
		for _, status := range []int{422, 409} {
			t.Run(text, func(t *testing.T) {
				t.Parallel()
				w := start(t)
				w.hub.Inject(sandbox.Competitor(sandbox.Push{
					Branch: "main", Message: "me first", Files: map[string]string{"other.yaml": "a: 1\n"},
				}).On("PATCH", "git/refs").Once())
				w.hub.Inject(sandbox.Refuse(status, text).On("PATCH", "git/refs").Once())
				if r := w.post(mission); r.status != http.StatusCreated {
					t.Errorf("%d %s: status %d: %s", status, text, r.status, r.body)
				}
			})
		}
	}
}
