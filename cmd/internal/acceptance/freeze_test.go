package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// frozenSince is a window of freeze that began with this minute.
func frozenSince(now time.Time, lasts time.Duration, reason string) string {
	now = now.UTC()
	return fmt.Sprintf(`[{schedule: "%d %d %d %d *", duration: %s, reason: %q}]`, now.Minute(), now.Hour(), now.Day(), now.Month(), lasts, reason)
}

// freezers are a caller who may override a freeze, and one who may not.
const freezers = `
callers:
  - {name: ops, tokens: [{value: token-of-operations}]}
  - {name: data, tokens: [{value: token-of-the-data-team}]}
rules:
  - {name: ops, callers: [ops], images: ["**"], override_freeze: true}
  - {name: data, callers: [data], images: ["**"]}
`

func target(keys string) string {
	return "targets:\n  - {name: production, repository: " + repoName + ", " + keys + "}\n"
}

// waits returns the stored update once it waits for a frozen target.
func (w *world) waits(id string, headers ...string) api.UpdateRecord {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		r := w.get("/v1/updates/"+id, headers...).record
		if len(r.Targets) == 1 && r.Targets[0].Problem != nil && r.Status == api.StatusQueued {
			return r
		}
		if r.Status != api.StatusQueued || time.Now().After(deadline) {
			w.t.Fatalf("it does not wait: %+v", r)
		}
	}
}

func TestFrozenTarget(t *testing.T) {
	t.Parallel()
	began := time.Now()
	w := start(t, withConfig(target("freeze: "+frozenSince(began, 23*time.Hour, "stock-taking"))+freezers), withEnv("AUTH", ""))
	until := began.UTC().Truncate(time.Minute).Add(23 * time.Hour)
	head := w.head()

	r := w.post(mission, "Authorization", asOps)
	wantProblem(t, r, http.StatusConflict, api.ProblemCodeTargetFrozen)
	if !strings.Contains(r.problem.Detail, "frozen until "+until.Format(time.RFC3339)+": stock-taking") || r.header.Get("Retry-After") == "" {
		t.Errorf("Retry-After %q: %s", r.header.Get("Retry-After"), r.body)
	}
	r = w.post(strings.Replace(mission, "}", `, "dry_run": true}`, 1), "Authorization", asData)
	if r.status != http.StatusOK || r.update.Status != api.StatusPlanned || r.update.Targets[0].Notes == nil || !strings.Contains((*r.update.Targets[0].Notes)[0], "stock-taking") {
		t.Errorf("a dry run: status %d: %s", r.status, r.body)
	}

	stored := w.post(mission, "Authorization", asData, "Prefer", "respond-async")
	if stored.status != http.StatusAccepted {
		t.Fatalf("a stored one: status %d: %s", stored.status, stored.body)
	}
	record := w.waits(stored.update.Id, "Authorization", asData)
	one := record.Targets[0]
	if one.Problem.Code != api.ProblemCodeTargetFrozen || record.Attempts != 0 || record.NotBefore == nil || !record.NotBefore.Equal(until) || !one.NotBefore.Equal(until) {
		t.Errorf("a stored one waits: %+v", record)
	}
	if w.head() != head {
		t.Error("something was written")
	}

	override := strings.Replace(mission, "}", `, "override": "INC-42: the parser is down"}`, 1)
	r = w.post(override, "Authorization", asData)
	wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if !strings.Contains(r.body, "it may not override a freeze") {
		t.Error(r.body)
	}
	for body, says := range map[string]string{`"two\nlines"`: "one line", `"  "`: "one line", `"` + strings.Repeat("x", 501) + `"`: "one line", `"http://me:secret@example.com"`: "password"} {
		r := w.post(strings.Replace(mission, "}", `, "override": `+body+`}`, 1), "Authorization", asOps)
		if r.status != http.StatusUnprocessableEntity || !strings.Contains(r.body, "/override") || !strings.Contains(r.body, says) {
			t.Errorf("override %.20s: status %d: %s", body, r.status, r.body)
		}
	}
	// A stored override is as good, and takes the place of what waits.
	r = w.post(override, "Authorization", asOps, "Prefer", "wait=20")
	if r.status != http.StatusCreated || !strings.Contains(w.log()[0].Message, "\nOverride-Reason: INC-42: the parser is down\n") {
		t.Errorf("an override: status %d: %s\n%s", r.status, r.body, w.log()[0].Message)
	}
	if record := w.ended(stored.update.Id, "Authorization", asData); record.Status != api.StatusSuperseded {
		t.Errorf("what waited: %+v", record)
	}
}

// What waits goes on waiting in the next run, for webhooks too, and begins when a window
// ends, or when the next run is no longer frozen.
func TestWaitingOutlastsARestart(t *testing.T) {
	t.Parallel()
	hook := "webhooks:\n  - {name: builds, kind: generic, secrets: [{value: secret-of-the-builds}], generic: {image: /image, version: /version, bearer: true}}\n"
	w := prepare(t, withData(), withConfig(target(`frozen: "migration"`)+hook))
	w.run()
	delivered := w.deliver("builds", mission, "Authorization", "Bearer secret-of-the-builds")
	if delivered.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", delivered.status, delivered.body)
	}
	id := *delivered.receipt.Id
	if record := w.waits(id); record.NotBefore != nil || !strings.Contains(record.Targets[0].Problem.Detail, "is frozen: migration") {
		t.Errorf("without an end: %+v", record)
	}
	r := w.post(mission)
	wantProblem(t, r, http.StatusConflict, api.ProblemCodeTargetFrozen)
	if r.header.Get("Retry-After") != "" {
		t.Errorf("Retry-After %q without an end", r.header.Get("Retry-After"))
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	ends := began.UTC().Truncate(time.Minute).Add(time.Since(began.UTC().Truncate(time.Minute)).Truncate(time.Second) + 2*time.Second)
	withConfig(target("freeze: "+frozenSince(began, ends.Sub(began.UTC().Truncate(time.Minute)), "a moment")) + hook)(w)
	w.run()
	if record := w.ended(id); record.Status != api.StatusCommitted || record.FinishedAt.Before(ends) || record.Attempts != 1 {
		t.Errorf("ended at %v, the window at %v: %+v", record.FinishedAt, ends, record)
	}
}

// Of several targets the frozen one fails, if it names the image at all.
func TestOneFrozenTarget(t *testing.T) {
	t.Parallel()
	w := start(t, withRepository("octo-org/infra", map[string]string{"web.yaml": deployment(node + ":1")}), withConfig(`targets:
  - {name: staging, repository: refty-yapi/refty-infra-test}
  - {name: production, repository: octo-org/infra, frozen: "migration"}
`))
	r := w.post(mission)
	if r.status != http.StatusMultiStatus || r.update.Targets[0].Status != api.StatusCommitted || r.update.Targets[1].Problem.Code != api.ProblemCodeTargetFrozen {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if r := w.post(`{"image": "` + worker + `", "version": "v2"}`); r.status != http.StatusCreated || len(r.update.Targets) != 1 {
		t.Errorf("an image that the frozen one does not name: status %d: %s", r.status, r.body)
	}
}
