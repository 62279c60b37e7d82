package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// variants is a file with two variants of the mission's image.
var variants = withFiles(map[string]string{
	"apps/parser.yaml": "", "apps/sync.yml": "",
	"web/web.yaml": deployment(node+":1.2-alpine") + "        - name: plain\n          image: " + node + ":1.2\n",
})

// setPresent is the body of an update of some references.
func setPresent(version, present string) string {
	return fmt.Sprintf(`{"image": %q, "version": %q, "present": %q}`, node, version, present)
}

// versionsIn are the versions of the mission's image in a file.
func (w *world) versionsIn(path string) []string {
	w.t.Helper()
	var versions []string
	for line := range strings.Lines(w.file(path)) {
		if _, version, ok := strings.Cut(line, node+":"); ok {
			versions = append(versions, strings.TrimSpace(version))
		}
	}
	return versions
}

func (w *world) wantVersions(path string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.versionsIn(path)); diff != "" {
		w.t.Errorf("versions in %s (-want +got):\n%s", path, diff)
	}
}

func TestPresentKeepsVariantsApart(t *testing.T) {
	t.Parallel()
	w := start(t, variants)
	r := w.post(setPresent("1.3-alpine", "-alpine$"))
	wantCommitted(t, r)
	target := r.update.Targets[0]
	if len(target.Files) != 1 || len(target.Files[0].Changes) != 1 || target.MergedVersions != nil {
		t.Errorf("%s", r.body)
	}
	want := []api.Skip{{Path: "web/web.yaml", Line: new(10), Reason: "other_version"}}
	if diff := cmp.Diff(want, target.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	w.wantVersions("web/web.yaml", "1.3-alpine", "1.2")
	if r := w.post(setPresent("1.3-alpine", "-alpine$")); r.status != http.StatusOK || r.update.Status != api.StatusUnchanged {
		t.Errorf("the same again: %d %s", r.status, r.body)
	}
	wantCommitted(t, w.post(setPresent("1.3", `^\d+\.\d+$`)))
	w.wantVersions("web/web.yaml", "1.3-alpine", "1.3")
	if r := w.post(setPresent("2.0", "^nothing$")); r.status != http.StatusOK || len(r.update.Targets[0].Skipped) != 2 {
		t.Errorf("no reference is meant: %d %s", r.status, r.body)
	}
}

func TestPresentThatIsNoPattern(t *testing.T) {
	t.Parallel()
	w := start(t)
	for present, says := range map[string]string{
		"(": "missing closing )", "": "empty", strings.Repeat("x", 256): "at most 255", "(?=a)": "RE2", "(?:a{99}){9}": "fewer repetitions", "a\n": "control character",
	} {
		r := w.post(setPresent("1", present))
		wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		if fields := *r.problem.Errors; len(fields) != 1 || fields[0].Pointer != "/present" || !strings.Contains(fields[0].Detail, says) {
			t.Errorf("%.20q: %s", present, r.body)
		}
	}
}

func TestPresentOfTargetAndSource(t *testing.T) {
	t.Parallel()
	w := start(t, variants, withEnv("HOOK", hookSecret), withConfig(`
targets:
  - repository: refty-yapi/refty-infra-test
    present: "^1"
webhooks:
  - {name: alpine, kind: ghcr, secrets: [{env: HOOK}], tags: {regexp: "-alpine$"}, present: "-alpine$"}
`))
	body := pushed("1.3-alpine")
	r := w.deliver("alpine", body, signed(body, "d1")...)
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
	if record := w.ended(*r.receipt.Id); record.Status != api.StatusCommitted || len(record.Targets[0].Skipped) != 1 {
		t.Errorf("%+v", record)
	}
	w.wantVersions("web/web.yaml", "1.3-alpine", "1.2")
	wantCommitted(t, w.post(setTo(node, "2.0")))
	if r := w.post(setTo(node, "3.0")); r.update.Status != api.StatusUnchanged {
		t.Errorf("the target takes 1 alone: %s", r.body)
	}
}

// Updates that wait do not replace each other when they ask for other present
// versions, and survive a restart with what they ask for.
func TestPresentIsStored(t *testing.T) {
	t.Parallel()
	w := prepare(t, variants, withData())
	w.hub.Inject(sandbox.BadGateway())
	w.run()
	var ids []string
	for _, body := range []string{
		setPresent("1.3-alpine", "-alpine$"), setPresent("1.3", `^\d+\.\d+$`), setPresent("1.4-alpine", "-alpine$"),
	} {
		r := w.post(body, "Prefer", "respond-async")
		if r.status != http.StatusAccepted {
			t.Fatalf("%d %s", r.status, r.body)
		}
		ids = append(ids, r.update.Id)
	}
	w.must(w.stop())
	w.hub.ClearFaults()
	w.run()
	want := []api.Status{api.StatusSuperseded, api.StatusCommitted, api.StatusCommitted}
	for i, id := range ids {
		if got := w.ended(id); got.Status != want[i] {
			t.Errorf("update %d: %s, want %s", i, got.Status, want[i])
		}
	}
	w.wantVersions("web/web.yaml", "1.4-alpine", "1.3")
}

func TestMergedVersionsAreTold(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{
		"apps/parser.yaml": deployment(node+":api-1.0") + "        - name: front\n          image: " + node + ":frontend-1.0\n",
	}))
	merged := func(r reply) []string {
		t.Helper()
		if r.update.Targets[0].MergedVersions == nil {
			return nil
		}
		return *r.update.Targets[0].MergedVersions
	}
	want := []string{"api-1.0", "frontend-1.0"}
	if diff := cmp.Diff(want, merged(w.post(`{"image": "`+node+`", "version": "api-1.1", "dry_run": true}`))); diff != "" {
		t.Errorf("a dry run (-want +got):\n%s", diff)
	}
	apart := w.post(`{"image": "` + node + `", "version": "api-1.1", "dry_run": true, "present": "^api-"}`)
	if got := merged(apart); got != nil {
		t.Errorf("one of them: %q", got)
	}
	stored := w.post(setTo(node, "api-1.1"), "Prefer", "wait=20")
	wantCommitted(t, stored)
	if diff := cmp.Diff(want, merged(stored)); diff != "" {
		t.Errorf("a commit (-want +got):\n%s", diff)
	}
	record := w.get("/v1/updates/" + stored.update.Id).record
	if got := record.Targets[0].MergedVersions; got == nil || cmp.Diff(want, *got) != "" {
		t.Errorf("the history: %v", got)
	}
	if got := merged(w.post(setTo(node, "api-1.1"))); got != nil {
		t.Errorf("nothing to do: %q", got)
	}
	w.push(map[string]string{"apps/sync.yml": deployment(node+":api-1.1") + "        - name: front\n          image: " + node + ":frontend-1.0\n"})
	if diff := cmp.Diff([]string{"api-1.1", "frontend-1.0"}, merged(w.post(setTo(node, "api-1.1")))); diff != "" {
		t.Errorf("one that is current already (-want +got):\n%s", diff)
	}
	if got := merged(w.post(setTo(node, "api-1.2"))); got != nil {
		t.Errorf("files that had one version each: %q", got)
	}
}
