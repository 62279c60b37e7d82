package acceptance_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// One higher reference fails its whole target; another target goes on.
func TestDowngradeIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{"apps/web.yaml": deployment("ghcr.io/octo-org/web:1.0.0"), "apps/next.yaml": deployment("ghcr.io/octo-org/web:v2.1.0")}),
		withRepository("octo-org/infra", map[string]string{"web.yaml": deployment("ghcr.io/octo-org/web:1.0.0")}),
		withConfig(`targets:
  - {name: staging, repository: refty-yapi/refty-infra-test, downgrade: refuse}
  - {name: production, repository: octo-org/infra}
callers:
  - {name: releases, tokens: [{value: token-of-the-release-bot}]}
  - {name: ops, tokens: [{value: token-of-operations}]}
rules:
  - {name: releases, callers: [releases], images: ["ghcr.io/octo-org/**"], downgrade: refuse}
  - {name: ops, callers: [ops], images: ["**"]}
`), withEnv("AUTH", ""))
	const bot = "Bearer token-of-the-release-bot"
	body := func(version, more string) string {
		return `{"image": "ghcr.io/octo-org/web", "version": "` + version + `"` + more + `}`
	}
	r := w.post(body("2.0.0", ""), "Authorization", bot)
	if r.status != http.StatusMultiStatus || r.update.Targets[1].Status != api.StatusCommitted {
		t.Fatalf("on one of two targets: status %d: %s", r.status, r.body)
	}
	p := r.update.Targets[0].Problem
	if p == nil || p.Code != api.ProblemCodePolicyDenied || p.Rule != nil || p.Reasons == nil || (*p.Reasons)[0] != "apps/next.yaml:8 has v2.1.0, of which 2.0.0 is a downgrade" {
		t.Errorf("the refused one: %s", r.body)
	}
	r = w.post(body("1.5.0", ""), "Authorization", bot)
	if r.status != http.StatusMultiStatus && r.status != http.StatusForbidden || strings.Contains(r.body, `"committed"`) {
		t.Errorf("on both: status %d: %s", r.status, r.body)
	}
	r = w.post(body("1.5.0", `, "repository": "octo-org/infra"`), "Authorization", bot)
	wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if p := r.problem; p.Rule == nil || *p.Rule != "releases" || !strings.Contains(p.Detail, "web.yaml:8") {
		t.Errorf("by a rule: %s", r.body)
	}
	r = w.post(body("1.5.0", `, "repository": "octo-org/infra", "dry_run": true`), "Authorization", bot)
	if r.status != http.StatusOK || r.update.Status != api.StatusPlanned || r.update.Targets[0].Problem == nil || r.update.Targets[0].Diff == nil {
		t.Errorf("a dry run: status %d: %s", r.status, r.body)
	}
	r = w.post(body("main-7", ""), "Authorization", bot)
	wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if r := w.post(body("1.5.0", `, "repository": "octo-org/infra"`), "Authorization", asOps); r.status != http.StatusCreated {
		t.Errorf("by a rule that allows it: status %d: %s", r.status, r.body)
	}
	r = w.post(body("1.0.0", `, "repository": "octo-org/infra"`), "Authorization", bot, "Prefer", "wait=20")
	wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if p := r.problem; p.Rule == nil || *p.Rule != "releases" || !strings.Contains(p.Detail, "web.yaml:8") {
		t.Errorf("a stored one: %s", r.body)
	}
	audited, stored := 0, 0
	for line := range strings.Lines(w.logs.String()) {
		if strings.Contains(line, `"msg":"audit"`) && strings.Contains(line, "is a downgrade") && strings.Contains(line, `"outcome":"denied"`) {
			audited++
			if strings.Contains(line, `"update":"`) && strings.Contains(line, `"caller":"releases","rule":"releases"`) {
				stored++
			}
		}
	}
	if audited < 5 || stored != 1 {
		t.Errorf("%d audit lines of downgrades, %d of them of a stored update, want 1", audited, stored)
	}
}

// The versions of a target hold for webhooks too.
func TestVersionsOfATarget(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(target(`versions: {semver: ">=1.0.0"}`)+
		"webhooks:\n  - {name: builds, kind: generic, secrets: [{value: secret-of-the-builds}], generic: {image: /image, version: /version, bearer: true}}\n"))
	r := w.post(mission)
	wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if !strings.Contains(r.body, "05-06-42a252 is no MAJOR.MINOR.PATCH") || len(w.hub.Requests()) > 0 {
		t.Errorf("%d requests to GitHub: %s", len(w.hub.Requests()), r.body)
	}
	delivered := w.deliver("builds", mission, "Authorization", "Bearer secret-of-the-builds")
	if delivered.status != http.StatusOK || !strings.Contains(delivered.body, "is no MAJOR.MINOR.PATCH") {
		t.Errorf("a webhook: status %d: %s", delivered.status, delivered.body)
	}
	if r := w.post(`{"image": "` + node + `", "version": "1.0.0"}`); r.status != http.StatusCreated {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}

// Rules that are only watched let everything through, and tell what they would deny.
func TestAuditPolicy(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{"apps/web.yaml": deployment("ghcr.io/octo-org/web:2.0.0")}), withConfig(`
callers:
  - {name: releases, tokens: [{value: token-of-the-release-bot}]}
rules:
  - {name: releases, callers: [releases], images: ["ghcr.io/octo-org/**"], downgrade: refuse}
policy: audit
`), withEnv("AUTH", ""))
	const bot = "Bearer token-of-the-release-bot"
	denied := func(n *api.PolicyNote) api.WouldDeny {
		if n == nil || len(n.WouldDeny) != 1 {
			t.Errorf("would_deny %+v, want one", n)
			return api.WouldDeny{Reasons: []string{""}}
		}
		return n.WouldDeny[0]
	}
	r := w.post(mission, "Authorization", bot)
	d := denied(r.update.Policy)
	if r.status != http.StatusCreated || d.Target != repoName || *d.Rule != "releases" || !strings.Contains(d.Reasons[0], "is none of ghcr.io/octo-org/**") {
		t.Errorf("another image: status %d: %s", r.status, r.body)
	}
	if strings.Contains(w.log()[0].Message, "Rule:") {
		t.Errorf("a rule that allows nothing is in the message:\n%s", w.log()[0].Message)
	}
	r = w.post(`{"image": "ghcr.io/octo-org/web", "version": "1.0.0"}`, "Authorization", bot)
	if d := denied(r.update.Policy); r.status != http.StatusCreated || d.Reasons[0] != "apps/web.yaml:8 has 2.0.0, of which 1.0.0 is a downgrade" {
		t.Errorf("a downgrade: status %d: %s", r.status, r.body)
	}
	stored := w.post(`{"image": "`+worker+`", "version": "v3"}`, "Authorization", bot, "Prefer", "respond-async")
	denied(stored.update.Policy)
	if record := w.ended(stored.update.Id, "Authorization", bot); record.Status != api.StatusCommitted || denied(record.Policy).Target != repoName {
		t.Errorf("a stored one: %+v", record)
	}
	if page := w.get("/v1/updates", "Authorization", bot).page; len(page.Updates) != 3 {
		t.Errorf("it sees %d updates, want all", len(page.Updates))
	}
	if logs := w.logs.String(); !strings.Contains(logs, `"msg":"audit"`) || !strings.Contains(logs, `"outcome":"would_deny"`) {
		t.Error("the log has no audit line of what would be denied")
	}
	r = w.post(`{"image": "ghcr.io/octo-org/web", "version": "1.0.0"}`, "Authorization", bot)
	if r.update.Policy != nil {
		t.Errorf("what is allowed: %s", r.body)
	}
}

// registry is a registry on loopback with one image, of several platforms.
type registry struct {
	host, digest string
	mu           sync.Mutex
	heads        int
	away         bool
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{}
	served := fake.New(fake.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		if request.Method == http.MethodHead {
			r.heads++
		}
		away := r.away
		r.mu.Unlock()
		if away {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "maintenance")
			return
		}
		served.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	r.push(t, "2.0.0")
	return r
}

func (r *registry) push(t *testing.T, version string) {
	t.Helper()
	index := must(random.Index(16, 1, 2))
	if err := remote.WriteIndex(must(name.NewTag(r.host+"/octo-org/web:"+version)), index); err != nil {
		t.Fatal(err)
	}
	r.digest = must(index.Digest()).String()
	r.mu.Lock()
	r.heads = 0
	r.mu.Unlock()
}

func (r *registry) setAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

func TestRegistryIsAskedFirst(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	image := reg.host + "/octo-org/web"
	pinned := "@sha256:" + strings.Repeat("1", 64)
	w := start(t, withFiles(map[string]string{"tags/web.yaml": deployment(image + ":1.0.0"), "digests/web.yaml": deployment(image + ":1.0.0" + pinned), "may/web.yaml": deployment(image + ":1.0.0")}),
		withConfig(`targets:
  - {name: tags, repository: refty-yapi/refty-infra-test, paths: {include: ["tags/**"]}, registry: {check: tag}}
  - {name: digests, repository: refty-yapi/refty-infra-test, paths: {include: ["digests/**"]}, registry: {check: digest}}
  - {name: may, repository: refty-yapi/refty-infra-test, paths: {include: ["may/**"]}, registry: {check: tag, on_error: allow}}
registries:
  - {host: "`+reg.host+`", insecure: true}
`))
	body := func(version, more string) string {
		return `{"image": "` + image + `", "version": "` + version + `"` + more + `}`
	}
	head := w.head()
	r := w.post(body("9.9.9", `, "paths": ["tags/**"]`))
	wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeImageNotFound)
	if !strings.Contains(r.problem.Detail, "the registry "+reg.host+" has no "+image+":9.9.9") || w.head() != head {
		t.Errorf("%s", r.body)
	}
	stored := w.post(body("9.9.9", `, "paths": ["tags/**"]`), "Prefer", "wait=1")
	if stored.status != http.StatusAccepted {
		t.Errorf("a stored one: status %d: %s", stored.status, stored.body)
	}
	if record := w.waits(stored.update.Id); record.Targets[0].Problem.Code != api.ProblemCodeImageNotFound || record.NextAttemptAt == nil {
		t.Errorf("a stored one waits for the push: %+v", record)
	}

	reg.setAway(true)
	r = w.post(body("2.0.0", `, "paths": ["tags/**"]`))
	wantProblem(t, r, http.StatusBadGateway, api.ProblemCodeUpstreamError)
	r = w.post(body("2.0.0", `, "paths": ["may/**"]`))
	if r.status != http.StatusCreated || r.update.Targets[0].Notes == nil || !strings.Contains((*r.update.Targets[0].Notes)[0], reg.host) {
		t.Errorf("on_error: allow: status %d: %s", r.status, r.body)
	}
	reg.setAway(false)
	reg.push(t, "2.0.0")

	r = w.post(body("2.0.0", ""))
	if r.status != http.StatusCreated {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if got, want := w.file("digests/web.yaml"), deployment(image+":2.0.0@"+reg.digest); got != want {
		t.Errorf("check: digest wrote\n%s", got)
	}
	if got, want := w.file("tags/web.yaml"), deployment(image+":2.0.0"); got != want {
		t.Errorf("check: tag wrote\n%s", got)
	}
	reg.mu.Lock()
	defer reg.mu.Unlock()
	if reg.heads != 1 {
		t.Errorf("%d HEADs for one new version on three targets, want 1", reg.heads)
	}
}

// A registry that nobody listed is not asked at a private address, whoever names it.
func TestPrivateRegistryIsNotAsked(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	image := reg.host + "/octo-org/web"
	w := start(t, withFiles(map[string]string{"apps/web.yaml": deployment(image + ":1.0.0")}), withConfig(target("registry: {check: tag}")))
	r := w.post(`{"image": "` + image + `", "version": "2.0.0"}`)
	wantProblem(t, r, http.StatusBadGateway, api.ProblemCodeUpstreamError)
	if !strings.Contains(r.problem.Detail, "registries in CONFIG_FILE") || reg.heads > 0 {
		t.Errorf("%d HEADs: %s", reg.heads, r.body)
	}
}
