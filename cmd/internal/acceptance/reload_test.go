package acceptance_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// volume is a ConfigMap or Secret as Kubernetes mounts it: its files are links through
// ..data, which is replaced as a whole.
type volume struct {
	t       *testing.T
	dir     string
	content map[string]string
	version int
}

func newVolume(t *testing.T, content map[string]string) *volume {
	t.Helper()
	v := &volume{t: t, dir: t.TempDir(), content: map[string]string{}}
	v.swap(content)
	for name := range content {
		v.must(os.Symlink(filepath.Join("..data", name), v.path(name)))
	}
	return v
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

func (v *volume) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// swap replaces some of the files, in the steps of kubelet's atomic writer.
func (v *volume) swap(changed map[string]string) {
	v.t.Helper()
	maps.Copy(v.content, changed)
	v.version++
	fresh := fmt.Sprintf("..2026_11_25_%d", v.version)
	v.must(os.Mkdir(v.path(fresh), 0o700))
	for name, content := range v.content {
		v.must(os.WriteFile(filepath.Join(v.path(fresh), name), []byte(content), 0o600))
	}
	v.must(os.Symlink(fresh, v.path("..data_tmp")))
	before, _ := os.Readlink(v.path("..data"))
	v.must(os.Rename(v.path("..data_tmp"), v.path("..data")))
	if before != "" {
		v.must(os.RemoveAll(v.path(before)))
	}
}

// reloads waits until so many reloads came to a result, and wants no more.
func (w *world) reloads(result string, want int) {
	w.t.Helper()
	line := fmt.Sprintf("versions_service_config_reloads_total{result=%q} %d\n", result, want)
	for deadline := time.Now().Add(patience); !strings.Contains(w.get("/metrics").body, line); <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never %s%s", line, w.logs)
		}
	}
}

const stagingTarget = "targets:\n  - {name: staging, repository: refty-yapi/refty-infra-test}\n"

func TestReload(t *testing.T) {
	t.Parallel()
	const rules = "rules:\n  - {name: all, callers: [ci], images: ['ghcr.io/refty-yapi/**']}\n"
	v := newVolume(t, map[string]string{
		"config.yaml": stagingTarget + rules, "callers": "ci=" + callerToken, "github": githubToken, "hook": "the-first-secret-of-hub",
	})
	w := prepare(t, withRepository("octo-org/infra", map[string]string{"web.yaml": deployment(node + ":1")}),
		withEnv("AUTH", ""), withEnv("GITHUB_TOKEN", ""), withEnv("GITHUB_REPOSITORY", ""), withEnv("CONFIG_FILE", v.path("config.yaml")),
		withEnv("API_TOKENS_FILE", v.path("callers")), withEnv("GITHUB_TOKEN_FILE", v.path("github")))
	w.watchEvery = 5 * time.Millisecond
	w.run()
	as := func(token string) []string { return []string{"Authorization", "Bearer " + token} }

	const rotated = "another-token-of-ci-that-nobody-may-see"
	v.swap(map[string]string{"callers": "ci=" + rotated})
	w.reloads("applied", 1)
	wantProblem(t, w.post(mission, as(callerToken)...), http.StatusUnauthorized, api.ProblemCodeUnauthenticated)
	if r := w.post(mission, as(rotated)...); r.status != http.StatusCreated {
		t.Errorf("with the new token: %d: %s", r.status, r.body)
	}

	const nextGitHub = "another-token-of-github-that-nobody-may-see"
	w.hub.AddToken(nextGitHub, sandbox.Token{Name: "next"})
	v.swap(map[string]string{"github": nextGitHub})
	w.reloads("applied", 2)
	mark := w.mark()
	if r := w.post(`{"image": "`+node+`", "version": "v2"}`, as(rotated)...); r.status != http.StatusCreated {
		t.Errorf("with GitHub's new token: %d: %s", r.status, r.body)
	}
	for _, request := range w.calls()[mark:] {
		if request.Token != "next" {
			t.Errorf("%s is sent with the credential %q", request.Endpoint, request.Token)
		}
	}

	t.Run("in flight", func(t *testing.T) { testReloadInFlight(t, w, v, rules, as(rotated)) })
	t.Run("refused", func(t *testing.T) { testReloadsRefused(t, w, v, as(rotated)) })
	for _, secret := range []string{callerToken, rotated, githubToken, nextGitHub, "the-second-secret-of-hub"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
}

// testReloadInFlight adds a target and a source, and takes the source away while a
// request is under way.
func testReloadInFlight(t *testing.T, w *world, v *volume, rules string, as []string) {
	const production = "  - {name: production, repository: octo-org/infra}\n"
	hook := "webhooks:\n  - {name: hub, kind: generic, secrets: [{file: " + v.path("hook") + "}], generic: {image: /i, version: /v, bearer: true}}\n"
	push := func(secret string) reply {
		return w.deliver("hub", `{"i": "`+node+`", "v": "v3"}`, "Content-Type", "application/json", "Authorization", "Bearer "+secret)
	}
	wantProblem(t, push("the-first-secret-of-hub"), http.StatusNotFound, api.ProblemCodeNotFound)
	v.swap(map[string]string{"config.yaml": stagingTarget + production + hook + rules})
	w.reloads("applied", 3)
	accepted := push("the-first-secret-of-hub")
	wantReceipt(t, accepted, http.StatusAccepted, api.ReceiptStatusQueued)
	if ended := w.ended(*accepted.receipt.Id, as...); ended.Status != api.StatusCommitted || len(ended.Targets) != 2 {
		t.Errorf("on the targets of before and the new one: %+v", ended)
	}
	v.swap(map[string]string{"hook": "the-second-secret-of-hub"})
	w.reloads("applied", 4)
	wantProblem(t, push("the-first-secret-of-hub"), http.StatusUnauthorized, api.ProblemCodeUnauthenticated)
	if r := push("the-second-secret-of-hub"); r.status != http.StatusOK {
		t.Errorf("a redelivery with the new secret: %d: %s", r.status, r.body)
	}

	call := w.hold("POST", "git/trees")
	answer := w.posted(`{"image": "`+node+`", "version": "v4", "repository": "octo-org/infra"}`, as...)
	<-call.reached
	v.swap(map[string]string{"config.yaml": stagingTarget + rules})
	w.reloads("applied", 5)
	wantProblem(t, w.post(`{"image": "`+node+`", "version": "v4", "repository": "octo-org/infra"}`, as...), http.StatusNotFound, api.ProblemCodeRepositoryNotFound)
	if got := w.get("/readyz").body; strings.Contains(got, "octo-org/infra") {
		t.Errorf("the target that is gone is ready: %s", got)
	}
	call.release()
	if r := <-answer; r.status != http.StatusCreated || r.update.Targets[0].Repository != "octo-org/infra" {
		t.Errorf("the request that began before: %d: %s", r.status, r.body)
	}
}

// testReloadsRefused breaks the file in many ways.
func testReloadsRefused(t *testing.T, w *world, v *volume, as []string) {
	good := v.content["config.yaml"]
	for i, test := range []struct{ config, says string }{
		{"targets: [", "not YAML"},
		{good + "colour: blue\n", "colour"},
		{stagingTarget, "rules are gone"},
		{good + "queue: {max_waiting: 7}\n", "queue cannot change while the service runs"},
		{good + "limits: {webhook_body: 70KiB}\n", "limits cannot change while the service runs"},
	} {
		v.swap(map[string]string{"config.yaml": test.config})
		w.reloads("refused", i+1)
		if !strings.Contains(w.logs.String(), test.says) {
			t.Errorf("nothing is logged of %q", test.says)
		}
	}
	if !strings.Contains(w.get("/metrics").body, "versions_service_config_current 0\n") {
		t.Error("the metric does not tell that other settings are in force")
	}
	if r := w.post(`{"image": "`+node+`", "version": "v5"}`, as...); r.status != http.StatusCreated {
		t.Errorf("what ran does not go on: %d: %s", r.status, r.body)
	}
	v.swap(map[string]string{"config.yaml": good})
	w.reloads("applied", 6)

	call := w.hold("POST", "git/trees")
	stored := w.post(`{"image": "`+node+`", "version": "v6"}`, append(as, "Prefer", "respond-async")...)
	<-call.reached
	v.swap(map[string]string{"config.yaml": strings.Replace(good, "name: staging", "name: renamed", 1)})
	w.reloads("refused", 6)
	if !strings.Contains(w.logs.String(), "the target staging is removed, renamed or on another branch, and stored updates wait for it") {
		t.Errorf("the refusal does not name the target:\n%s", w.logs)
	}
	call.release()
	w.reloads("applied", 7)
	w.reloads("refused", 6) // it was told once
	if ended := w.ended(stored.update.Id, as...); ended.Status != api.StatusCommitted {
		t.Errorf("the stored update: %+v", ended)
	}
	if r := w.post(`{"image": "`+node+`", "version": "v7"}`, as...); r.status != http.StatusCreated || !strings.Contains(r.body, `"renamed"`) {
		t.Errorf("on the renamed target: %d: %s", r.status, r.body)
	}
}

// TestHangupReloads has the program read its files again at once, though nothing
// changed.
func TestHangupReloads(t *testing.T) {
	t.Parallel()
	p := prepare(t, withData()).spawn()
	p.must(p.cmd.Process.Signal(syscall.SIGHUP))
	p.reloads("applied", 1)
	if r := p.post(mission); r.status != http.StatusCreated {
		t.Errorf("after it: %d: %s", r.status, r.body)
	}
}

// TestReloadKeepsKeys reloads while the issuer is away: the keys that are known go on.
func TestReloadKeepsKeys(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := prepare(t, withRules(j))
	w.watchEvery = 5 * time.Millisecond
	config, err := os.ReadFile(w.env["CONFIG_FILE"])
	w.must(err)
	v := newVolume(t, map[string]string{"config.yaml": string(config)})
	w.env["CONFIG_FILE"] = v.path("config.yaml")
	w.run()
	if r := w.post(mission, "Authorization", j.token(t, nil)); r.status != http.StatusCreated {
		t.Fatalf("before: %d: %s", r.status, r.body)
	}
	j.SetAway(true)
	v.swap(map[string]string{"config.yaml": strings.Replace(string(config), `"ghcr.io/${repository}/**"`, `"ghcr.io/${repository}/*"`, 1)})
	w.reloads("applied", 1)
	if r := w.post(`{"image": "`+node+`", "version": "v2"}`, "Authorization", j.token(t, nil)); r.status != http.StatusCreated {
		t.Errorf("after a reload without the issuer: %d: %s", r.status, r.body)
	}
}
