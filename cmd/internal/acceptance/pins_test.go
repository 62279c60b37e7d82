package acceptance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// pinned is the digest that pushed tells.
var pinned = "sha256:" + strings.Repeat("a", 64)

func withDigestOf(version, more string) string {
	return `{"image": "` + node + `", "version": "` + version + `", "digest": "` + pinned + `"` + more + `}`
}

// A target that pins digests gets them everywhere, and nothing without one; another target
// goes on without.
func TestDigestsArePinned(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{
		"pinned/web.yaml":           "\ufeff" + strings.ReplaceAll(deployment(node+":1.0.0"), "\n", "\r\n"),
		"pinned/values.yaml":        "image: {repository: " + node + ", tag: '1.0.0', digest: ''}",
		"pinned/kustomization.yaml": "images:\n  - name: " + node + "\n    newTag: 1.0.0\n",
		"pinned/application.yaml":   "spec:\n  source: {repoURL: \"oci://" + node + "\", targetRevision: 1.0.0}\n",
		"free/web.yaml":             deployment(node + ":1.0.0"),
	}), withConfig(`targets:
  - {name: pinned, repository: refty-yapi/refty-infra-test, paths: {include: ["pinned/**"]}, pin_digests: true}
  - {name: free, repository: refty-yapi/refty-infra-test, paths: {include: ["free/**"]}}
webhooks:
  - {name: ghcr, kind: ghcr, secrets: [{value: `+hookSecret+`}], targets: [pinned]}
`))
	only := `, "paths": ["pinned/**"]`
	head := w.head()
	r := w.post(`{"image": "` + node + `", "version": "2.0.0"` + only + `}`)
	wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeDigestUnknown)
	if w.head() != head || !strings.Contains(r.problem.Detail, "pinned (refty-yapi/refty-infra-test@main) pins digests") {
		t.Errorf("without a digest: %s", r.body)
	}
	r = w.post(`{"image": "` + node + `", "version": "2.0.0", "dry_run": true` + only + `}`)
	if r.status != http.StatusOK || r.update.Status != api.StatusPlanned || r.update.Targets[0].Problem == nil || r.update.Targets[0].Problem.Code != api.ProblemCodeDigestUnknown {
		t.Errorf("a dry run: status %d: %s", r.status, r.body)
	}
	r = w.post(`{"image": "`+node+`", "version": "2.0.0"`+only+`}`, "Prefer", "wait=20")
	wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeDigestUnknown)
	r = w.post(setTo(node, "1.5.0"))
	if r.status != http.StatusMultiStatus || r.update.Targets[0].Problem.Code != api.ProblemCodeDigestUnknown || r.update.Targets[1].Status != api.StatusCommitted {
		t.Errorf("on both targets: status %d: %s", r.status, r.body)
	}

	r = w.post(withDigestOf("2.0.0", only))
	wantCommitted(t, r)
	wantFiles(w, "2.0.0@"+pinned, "tag: '2.0.0', digest: '"+pinned+"'")
	if skipped := r.update.Targets[0].Skipped; len(skipped) != 1 || skipped[0].Reason != "unpinnable" || skipped[0].Path != "pinned/application.yaml" {
		t.Errorf("what has no place for a digest: %+v", skipped)
	}
	if c := r.update.Targets[0].Files[0].Changes[0]; c.FromDigest != nil || *c.ToDigest != pinned {
		t.Errorf("the change: %+v", c)
	}
	if message := w.log()[0].Message; !strings.Contains(message, "\nVersion: 2.0.0\nDigest: "+pinned+"\n") {
		t.Errorf("the message:\n%s", message)
	}
	if again := w.post(withDigestOf("2.0.0", only)); again.status != http.StatusOK || again.update.Status != api.StatusUnchanged {
		t.Errorf("once more: status %d: %s", again.status, again.body)
	}
	body := pushed("3.0.0")
	delivered := w.deliver("ghcr", body, signed(body, "d1")...)
	if record := w.ended(*delivered.receipt.Id); record.Status != api.StatusCommitted {
		t.Errorf("a webhook: %+v", record)
	}
	wantFiles(w, "3.0.0@"+pinned, "tag: '3.0.0', digest: '"+pinned+"'")
	if listed := w.get("/v1/images?target=pinned").body; strings.Count(listed, `"digest":"`+pinned+`"`) != 3 || !strings.Contains(listed, `"state":"unpinnable"`) {
		t.Errorf("the images: %s", listed)
	}
}

// wantFiles checks the pinned files of TestDigestsArePinned.
func wantFiles(w *world, tag, fields string) {
	w.t.Helper()
	for path, want := range map[string]string{
		"pinned/web.yaml":           "\ufeff" + strings.ReplaceAll(deployment(node+":"+tag), "\n", "\r\n"),
		"pinned/values.yaml":        "image: {repository: " + node + ", " + fields + "}",
		"pinned/kustomization.yaml": "images:\n  - name: " + node + "\n    newTag: " + tag + "\n",
	} {
		if got := w.file(path); got != want {
			w.t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

// A pull request pins as a commit does, by the registry's digest where the request has none.
func TestDigestsArePinnedInAPullRequest(t *testing.T) {
	t.Parallel()
	reg := newRegistry(t)
	image := reg.host + "/octo-org/web"
	w := start(t, withFiles(map[string]string{"apps/web.yaml": deployment(image + ":1.0.0")}),
		withConfig(target("pin_digests: true, mode: pull_request, registry: {check: digest}")+"registries:\n  - {host: \""+reg.host+"\", insecure: true}\n"))
	wantProblem(t, w.post(setTo(image, "9.0.0")), http.StatusUnprocessableEntity, api.ProblemCodeImageNotFound)
	r := w.post(setTo(image, "2.0.0"))
	if r.status != http.StatusCreated || r.update.Status != api.StatusProposed {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if c := r.update.Targets[0].Files[0].Changes[0]; *c.ToDigest != reg.digest || c.To != "2.0.0" {
		t.Errorf("the change: %+v", c)
	}
	reg.setAway(true)
	wantProblem(t, w.post(setTo(image, "3.0.0")), http.StatusBadGateway, api.ProblemCodeUpstreamError)
}

// What a target takes, and when, holds for its pull requests too.
func TestGateBeforeAPullRequest(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{
		"apps/web.yaml": deployment("ghcr.io/octo-org/web:2.0.0"), "prod/web.yaml": deployment("ghcr.io/octo-org/web:2.0.0"),
	}), withConfig(`targets:
  - {name: frozen, repository: refty-yapi/refty-infra-test, paths: {include: ["apps/**"]}, mode: pull_request, frozen: audit}
  - {name: upwards, repository: refty-yapi/refty-infra-test, paths: {include: ["prod/**"]}, mode: pull_request, downgrade: refuse}
`))
	in := func(folder, version string) string {
		return `{"image": "ghcr.io/octo-org/web", "version": "` + version + `", "paths": ["` + folder + `/**"]}`
	}
	wantProblem(t, w.post(in("apps", "3.0.0")), http.StatusConflict, api.ProblemCodeTargetFrozen)
	wantProblem(t, w.post(in("prod", "1.0.0")), http.StatusForbidden, api.ProblemCodePolicyDenied)
	stored := w.post(in("apps", "3.0.0"), "Prefer", "respond-async")
	if record := w.waits(stored.update.Id); record.Targets[0].Problem.Code != api.ProblemCodeTargetFrozen {
		t.Errorf("a stored one: %+v", record)
	}
	if pulls := w.pulls(); len(pulls) > 0 {
		t.Errorf("%d pull requests", len(pulls))
	}
	if r := w.post(in("prod", "3.0.0")); r.status != http.StatusCreated || r.update.Status != api.StatusProposed {
		t.Errorf("upwards: status %d: %s", r.status, r.body)
	}
}
