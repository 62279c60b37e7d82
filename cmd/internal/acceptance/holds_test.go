package acceptance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// call sends a body as a caller, who may be "".
func (w *world) call(method, path, caller, body string, headers ...string) reply {
	w.t.Helper()
	headers = append([]string{"Content-Type", "application/json", "Authorization", caller}, headers...)
	r, err := w.try(method, path, strings.NewReader(body), headers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) holdImage(caller, body string) api.Hold {
	w.t.Helper()
	r := w.call(http.MethodPost, "/v1/holds", caller, body)
	var hold api.Hold
	if r.status != http.StatusCreated || json.Unmarshal([]byte(r.body), &hold) != nil || r.header.Get("Location") != "/v1/holds/"+hold.Id {
		w.t.Fatalf("hold: status %d: %s", r.status, r.body)
	}
	return hold
}

func (w *world) release(caller, id string) reply {
	w.t.Helper()
	return w.call(http.MethodDelete, "/v1/holds/"+id, caller, "")
}

// holds are the ids of those that a caller sees.
func (w *world) holds(caller string) (ids []string) {
	w.t.Helper()
	var list api.HoldList
	w.must(json.Unmarshal([]byte(w.call(http.MethodGet, "/v1/holds", caller, "").body), &list))
	for _, h := range list.Holds {
		ids = append(ids, h.Id)
	}
	return ids
}

// withHolders gives the program two callers with images of their own, and one who may
// release every hold.
func withHolders(w *world) {
	withConfig(`
callers:
  - {name: web, tokens: [{value: token-of-the-web-team}]}
  - {name: data, tokens: [{value: token-of-the-data-team}]}
  - {name: ops, tokens: [{value: token-of-operations}], read: all}
rules:
  - {name: web, callers: [web], images: ["ghcr.io/refty-yapi/refty-node/**"], versions: {regexp: "^v"}}
  - {name: data, callers: [data], images: ["ghcr.io/refty-yapi/bigquery/**"]}
  - {name: ops, callers: [ops], images: ["**"], release_holds: true}
`)(w)
	delete(w.env, "AUTH")
}

const (
	asWeb  = "Bearer token-of-the-web-team"
	asData = "Bearer token-of-the-data-team"
	asOps  = "Bearer token-of-operations"
)

// A hold is for what its maker may move, and is released by its maker or by who has the
// right.
func TestHoldsOfCallers(t *testing.T) {
	t.Parallel()
	w := start(t, withHolders)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	own := w.holdImage(asWeb, `{"image": "`+node+`", "reason": "5xx", "until": "`+until.Format(time.RFC3339)+`"}`)
	if own.Image != node || own.Target != repoName || own.By != "web" || own.Reason != "5xx" || own.Until == nil || !own.Until.Equal(until) {
		t.Errorf("the hold: %+v", own)
	}
	other := w.holdImage(asData, `{"image": "`+worker+`", "target": "`+repoName+`"}`)
	for _, seen := range []struct {
		caller string
		ids    []string
	}{{asWeb, []string{own.Id}}, {asData, []string{other.Id}}, {asOps, []string{own.Id, other.Id}}} {
		if got := w.holds(seen.caller); strings.Join(got, " ") != strings.Join(seen.ids, " ") {
			t.Errorf("%s sees %v, want %v", seen.caller, got, seen.ids)
		}
	}

	wantProblem(t, w.call(http.MethodPost, "/v1/holds", asWeb, `{"image": "`+worker+`"}`), http.StatusForbidden, api.ProblemCodePolicyDenied)
	wantProblem(t, w.release(asWeb, other.Id), http.StatusNotFound, api.ProblemCodeNotFound)
	wantProblem(t, w.release(asOps, "none"), http.StatusNotFound, api.ProblemCodeNotFound)
	byOps := w.holdImage(asOps, `{"image": "`+node+`"}`)
	denied := w.release(asWeb, byOps.Id)
	wantProblem(t, denied, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if !strings.Contains(denied.body, "no rule allows to release the hold on "+node+":") {
		t.Errorf("the hold of another: %s", denied.body)
	}
	for _, released := range []struct{ caller, id string }{{asWeb, own.Id}, {asOps, other.Id}, {asOps, byOps.Id}} {
		if r := w.release(released.caller, released.id); r.status != http.StatusNoContent {
			t.Errorf("release: status %d: %s", r.status, r.body)
		}
	}
	wantProblem(t, w.release(asWeb, own.Id), http.StatusNotFound, api.ProblemCodeNotFound)
	if got := w.holds(asOps); got != nil {
		t.Errorf("holds are left: %v", got)
	}
	if got := len(w.hub.Requests()); got != 0 {
		t.Errorf("holds cost %d requests to GitHub", got)
	}
}

func TestHoldsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(`
targets:
  - {name: staging, repository: refty-yapi/refty-infra-test, images: ["ghcr.io/**"]}
  - {name: production, repository: refty-yapi/refty-infra-test, branch: main, images: ["ghcr.io/**"]}
`))
	tests := []struct {
		body   string
		status int
		says   string
	}{
		{`{"image": "` + node + `:1"}`, http.StatusUnprocessableEntity, "/image"},
		{`{"image": "` + node + `"}`, http.StatusUnprocessableEntity, "name one of staging, production"},
		{`{"image": "` + node + `", "target": "test"}`, http.StatusUnprocessableEntity, "test is no target; there are staging, production"},
		{`{"image": "docker.io/library/nginx", "target": "staging"}`, http.StatusNotFound, "no target takes"},
		{`{"image": "` + node + `", "target": "staging", "until": "2020-01-01T00:00:00Z"}`, http.StatusUnprocessableEntity, "/until"},
		{`{"image": "` + node + `", "target": "staging", "until": "2999-01-01T00:00:00Z"}`, http.StatusUnprocessableEntity, "/until"},
		{`{"image": "` + node + `", "target": "staging", "until": "tomorrow"}`, http.StatusUnprocessableEntity, "until: is no date and time such as"},
		{`{"image": "` + node + `", "target": "staging", "reason": "a\nb"}`, http.StatusUnprocessableEntity, "/reason"},
		{`{"image": "` + node + `", "target": "staging", "reason": "` + strings.Repeat("a", 256) + `"}`, http.StatusUnprocessableEntity, "/reason"},
		{`{"image": "` + node + `", "target": "staging", "reason": "see https://me:secret@example.com"}`, http.StatusUnprocessableEntity, "/reason"},
		{`{"image": "` + node + `", "target": "staging", "why": ""}`, http.StatusUnprocessableEntity, "/why"},
		{`{`, http.StatusBadRequest, "unexpected end"},
	}
	for _, test := range tests {
		r := w.call(http.MethodPost, "/v1/holds", "", test.body)
		if r.status != test.status || !strings.Contains(r.body, test.says) {
			t.Errorf("%s: status %d: %s", test.body, r.status, r.body)
		}
	}
}

// One key makes one hold, however often and at once it is asked for.
func TestHoldOfAKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	body := withImage(`"reason": "5xx since noon"`)
	answers := make([]reply, 4)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			r, err := w.try(http.MethodPost, "/v1/holds", strings.NewReader(body), "Content-Type", "application/json", "Idempotency-Key", "noon")
			if err != nil {
				t.Error(err)
			}
			answers[i] = r
		})
	}
	all.Wait()
	for _, r := range answers {
		if r.status != http.StatusCreated || r.body != answers[0].body || r.header.Get("Location") != answers[0].header.Get("Location") || r.header.Get("Location") == "" {
			t.Errorf("status %d, %s: %s, and another is %s", r.status, r.header.Get("Location"), r.body, answers[0].body)
		}
	}
	if got := w.holds(""); len(got) != 1 {
		t.Errorf("%v are held", got)
	}
	wantProblem(t, w.call(http.MethodPost, "/v1/holds", "", withImage(""), "Idempotency-Key", "noon"), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
	wantProblem(t, w.rollBack("", body, "Idempotency-Key", "noon"), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
	if r := w.call(http.MethodPost, "/v1/holds", "", body, "Idempotency-Key", "evening"); r.status != http.StatusCreated || len(w.holds("")) != 2 {
		t.Errorf("under another key: %d %s", r.status, r.body)
	}
}

// A crash between a hold and its answer leaves the hold without the key's answer: asked for
// again, it stands once.
func TestHoldWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	w := start(t, withData())
	ask := func(body string) string {
		r := w.call(http.MethodPost, "/v1/holds", "", body, "Idempotency-Key", "noon")
		if r.status != http.StatusCreated {
			t.Fatalf("status %d: %s", r.status, r.body)
		}
		return r.header.Get("Location")
	}
	first := ask(withImage(`"reason": "5xx since noon"`))
	w.must(w.stop())
	w.changeStore("DELETE FROM versions_key")
	w.run()
	if second := ask(withImage(`"reason": "5xx since noon"`)); second != first || len(w.holds("")) != 1 {
		t.Errorf("%s, then %s; %v are held", first, second, w.holds(""))
	}
	w.changeStore("DELETE FROM versions_key")
	if other := ask(withImage(`"reason": "5xx again"`)); other == first || len(w.holds("")) != 2 {
		t.Errorf("%s for another body; %v are held", other, w.holds(""))
	}
}

// What meets a hold ends as held and names it, on every road and after a restart; a
// release replays nothing, and what was held can be tried again.
func TestHeldUpdates(t *testing.T) {
	t.Parallel()
	w := start(t, withData(), withEnv("WEBHOOK_GHCR_SECRET", hookSecret))
	hold := w.holdImage("", `{"image": "`+node+`", "reason": "5xx since noon"}`)
	before := w.head()
	wantHeld := func(what string, r reply, status int) {
		t.Helper()
		u := r.update
		if r.status != status || u.Status != api.StatusHeld || len(u.Targets) != 1 || u.Targets[0].Holds == nil || (*u.Targets[0].Holds)[0].Id != hold.Id {
			t.Errorf("%s: status %d: %s", what, r.status, r.body)
		}
	}
	asked := w.post(mission)
	wantHeld("a request", asked, http.StatusOK)
	wantHeld("a stored request", w.post(mission, "Prefer", "wait=20"), http.StatusOK)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.run()
	body := pushed("1.0.0")
	delivered := w.deliver("ghcr", body, signed(body, "d1")...)
	wantReceipt(t, delivered, http.StatusAccepted, api.ReceiptStatusQueued)
	w.ended(*delivered.receipt.Id)
	wantHeld("a webhook's update", w.get("/v1/updates/"+*delivered.receipt.Id), http.StatusOK)
	if page := w.get("/v1/updates?status=held").page; len(page.Updates) != 3 {
		t.Errorf("%d updates are held, want 3", len(page.Updates))
	}
	dry := w.post(strings.Replace(mission, "{", `{"dry_run": true, `, 1))
	if u := dry.update; u.Status != api.StatusPlanned || u.Targets[0].Holds == nil || u.Targets[0].Diff == nil || *u.Targets[0].Diff == "" {
		t.Errorf("the dry run: %s", dry.body)
	}
	if metrics := w.get("/metrics").body; !strings.Contains(metrics, `versions_service_queue_ended_total{status="held"} 1`) {
		t.Error("the metrics do not count what was held")
	}

	if r := w.release("", hold.Id); r.status != http.StatusNoContent {
		t.Fatalf("release: status %d: %s", r.status, r.body)
	}
	if w.head() != before {
		t.Error("the branch was moved")
	}
	if r := w.call(http.MethodPost, "/v1/updates/"+asked.update.Id+"/retry", "", ""); r.status != http.StatusAccepted {
		t.Fatalf("retry: status %d: %s", r.status, r.body)
	}
	if record := w.ended(asked.update.Id); record.Status != api.StatusCommitted || record.Targets[0].Holds != nil {
		t.Errorf("the one that was tried again: %+v", record)
	}
}

// A hold that is made while an update waits counts when it is carried out.
func TestHoldWhileAnUpdateWaits(t *testing.T) {
	t.Parallel()
	w := start(t)
	reached, release := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On(http.MethodPost, "git/commits").Once())
	queued := w.post(mission, "Prefer", "respond-async")
	<-reached
	hold := w.holdImage("", `{"image": "`+node+`"}`)
	close(release)
	record := w.ended(queued.update.Id)
	if record.Status != api.StatusHeld || (*record.Targets[0].Holds)[0].Id != hold.Id || len(w.log()) != 1 {
		t.Errorf("the update: %+v, %d commits", record, len(w.log()))
	}
}

// All replicas see a hold at once.
func TestHoldsOnTwoReplicas(t *testing.T) {
	t.Parallel()
	w := prepare(t, onMain, withEnv("DATABASE_URL", postgresURL(t)), withEnv("LOG_LEVEL", "info"))
	one, other := w.spawn(), w.spawn()
	for n, version := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		hold := one.world.holdImage("", `{"image": "`+node+`"}`)
		if r := other.post(setTo(node, version)); r.update.Status != api.StatusHeld {
			t.Errorf("round %d, on the other replica: %d %s", n, r.status, r.body)
		}
		if r := other.world.release("", hold.Id); r.status != http.StatusNoContent {
			t.Errorf("round %d, release: %d %s", n, r.status, r.body)
		}
		wantCommitted(t, one.post(setTo(node, version)))
	}
	for _, p := range []*process{one, other} {
		p.terminate(30 * time.Second)
	}
}
