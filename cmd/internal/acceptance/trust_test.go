package acceptance_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const audience = "https://versions.example.com"

// jobs is an issuer whose jobs are callers.
type jobs struct {
	*sandbox.Issuer
	url string
}

func newJobs(t *testing.T) *jobs {
	t.Helper()
	j := &jobs{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { j.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	j.url = server.URL
	issuer, err := sandbox.NewIssuer(j.url, map[string]any{
		"sub":        "repo:refty-yapi/refty-node/refty-node:ref:refs/heads/main",
		"repository": "refty-yapi/refty-node", "repository_id": "7", "repository_owner_id": "42",
		"event_name": "push", "ref": "refs/heads/main", "sha": "0123abc", "run_id": "99",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	j.Issuer = issuer
	return j
}

// token is what a job gets from the issuer, with claims of its own.
func (j *jobs) token(t *testing.T, changed map[string]any) string {
	t.Helper()
	token, err := j.Sign(audience, changed)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

// withRules gives the program callers and rules: jobs move images below the name of
// their repository, and the bot moves what is released.
func withRules(j *jobs) option {
	return func(w *world) {
		withConfig(fmt.Sprintf(`
callers:
  - name: ours
    oidc: {issuer: %q, claims: {repository_owner_id: 42}}
  - name: bot
    tokens: [{value: token-of-the-release-bot}]
    read: all
rules:
  - name: own-image
    callers: [ours]
    images: ["ghcr.io/${repository}", "ghcr.io/${repository}/**"]
  - name: releases
    callers: [bot]
    images: ["ghcr.io/refty-yapi/**"]
    versions: {semver: ">=1.0.0"}
`, j.url))(w)
		w.env["OIDC_AUDIENCE"] = audience
		delete(w.env, "AUTH")
	}
}

func TestJobsMoveTheirOwnImages(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := start(t, withRules(j))
	tests := []struct {
		name, token, body string
		status            int
		code              api.ProblemCode
		says              string
	}{
		{"no token", "", mission, http.StatusUnauthorized, api.ProblemCodeUnauthenticated, "send a caller's token"},
		{"a token for somebody else", "Bearer " + must(j.Sign("https://other.example.com", nil)), mission, http.StatusUnauthorized, api.ProblemCodeUnauthenticated, "another audience"},
		{"another owner", j.token(t, map[string]any{"repository_owner_id": "43"}), mission, http.StatusForbidden, api.ProblemCodeForbidden, "fit no caller"},
		{"a fork's pull request", j.token(t, map[string]any{"event_name": "pull_request"}), mission, http.StatusForbidden, api.ProblemCodeForbidden, "stranger's code"},
		{"another image", j.token(t, nil), `{"image": "` + worker + `", "version": "v2"}`, http.StatusForbidden, api.ProblemCodePolicyDenied, "own-image"},
		{"another repository", j.token(t, map[string]any{"repository": "refty-yapi/bigquery"}), mission, http.StatusForbidden, api.ProblemCodePolicyDenied, "own-image"},
		{"a source that is not the token's", j.token(t, nil), `{"image": "` + node + `", "version": "v2", "source": {"repository": "octo-org/other"}}`, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest, "/source/repository"},
		{"a version that is no release", "Bearer token-of-the-release-bot", mission, http.StatusForbidden, api.ProblemCodePolicyDenied, "MAJOR.MINOR.PATCH"},
	}
	for _, test := range tests {
		r := w.post(test.body, "Authorization", test.token)
		if r.status != test.status || r.problem.Code != test.code || !strings.Contains(r.body, test.says) {
			t.Errorf("%s: status %d: %s", test.name, r.status, r.body)
		}
	}
	if got := len(w.hub.Requests()); got != 0 {
		t.Errorf("what was refused cost %d requests to GitHub", got)
	}

	r := w.post(mission, "Authorization", j.token(t, nil))
	if r.status != http.StatusCreated {
		t.Fatalf("its own image: status %d: %s", r.status, r.body)
	}
	message := w.log()[0].Message
	for _, trailer := range []string{"Requested-By: ours", "Rule: own-image", "Source-Repository: refty-yapi/refty-node", "Source-Revision: 0123abc"} {
		if !strings.Contains(message, trailer) {
			t.Errorf("the commit's message lacks %q:\n%s", trailer, message)
		}
	}
	if r := w.post(`{"image": "`+worker+`", "version": "v1.2.3"}`, "Authorization", "Bearer token-of-the-release-bot"); r.status != http.StatusCreated {
		t.Errorf("a release: status %d: %s", r.status, r.body)
	}
	if logs := w.logs.String(); !strings.Contains(logs, `"msg":"audit"`) || strings.Contains(logs, "token-of-the-release-bot") {
		t.Error("the log has no audit line, or a secret")
	}
}

// An audit line has the claims by which a token is the caller, and those of the rule,
// whatever they are called, and none of the others.
func TestAuditHasTheClaimsThatCounted(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := start(t, func(w *world) {
		withConfig(fmt.Sprintf(`
callers:
  - name: teams
    oidc: {issuer: %q, claims: {repository_owner_id: 42, repo_property_team: [web, shop]}}
rules:
  - {name: own-image, callers: [teams], images: ["ghcr.io/${repo_property_path}/**"]}
`, j.url))(w)
		w.env["OIDC_AUDIENCE"] = audience
		delete(w.env, "AUTH")
	})
	token := j.token(t, map[string]any{"repo_property_team": "shop", "repo_property_path": "refty-yapi/refty-node", "runner_environment": "self-hosted"})
	if r := w.post(mission, "Authorization", token); r.status != http.StatusCreated {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	var line string
	for l := range strings.Lines(w.logs.String()) {
		if strings.Contains(l, `"msg":"audit"`) {
			line = l
		}
	}
	for _, want := range []string{
		`"caller":"teams"`, `"rule":"own-image"`, `"image":"` + node + `"`, `"outcome":"allowed"`,
		`"claim_repository_owner_id":"42"`, `"claim_repo_property_team":"shop"`, `"claim_repo_property_path":"refty-yapi/refty-node"`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("the line lacks %s: %s", want, line)
		}
	}
	if strings.Contains(line, "runner_environment") {
		t.Errorf("a claim that did not count is in the line: %s", line)
	}
}

func (w *world) retryAs(id, authorization string) reply {
	w.t.Helper()
	r, err := w.try(http.MethodPost, "/v1/updates/"+id+"/retry", nil, "Authorization", authorization)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A caller sees what its rules cover, and tries again what they allow.
func TestCallersSeeWhatTheirRulesCover(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := start(t, withRules(j))
	own, bot := j.token(t, nil), "Bearer token-of-the-release-bot"
	var ids []string
	for _, step := range []struct{ body, token string }{
		{mission, own},
		{`{"image": "` + worker + `", "version": "v1.2.3"}`, bot},
		{`{"image": "ghcr.io/refty-yapi/refty-node/absent", "version": "v1"}`, own},
	} {
		w.post(step.body, "Authorization", step.token)
	}
	for _, u := range w.get("/v1/updates", "Authorization", bot).page.Updates {
		ids = append(ids, u.Id)
	}
	if len(ids) != 3 {
		t.Fatalf("who reads all sees %d updates, want 3", len(ids))
	}
	if some := w.get("/v1/updates", "Authorization", own).page.Updates; len(some) != 2 || *some[1].Image != node {
		t.Errorf("a job sees %+v", some)
	}
	if r := w.get("/v1/updates/"+ids[1], "Authorization", own); r.status != http.StatusNotFound {
		t.Errorf("another's update: status %d", r.status)
	}
	if r := w.retryAs(ids[1], own); r.status != http.StatusNotFound {
		t.Errorf("to try another's update again: status %d", r.status)
	}
	if r := w.retryAs(ids[0], bot); r.status != http.StatusForbidden || r.problem.Code != api.ProblemCodePolicyDenied {
		t.Errorf("to try again what no rule allows: status %d: %s", r.status, r.body)
	}
	if r := w.retryAs(ids[0], own); r.status != http.StatusAccepted {
		t.Errorf("to try its own again: status %d: %s", r.status, r.body)
	}
}

// One job's key is not another's, although both are one caller.
func TestJobsHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := start(t, withRules(j))
	other := map[string]any{"repository": "refty-yapi/bigquery", "sub": "repo:refty-yapi/bigquery:ref:refs/heads/main"}
	first := w.post(mission, "Authorization", j.token(t, nil), "Idempotency-Key", "build-1")
	second := w.post(`{"image": "`+worker+`", "version": "v2"}`, "Authorization", j.token(t, other), "Idempotency-Key", "build-1")
	if first.status != http.StatusCreated || second.status != http.StatusCreated {
		t.Errorf("status %d: %s\nstatus %d: %s", first.status, first.body, second.status, second.body)
	}
}

// While the issuer is away, nobody is told that the token is wrong.
func TestIssuerIsAway(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := start(t, withRules(j))
	j.SetAway(true)
	if r := w.post(mission, "Authorization", j.token(t, nil)); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if r := w.post(`{"image": "`+worker+`", "version": "v1.2.3"}`, "Authorization", "Bearer token-of-the-release-bot"); r.status != http.StatusCreated {
		t.Errorf("a caller with a secret: status %d: %s", r.status, r.body)
	}
}

// A caller's several targets: those that no rule allows are left out, and an image
// that no permitted target names is not referenced.
func TestRulesNarrowTheTargets(t *testing.T) {
	t.Parallel()
	w := start(t, withRepository("octo-org/infra", map[string]string{"web.yaml": deployment(node + ":1")}), withConfig(`targets:
  - {name: staging, repository: refty-yapi/refty-infra-test}
  - {name: production, repository: octo-org/infra}
callers:
  - {name: ci, tokens: [{value: token-of-a-continuous-build}], read: own}
rules:
  - {name: staging-only, callers: [ci], images: ["ghcr.io/refty-yapi/**"], targets: [staging]}
`), withEnv("AUTH", ""))
	ci := "Bearer token-of-a-continuous-build"
	r := w.post(mission, "Authorization", ci)
	if r.status != http.StatusCreated || len(r.update.Targets) != 1 {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	r = w.post(`{"image": "`+node+`", "version": "v2", "repository": "octo-org/infra"}`, "Authorization", ci)
	if r.status != http.StatusForbidden || !strings.Contains(r.body, "the target production is none of staging") {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if p := r.problem; p.Rule == nil || *p.Rule != "staging-only" || p.Reasons == nil || len(*p.Reasons) != 1 {
		t.Errorf("rule and reasons: %s", r.body)
	}
}

// An error tells a caller of no target that it may not read of.
func TestErrorsTellOfACallersOwnTargets(t *testing.T) {
	t.Parallel()
	w := start(t, withRepository("octo-org/infra", map[string]string{"web.yaml": deployment(node + ":1")}), withConfig(`targets:
  - {name: staging, repository: refty-yapi/refty-infra-test}
  - {name: production, repository: octo-org/infra}
callers:
  - {name: ci, tokens: [{value: token-of-a-continuous-build}], read: own}
  - {name: new, tokens: [{value: token-of-a-new-build}], read: own}
rules:
  - {name: staging-only, callers: [ci], images: ["ghcr.io/refty-yapi/**"], targets: [staging]}
`), withEnv("AUTH", ""))
	ci, nobody := "Bearer token-of-a-continuous-build", "Bearer token-of-a-new-build"
	for _, test := range []struct{ path, body, bearer, want string }{
		{"/v1/updates", `{"image": "` + node + `", "version": "2", "repository": "octo-org/none"}`, ci, "; it writes to staging (refty-yapi/refty-infra-test"},
		{"/v1/updates", `{"image": "` + node + `", "version": "2", "repository": "octo-org/none"}`, nobody, "octo-org/none is not a target of this service"},
		{"/v1/holds", `{"image": "` + node + `", "target": "test"}`, ci, "test is no target; there are staging"},
		{"/v1/rollbacks", `{"image": "` + node + `", "target": "test", "reason": "it fails"}`, nobody, "test is no target"},
		{"/v1/promotions", `{"from": "test", "to": "staging"}`, ci, "test is no target; there are staging"},
	} {
		r := w.call(http.MethodPost, test.path, test.bearer, test.body)
		if r.status < 400 || r.status > 499 || !strings.Contains(r.body, test.want) || strings.Contains(r.body, "production") || strings.Contains(r.body, "octo-org/infra") {
			t.Errorf("%s %s: status %d: %s", test.path, test.body, r.status, r.body)
		}
		if test.bearer == nobody && strings.Contains(r.body, "staging") {
			t.Errorf("%s: a caller without a rule is told of staging: %s", test.path, r.body)
		}
	}
}

func TestTrustThatIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	const oidc = "callers: [{name: ours, oidc: {issuer: github, claims: {repository_owner_id: 42}}}]\n"
	for name, test := range map[string]struct {
		config string
		env    []string
		want   string
	}{
		"no audience":          {oidc + "rules: []\n", nil, "OIDC_AUDIENCE"},
		"no rules":             {oidc, []string{"OIDC_AUDIENCE=" + audience}, "needs rules"},
		"AUTH=none and rules":  {"rules: []\n", []string{"AUTH=none"}, "AUTH: none contradicts"},
		"no callers":           {"rules: []\n", nil, "API_TOKENS"},
		"an unknown caller":    {"rules: [{name: r, callers: [ours], images: [nginx]}]\n", []string{"API_TOKENS=ci=" + callerToken}, "is no caller; there are ci"},
		"a claim of a choice":  {oidc + "rules: [{name: r, callers: [ours], images: ['ghcr.io/octo-org/${ref}']}]\n", []string{"OIDC_AUDIENCE=" + audience}, "chooses the claim ref"},
		"a pattern of a claim": {oidc + "rules: [{name: r, callers: [ours], images: ['${repository}']}]\n", []string{"OIDC_AUDIENCE=" + audience}, "write the registry out"},
		"no pinning claim":     {"callers: [{name: ours, oidc: {issuer: github, claims: {actor: octocat}}}]\nrules: []\n", []string{"OIDC_AUDIENCE=" + audience}, "no claim pins"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir() + "/config.yaml"
			if err := os.WriteFile(path, []byte(test.config), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := service.ReadEnvironment(env(append([]string{"GITHUB_REPOSITORY=o/r", "GITHUB_TOKEN=t", "CONFIG_FILE=" + path}, test.env...)...))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error with %q", err, test.want)
			}
		})
	}
}
