package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

const twoStages = `
targets:
  - {name: staging, repository: refty-yapi/refty-infra-test, paths: {include: ["staging/**"]}, overrides: edit}
  - {name: production, repository: refty-yapi/refty-infra-test, paths: {include: ["production/**"]}, overrides: edit}
`

func (w *world) promote(caller, fields string, headers ...string) reply {
	w.t.Helper()
	if fields != "" {
		fields = ", " + fields
	}
	return w.call(http.MethodPost, "/v1/promotions", caller, `{"from": "staging", "to": "production"`+fields+`}`, headers...)
}

func leftOutOf(t *testing.T, r reply) map[string]string {
	t.Helper()
	var body api.Update
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.LeftOut == nil {
		t.Fatalf("no left_out: %s", r.body)
	}
	left := map[string]string{}
	for _, l := range *body.LeftOut {
		left[l.Image] = l.Reason
	}
	return left
}

func stageFiles() map[string]string {
	files := map[string]string{}
	digest := "@sha256:" + strings.Repeat("ab", 32)
	for n := range 36 {
		name := fmt.Sprintf("ghcr.io/octo-org/app-%d", n)
		files[fmt.Sprintf("staging/app-%d.yaml", n)] = deployment(name + ":2.0.0" + digest)
		files[fmt.Sprintf("production/app-%d.yaml", n)] = deployment(name+":1.0.0"+digest) +
			"          # versions-service: the next is templated\n          image: " + name + ":{{ .Values.tag }}\n"
	}
	for n := range 4 { // the version stands in another file than the name
		for stage, tag := range map[string]string{"staging": "2.0.0", "production": "1.0.0"} {
			dir := fmt.Sprintf("%s/chart-%d/", stage, n)
			files[dir+"values.yaml"] = fmt.Sprintf("image:\n  repository: ghcr.io/octo-org/chart-%d\n", n)
			files[dir+"values-prod.yaml"] = fmt.Sprintf("image:\n  tag: %s\n", tag)
		}
	}
	files["staging/only.yaml"] = deployment("ghcr.io/octo-org/only:1")
	files["staging/twice.yaml"] = deployment("ghcr.io/octo-org/twice:1") + "---\n" + deployment("ghcr.io/octo-org/twice:2")
	files["production/twice.yaml"] = deployment("ghcr.io/octo-org/twice:0")
	files["production/nginx.yaml"] = deployment("nginx:0")
	files["staging/nginx.yaml"] = deployment("nginx:1") + "---\n" + deployment("docker.io/library/nginx:2")
	files["staging/templated.yaml"] = deployment("ghcr.io/octo-org/templated:{{ .Values.tag }}")
	files["production/templated.yaml"] = deployment("ghcr.io/octo-org/templated:1")
	return files
}

// A promotion of 40 images, with overrides and with what is left out and skipped, is one
// commit.
func TestPromotion(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoStages), withFiles(stageFiles()))
	dry := w.promote("", `"dry_run": true`)
	if dry.status != http.StatusOK || dry.update.Status != api.StatusPlanned || *dry.update.Targets[0].Diff == "" {
		t.Fatalf("the dry run: %d %s", dry.status, dry.body)
	}
	before := len(w.log())
	r := w.promote("", "")
	if r.status != http.StatusCreated || len(w.log()) != before+1 || len(r.update.Targets) != 1 || len(*r.update.Images) != 40 {
		t.Fatalf("the promotion: %d, %d commits: %s", r.status, len(w.log())-before, r.body)
	}
	target := r.update.Targets[0]
	if len(target.Files) != 40 || len(target.Skipped) < 36 || target.Name == nil || *target.Name != "production" {
		t.Errorf("%d files, %d skipped", len(target.Files), len(target.Skipped))
	}
	want := map[string]string{
		"ghcr.io/octo-org/only": "image_not_referenced", "ghcr.io/octo-org/twice": "ambiguous_version", "docker.io/library/nginx": "ambiguous_version", "ghcr.io/octo-org/templated": "no_version",
	}
	if left := leftOutOf(t, r); fmt.Sprint(left) != fmt.Sprint(want) {
		t.Errorf("left out: %v", left)
	}
	if message := w.log()[0].Message; !strings.HasPrefix(message, "Promote 40 images from staging to production\n") {
		t.Errorf("the message:\n%s", message)
	}
	for n := range 4 {
		if content := w.file(fmt.Sprintf("production/chart-%d/values-prod.yaml", n)); content != "image:\n  tag: 2.0.0\n" {
			t.Errorf("chart %d: %q", n, content)
		}
	}
	w.push(map[string]string{"applied.diff": *dry.update.Targets[0].Diff}) // for git to read
	if got := w.git("", "diff", "--stat", w.log()[1].SHA+"~1", w.log()[1].SHA); strings.Count(got, "|") != 40 {
		t.Errorf("the commit:\n%s", got)
	}
	if again := w.promote("", ""); again.status != http.StatusOK || again.update.Status != api.StatusUnchanged {
		t.Errorf("once more: %d %s", again.status, again.body)
	}
}

func TestPromotionsThatAreNarrowedOrRefused(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoStages), withFiles(stageFiles()))
	wantProblem(t, w.promote("", `"images": ["ghcr.io/octo-org/twice"]`), http.StatusUnprocessableEntity, api.ProblemCodeAmbiguousVersion)
	wantProblem(t, w.promote("", `"images": ["ghcr.io/octo-org/none"]`), http.StatusNotFound, api.ProblemCodeImageNotReferenced)
	wantProblem(t, w.promote("", `"images": ["none/**"]`), http.StatusNotFound, api.ProblemCodeImageNotReferenced)
	wantProblem(t, w.promote("", `"images": ["index.docker.io/library/nginx"]`), http.StatusUnprocessableEntity, api.ProblemCodeAmbiguousVersion)
	wantProblem(t, w.promote("", `"images": ["[a"]`), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
	for _, body := range []string{`{"from": "staging", "to": "staging"}`, `{"from": "test", "to": "staging"}`, `{"from": "staging"}`} {
		wantProblem(t, w.call(http.MethodPost, "/v1/promotions", "", body), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
	}
	if r := w.promote("", `"images": ["ghcr.io/octo-org/only"]`); r.status != http.StatusOK || r.update.Status != api.StatusUnchanged || leftOutOf(t, r)["ghcr.io/octo-org/only"] == "" {
		t.Errorf("nothing to promote: %d %s", r.status, r.body)
	}
	hold := w.holdImage("", `{"image": "ghcr.io/octo-org/app-1", "target": "production"}`)
	r := w.promote("", `"images": ["ghcr.io/octo-org/app-1", "ghcr.io/octo-org/app-2"]`, "Prefer", "wait=20", "Idempotency-Key", "p1")
	if r.status != http.StatusCreated || (*r.update.Targets[0].Holds)[0].Id != hold.Id || len(r.update.Targets[0].Files) != 1 {
		t.Errorf("one of two is held: %d %s", r.status, r.body)
	}
	if again := w.promote("", `"images": ["ghcr.io/octo-org/app-1", "ghcr.io/octo-org/app-2"]`, "Prefer", "wait=20", "Idempotency-Key", "p1"); again.update.Id != r.update.Id {
		t.Errorf("with the same key: %s", again.body)
	}
}

// An image that the caller may not move refuses all; of the source it needs to see some.
func TestPromotionsOfCallers(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(stageFiles()), withConfig(twoStages+`
callers:
  - {name: web, tokens: [{value: token-of-the-web-team}]}
  - {name: data, tokens: [{value: token-of-the-data-team}]}
  - {name: ops, tokens: [{value: token-of-operations}], read: all}
rules:
  - {name: web, callers: [web], images: ["ghcr.io/octo-org/app-1"]}
  - {name: data, callers: [data], images: ["ghcr.io/refty-yapi/**"]}
  - {name: ops, callers: [ops], images: ["ghcr.io/octo-org/app-*"]}
`), func(w *world) { delete(w.env, "AUTH") })
	unread := w.promote(asData, "")
	wantProblem(t, unread, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if !strings.Contains(unread.body, "no rule allows to read the images of staging:") {
		t.Errorf("by data: %s", unread.body)
	}
	wantProblem(t, w.promote(asOps, ""), http.StatusForbidden, api.ProblemCodePolicyDenied)
	if r := w.promote(asOps, `"images": ["ghcr.io/octo-org/app-?"]`); r.status != http.StatusCreated || len(r.update.Targets[0].Files) != 10 {
		t.Errorf("by ops: %d %s", r.status, r.body)
	}
	if r := w.promote(asWeb, ""); r.status != http.StatusOK || r.update.Status != api.StatusUnchanged || len(*r.update.Images) != 1 || (*r.update.Images)[0].Image != "ghcr.io/octo-org/app-1" {
		t.Errorf("by web: %d %s", r.status, r.body)
	}
}
