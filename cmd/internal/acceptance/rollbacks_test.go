package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func (w *world) rollBack(caller, body string, headers ...string) reply {
	w.t.Helper()
	return w.call(http.MethodPost, "/v1/rollbacks", caller, body, headers...)
}

// image is a body that names the image and has more fields.
func withImage(fields string) string {
	if fields != "" {
		fields = ", " + fields
	}
	return `{"image": "` + node + `"` + fields + `}`
}

func wantVersion(t *testing.T, w *world, version string) {
	t.Helper()
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":"+version+"\n") {
		t.Errorf("parser.yaml is not at %s:\n%s", version, content)
	}
}

// A rollback survives ten later pushes; sent again it does nothing; after the release
// the next push is written.
func TestRollbackThatHolds(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret))
	wantCommitted(t, w.post(setTo(node, "1.0.0")))
	wantCommitted(t, w.post(setTo(node, "2.0.0")))
	if dry := w.rollBack("", withImage(`"dry_run": true`)); dry.update.Status != api.StatusPlanned || *dry.update.Version != "1.0.0" || w.holds("") != nil {
		t.Errorf("the dry run: %d %s", dry.status, dry.body)
	}
	back := w.rollBack("", withImage(`"reason": "5xx since 2.0.0"`))
	if back.status != http.StatusCreated || *back.update.Version != "1.0.0" || back.update.HoldId == nil || strings.Join(w.holds(""), " ") != *back.update.HoldId {
		t.Fatalf("the rollback: %d %s, holds %v", back.status, back.body, w.holds(""))
	}
	message := w.log()[0].Message
	if want := fmt.Sprintf("\nHold-Id: %s\nHold-Reason: 5xx since 2.0.0\nUpdate-Id: %s", *back.update.HoldId, back.update.Id); !strings.HasPrefix(message, "Roll "+node+" back to 1.0.0\n") || !strings.Contains(message, want) {
		t.Errorf("the message lacks %q:\n%s", want, message)
	}
	wantVersion(t, w, "1.0.0")

	landed := w.head()
	var ids []string
	for n := range 10 {
		body := pushed(fmt.Sprintf("2.0.%d", n+1))
		r := w.deliver("ghcr", body, signed(body, fmt.Sprint("d", n))...)
		wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
		ids = append(ids, *r.receipt.Id)
	}
	for _, id := range ids {
		if record := w.ended(id); record.Status != api.StatusHeld && record.Status != api.StatusSuperseded {
			t.Errorf("a push: %+v", record)
		}
	}
	if record := w.ended(ids[9]); record.Status != api.StatusHeld || (*record.Targets[0].Holds)[0].Id != *back.update.HoldId || *(*record.Targets[0].Holds)[0].Version != "1.0.0" {
		t.Errorf("the last push: %+v", record)
	}
	again := w.rollBack("", withImage(""))
	if again.status != http.StatusOK || again.update.Status != api.StatusUnchanged || *again.update.Version != "1.0.0" || *again.update.HoldId != *back.update.HoldId {
		t.Errorf("the rollback once more: %d %s", again.status, again.body)
	}
	if w.head() != landed || len(w.holds("")) != 1 {
		t.Errorf("the branch moved, or holds are %v", w.holds(""))
	}
	if further := w.rollBack("", withImage(`"to": "10-10-ver"`)); further.status != http.StatusCreated || *further.update.HoldId != *back.update.HoldId {
		t.Errorf("further back under the hold: %d %s", further.status, further.body)
	}
	wantVersion(t, w, "10-10-ver")

	w.release("", *back.update.HoldId)
	body := pushed("3.0.0")
	r := w.deliver("ghcr", body, signed(body, "last")...)
	if record := w.ended(*r.receipt.Id); record.Status != api.StatusCommitted {
		t.Errorf("after the release: %+v", record)
	}
}

// The hold and the commit are all or nothing.
func TestRollbackThatComesToNothing(t *testing.T) {
	t.Parallel()
	w := start(t)
	wantCommitted(t, w.post(setTo(node, "1.0.0")))
	w.repo.Protect("main", sandbox.Protection{})
	wantProblem(t, w.rollBack("", withImage("")), http.StatusConflict, api.ProblemCodeBranchProtected)
	if got := w.holds(""); got != nil {
		t.Errorf("holds are left: %v", got)
	}
	stored := w.rollBack("", withImage(""), "Prefer", "respond-async")
	if stored.status != http.StatusAccepted || stored.update.HoldId == nil {
		t.Fatalf("stored: %d %s", stored.status, stored.body)
	}
	if record := w.ended(stored.update.Id); record.Status != api.StatusFailed || record.HoldId != nil || w.holds("") != nil {
		t.Errorf("the stored one: %+v, holds %v", record, w.holds(""))
	}

	w.repo.Unprotect("main")
	w.call(http.MethodPost, "/v1/updates/"+stored.update.Id+"/retry", "", "")
	if record := w.ended(stored.update.Id); record.Status != api.StatusCommitted || record.HoldId == nil || strings.Join(w.holds(""), "") != *stored.update.HoldId {
		t.Errorf("tried again: %+v, holds %v", record, w.holds(""))
	}
	wantVersion(t, w, "10-10-ver")
}

// A rollback that waits in the store is not superseded by what its hold will stop.
func TestStoredRollbackAndAPush(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret))
	wantCommitted(t, w.post(setTo(node, "1.0.0")))
	reached, release := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On(http.MethodPost, "git/commits").Once())
	other := w.post(setTo(worker, "2.0.0"), "Prefer", "respond-async")
	<-reached
	back := w.rollBack("", withImage(""), "Prefer", "respond-async", "Idempotency-Key", "once")
	body := pushed("2.0.0")
	push := w.deliver("ghcr", body, signed(body, "d1")...)
	close(release)
	for id, want := range map[string]api.Status{other.update.Id: api.StatusCommitted, back.update.Id: api.StatusCommitted, *push.receipt.Id: api.StatusHeld} {
		if record := w.ended(id); record.Status != want {
			t.Errorf("%s %s is %s, want %s", *record.Image, *record.Version, record.Status, want)
		}
	}
	wantVersion(t, w, "10-10-ver")
	if again := w.rollBack("", withImage(""), "Prefer", "respond-async", "Idempotency-Key", "once"); again.update.Id != back.update.Id || len(w.holds("")) != 1 {
		t.Errorf("with the same key: %s, holds %v", again.body, w.holds(""))
	}
}

func TestRollbacksThatAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(`
targets:
  - {name: staging, repository: refty-yapi/refty-infra-test, paths: {include: ["apps/**"]}}
  - {name: production, repository: refty-yapi/refty-infra-test, paths: {include: ["production/**"]}}
`), withFiles(map[string]string{
		"production/parser.yaml": deployment(node + ":1.0.0"),
		"apps/twice.yaml":        deployment("octo-org/twice:1") + "---\n" + deployment("octo-org/twice:2"),
		"apps/alone.yaml":        deployment("octo-org/alone:1"),
	}))
	tests := []struct {
		body   string
		status int
		code   api.ProblemCode
		says   string
	}{
		{withImage(""), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest, "name one of staging, production"},
		{withImage(`"target": "test"`), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest, "/target"},
		{withImage(`"to": "a b"`), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest, "/to"},
		{withImage(`"hold": "yes"`), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest, "/hold"},
		{`{"image": "octo-org/none"}`, http.StatusNotFound, api.ProblemCodeImageNotReferenced, "octo-org/none"},
		{`{"image": "octo-org/twice"}`, http.StatusUnprocessableEntity, api.ProblemCodeAmbiguousVersion, "1, 2"},
		{`{"image": "octo-org/alone"}`, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest, "name one"},
	}
	for _, test := range tests {
		r := w.rollBack("", test.body)
		if r.status != test.status || r.problem.Code != test.code || !strings.Contains(r.body, test.says) {
			t.Errorf("%s: status %d: %s", test.body, r.status, r.body)
		}
	}
	if r := w.rollBack("", `{"image": "octo-org/alone", "to": "0", "hold": false}`); r.status != http.StatusCreated || r.update.HoldId != nil || w.holds("") != nil {
		t.Errorf("without a hold: %d %s", r.status, r.body)
	}
}

// A hold of somebody else stops a rollback as it stops updates.
func TestRollbackUnderAForeignHold(t *testing.T) {
	t.Parallel()
	w := start(t, withHolders)
	wantCommitted(t, w.post(setTo(node, "v1"), "Authorization", asWeb))
	hold := w.holdImage(asOps, withImage(""))
	if r := w.rollBack(asWeb, withImage(`"to": "v0"`)); r.status != http.StatusOK || r.update.Status != api.StatusHeld || r.update.HoldId != nil || len(w.holds(asWeb)) != 1 {
		t.Errorf("under the hold of ops: %d %s", r.status, r.body)
	}
	wantProblem(t, w.rollBack(asWeb, withImage("")), http.StatusForbidden, api.ProblemCodePolicyDenied) // 10-10-ver
	wantProblem(t, w.rollBack(asData, withImage(`"to": "v0"`)), http.StatusForbidden, api.ProblemCodePolicyDenied)
	if r := w.rollBack(asOps, withImage(`"to": "v0"`)); r.status != http.StatusCreated || *r.update.HoldId != hold.Id {
		t.Errorf("by ops: %d %s", r.status, r.body)
	}
}

// A rule with rollback passes a target that refuses downgrades, whatever the version looks
// like, if the history shows it.
func TestRollbackWhereDowngradesAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(target("downgrade: refuse")+`callers:
  - {name: ops, tokens: [{value: token-of-operations}]}
  - {name: bot, tokens: [{value: token-of-the-release-bot}]}
rules:
  - {name: ops, callers: [ops], images: ["**"], rollback: true}
  - {name: bots, callers: [bot], images: ["**"]}
`), withEnv("AUTH", ""))
	wantCommitted(t, w.post(setTo(node, "1.0.0"), "Authorization", asOps))
	for caller, body := range map[string]string{"Bearer token-of-the-release-bot": withImage(""), asOps: withImage(`"to": "09-09-never"`)} {
		r := w.rollBack(caller, body)
		wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
		if !strings.Contains(r.body, "is no MAJOR.MINOR.PATCH") || w.holds(asOps) != nil {
			t.Errorf("%s: %s, holds %v", body, r.body, w.holds(asOps))
		}
	}
	wantCommitted(t, w.post(setTo(node, "1.1.0"), "Authorization", asOps))
	wantProblem(t, w.rollBack("Bearer token-of-the-release-bot", withImage(`"to": "1.0.0"`)), http.StatusForbidden, api.ProblemCodePolicyDenied)
	if r := w.rollBack("Bearer token-of-the-release-bot", withImage(`"to": "1.0.0"`)); !strings.Contains(r.body, "only a rule with rollback: true allows it") {
		t.Errorf("without the right: %s", r.body)
	}
	back := w.rollBack(asOps, withImage(`"to": "10-10-ver"`))
	if back.status != http.StatusCreated || *back.update.Version != "10-10-ver" {
		t.Errorf("status %d: %s", back.status, back.body)
	}
	wantVersion(t, w, "10-10-ver")
}
