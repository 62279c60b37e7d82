package acceptance_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// TestOneAppForSeveralOwners writes to two accounts by one App: what is wrong on one
// of them is not the other's.
func TestOneAppForSeveralOwners(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const ours, theirs = 8, 9
	w := prepare(t, withRepository("octo-org/infra", map[string]string{"web.yaml": deployment(node + ":1")}),
		withConfig("targets:\n  - {name: ours, repository: refty-yapi/refty-infra-test}\n  - {name: theirs, repository: octo-org/infra}\n"),
		withEnv("GITHUB_TOKEN", ""), withEnv("GITHUB_APP_ID", "7"), withEnv("GITHUB_APP_INSTALLATION_ID", fmt.Sprint(ours)),
		withEnv("GITHUB_APP_PRIVATE_KEY", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))))
	w.must(w.hub.AddApp(sandbox.App{ID: 7, Key: &key.PublicKey}))
	w.must(w.hub.Install(7, sandbox.Installation{ID: ours, Account: "refty-yapi"}))
	w.must(w.hub.Install(7, sandbox.Installation{ID: theirs, Account: "octo-org"}))
	w.run()

	w.must(w.hub.Suspend(theirs, true))
	w.wantApart(w.post(mission), api.ProblemCodeUpstreamUnauthorized)
	if ready := w.readyOf(); ready["refty-yapi/refty-infra-test"].State != api.GitHubReadinessStateOk || ready["octo-org/infra"].State != api.GitHubReadinessStateRefused {
		t.Errorf("readiness: %+v", ready)
	}
	if !strings.Contains(w.logs.String(), "the targets have several owners") {
		t.Error("nothing is said of the installation that is not used")
	}
	w.must(w.hub.Suspend(theirs, false))
	if r := w.post(`{"image": "` + node + `", "version": "v2"}`); r.status != http.StatusCreated || len(r.update.Targets) != 2 {
		t.Fatalf("on both: %d: %s", r.status, r.body)
	}
	for n := range 5 {
		if r := w.post(fmt.Sprintf(`{"image": %q, "version": "v2-%d", "repository": "octo-org/infra"}`, node, n)); r.status != http.StatusCreated {
			t.Fatalf("on the one that is back: %d: %s", r.status, r.body)
		}
	}

	spent := w.readyOf()["octo-org/infra"].RateLimit
	w.hub.Configure(func(s *sandbox.Settings) { s.Limiter.On, s.Limiter.PerHour = true, spent.Limit-spent.Remaining })
	w.wantApart(w.post(`{"image": "`+node+`", "version": "v3"}`), api.ProblemCodeUpstreamRateLimited)
	ready := w.readyOf()
	if ready["refty-yapi/refty-infra-test"].RateLimit.Remaining == 0 || ready["octo-org/infra"].RateLimit.Remaining != 0 {
		t.Errorf("limits: of ours %+v, of theirs %+v", *ready["refty-yapi/refty-infra-test"].RateLimit, *ready["octo-org/infra"].RateLimit)
	}
	metrics := w.get("/metrics").body
	if !strings.Contains(metrics, `versions_service_github_rate_limit_remaining{owner="octo-org"} 0`) || strings.Contains(metrics, `versions_service_github_rate_limit_remaining{owner="refty-yapi"} 0`) {
		t.Error("the metrics do not tell the limits of each owner")
	}
}

// wantApart expects an update that is committed on the first target, and fails on the
// second one.
func (w *world) wantApart(r reply, code api.ProblemCode) {
	w.t.Helper()
	if r.status != http.StatusMultiStatus || r.update.Targets[0].Status != api.StatusCommitted ||
		r.update.Targets[1].Problem == nil || r.update.Targets[1].Problem.Code != code {
		w.t.Fatalf("status %d: %s", r.status, r.body)
	}
}

// readyOf is what /readyz tells of each repository.
func (w *world) readyOf() map[string]api.GitHubReadiness {
	w.t.Helper()
	var answer api.Readiness
	w.must(json.Unmarshal([]byte(w.get("/readyz").body), &answer))
	of := map[string]api.GitHubReadiness{}
	for _, known := range answer.Github {
		of[known.Repository] = known
	}
	return of
}
