package acceptance_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// outageTime is how long GitHub is away. A minute shows more:
//
//	go test ./cmd/internal/acceptance -run 'TestGitHubIsAway|TestSpentLimit' -v -outage.time 1m
var outageTime = flag.Duration("outage.time", time.Second, "how long an outage lasts")

// outageDeliveries come in the time of an outage.
const outageDeliveries = 20

// pushes are deliveries of images of their own.
type pushes struct {
	*deliveries
}

func newPushes(n int) pushes {
	p := pushes{&deliveries{answers: map[string]int{}, ends: map[string]int{}}}
	for i := range n {
		image := fmt.Sprintf("ghcr.io/octo-org/app-%05d", i)
		p.images = append(p.images, image)
		p.all = append(p.all, &delivery{
			image: image, version: 2, pushed: time.Now().UTC().Add(-time.Minute), caller: i%4 == 3, id: fmt.Sprint("delivery-", i),
		})
	}
	return p
}

// accepted hands in one delivery, which must be answered 202.
func (p pushes) accepted(w *world, i int) {
	w.t.Helper()
	d := p.all[i]
	r, err := d.post(w)
	w.must(err)
	if r.status != http.StatusAccepted {
		w.t.Fatalf("delivery %d: status %d: %s", i, r.status, r.body)
	}
	d.update = idIn(r)
}

// acceptedSoon hands in one delivery until it is answered 202, as its sender would
// after a 503. A connection to the store that broke is noticed when it is used.
func (p pushes) acceptedSoon(w *world, i int) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r, err := p.all[i].post(w)
		w.must(err)
		if r.status == http.StatusAccepted {
			p.all[i].update = idIn(r)
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("delivery %d: status %d: %s", i, r.status, r.body)
		}
	}
}

// refused hands in one delivery, which must be answered 503.
func (p pushes) refused(w *world, i int) {
	w.t.Helper()
	r, err := p.all[i].post(w)
	w.must(err)
	wantProblem(w.t, r, http.StatusServiceUnavailable, api.ProblemCodeUnavailable)
	if r.header.Get("Retry-After") == "" {
		w.t.Error("no Retry-After")
	}
}

// committed fails unless all of them that were accepted end well within a time.
func (p pushes) committed(w *world, within time.Duration) {
	w.t.Helper()
	p.world = w
	p.allEnded(w, time.Now().Add(within))
	for i, d := range p.all {
		if d.update == "" {
			w.t.Errorf("delivery %d was never accepted", i)
			continue
		}
		if r := w.get("/v1/updates/" + d.update).record; r.Status != api.StatusCommitted && r.Status != api.StatusUnchanged {
			w.t.Errorf("delivery %d ended as %s: %+v", i, r.Status, r)
		}
	}
	p.onBranch()
}

// queuedWith waits until a delivery is shown as queued after a try that ended so.
func (p pushes) queuedWith(w *world, i int, code api.ProblemCode) api.UpdateRecord {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r := w.get("/v1/updates/" + p.all[i].update)
		problem := api.TargetProblem{}
		if len(r.record.Targets) == 1 && r.record.Targets[0].Problem != nil {
			problem = *r.record.Targets[0].Problem
		}
		if r.record.Status == api.StatusQueued && problem.Code == code && r.record.LastError != nil && r.record.NextAttemptAt != nil {
			return r.record
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("delivery %d is not shown as queued with %s: %s", i, code, r.body)
		}
	}
}

// GitHub is away in one way or the other: everything is accepted meanwhile, is
// shown as waiting, and is done when GitHub is back.
func TestGitHubIsAway(t *testing.T) {
	t.Parallel()
	var all sideBySide
	for name, away := range map[string]func(*world, *line) (back func()){
		"502":     func(w *world, _ *line) func() { w.hub.Inject(sandbox.BadGateway()); return w.hub.ClearFaults },
		"dropped": func(w *world, _ *line) func() { w.hub.Inject(sandbox.Drop()); return w.hub.ClearFaults },
		"refused": func(w *world, l *line) func() { l.Stop(); return func() { w.must(l.Start()) } },
	} {
		all.run(t, name, func(t *testing.T) {
			l, p := &line{}, newPushes(outageDeliveries)
			w := start(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("LOG_LEVEL", "info"), withFiles(p.files()), l.between)
			back := away(w, l)
			for i := range p.all {
				p.accepted(w, i)
				<-time.After(*outageTime / outageDeliveries)
			}
			if r := p.queuedWith(w, 0, api.ProblemCodeUpstreamError); r.Attempts == 0 {
				t.Errorf("an attempt is not counted: %+v", r)
			}
			back()
			began := time.Now()
			p.committed(w, patience+2**outageTime)
			t.Logf("GitHub was away for %s; all ended %s after it was back", *outageTime, time.Since(began).Round(time.Millisecond))
		})
	}
	all.Wait()
}

func TestSpentLimit(t *testing.T) {
	t.Parallel()
	var all sideBySide
	all.run(t, "for a moment", spentForAMoment)
	all.run(t, "for longer than an update may take", spentForLong)
	all.Wait()
}

// It is waited for, without a further request.
func spentForAMoment(t *testing.T) {
	p := newPushes(outageDeliveries)
	w := start(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withFiles(p.files()))
	soonest := time.Now().Add(time.Second) // the reset comes within the second after it
	w.hub.Inject(sandbox.PrimaryLimit(http.StatusForbidden, 2*time.Second).Once())
	for i := range p.all {
		p.accepted(w, i)
	}
	p.committed(w, patience)
	for i, d := range p.all {
		r := w.get("/v1/updates/" + d.update).record
		if r.Attempts != 1 || r.FinishedAt == nil || r.FinishedAt.Before(soonest) {
			t.Errorf("delivery %d took %d attempts and ended at %v, the limit not before %s", i, r.Attempts, r.FinishedAt, soonest)
		}
	}
	limited := 0
	for _, call := range w.calls() {
		if call.Status == http.StatusForbidden {
			limited++
		}
	}
	if limited != 1 {
		t.Errorf("GitHub had to refuse %d times", limited)
	}
}

// The update is put off until the reset, which spends no attempt, and shows why it
// waits. What comes meanwhile is accepted.
func spentForLong(t *testing.T) {
	const longest = 46 * time.Second // of one try, with the shortest UPDATE_TIMEOUT
	reset := max(*outageTime, longest+5*time.Second)
	p := newPushes(outageDeliveries)
	w := start(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("UPDATE_TIMEOUT", "1s"), withFiles(p.files()), withData())
	w.hub.Inject(sandbox.PrimaryLimit(http.StatusForbidden, reset).Once())
	until := time.Now().Add(reset)
	p.accepted(w, 0)
	first := p.queuedWith(w, 0, api.ProblemCodeUpstreamRateLimited)
	if first.Attempts != 0 {
		t.Errorf("an attempt was spent: %+v", first)
	}
	if next := *first.NextAttemptAt; next.Before(until.Add(-2*time.Second)) || next.After(until.Add(10*time.Second)) {
		t.Errorf("the next attempt is at %s, the limit ends at %s", next, until)
	}
	for i := 1; i < len(p.all); i++ {
		p.accepted(w, i)
		if r := p.queuedWith(w, i, api.ProblemCodeUpstreamRateLimited); r.Attempts != 0 {
			t.Errorf("an attempt was spent: %+v", r)
		}
	}
	if asked := w.mark(); asked != 1 {
		t.Errorf("GitHub was asked %d times, once too often to know of the limit", asked)
	}
	if *outageTime > longest {
		p.committed(w, time.Until(until)+20*time.Second)
		return
	}
	// In a short run, the limit is over with a restart, which tries at once what waits.
	w.must(w.stop())
	delete(w.env, "UPDATE_TIMEOUT")
	w.run()
	p.committed(w, patience)
}

// withPostgres has the store on PostgreSQL behind a line that can be cut. The
// test is skipped when there is no server.
func withPostgres(l *line) option {
	return func(w *world) {
		store, err := url.Parse(postgresURL(w.t))
		w.must(err)
		server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
		l.t, l.Proxy = w.t, toxiproxy.NewProxy(server, "postgres", ownAddress(), store.Host)
		w.must(l.Start())
		w.t.Cleanup(l.Stop)
		store.Host = l.Listen
		w.env["DATABASE_URL"] = store.String()
	}
}

// wantStoreAway fails unless everything that needs the store is refused, and what
// does not need it works.
func (p pushes) wantStoreAway(w *world, i int) {
	w.t.Helper()
	version := fmt.Sprint("away-", rand.Uint32())
	p.refused(w, i)
	for _, headers := range [][]string{{"Idempotency-Key", "k"}, {"Prefer", "respond-async"}, {"Prefer", "wait=5"}} {
		r := w.post(setTo(node, "refused"), headers...)
		wantProblem(w.t, r, http.StatusServiceUnavailable, api.ProblemCodeUnavailable)
	}
	wantCommitted(w.t, w.post(setTo(node, version)))
	if w.atVersion(version) != 2 {
		w.t.Error("the update without the store is not on the branch")
	}
}

// The database goes away and comes back: what was accepted is done, what was not
// was told so.
func TestPostgresIsAway(t *testing.T) {
	t.Parallel()
	l, p := &line{}, newPushes(4)
	w := start(t, onMain, withPostgres(l), withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("LOG_LEVEL", "info"), withFiles(p.files()))
	w.hub.Inject(sandbox.BadGateway())
	p.accepted(w, 0)
	p.queuedWith(w, 0, api.ProblemCodeUpstreamError)
	w.hub.ClearFaults()
	l.Stop()
	p.wantStoreAway(w, 1)
	if r := w.get("/healthz"); r.status != http.StatusOK {
		t.Errorf("/healthz: %d", r.status)
	}
	w.must(l.Start())
	began := time.Now()
	for i := 1; i < len(p.all); i++ {
		p.acceptedSoon(w, i)
	}
	p.committed(w, patience)
	t.Logf("all ended %s after PostgreSQL was back", time.Since(began).Round(time.Millisecond))
}

// The database goes away while a commit is under way: it is made once, and what
// became of it is stored later.
func TestPostgresGoesAwayDuringACommit(t *testing.T) {
	t.Parallel()
	l, p := &line{}, newPushes(2)
	w := start(t, onMain, withPostgres(l), withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("LOG_LEVEL", "info"), withFiles(p.files()))
	before := w.head()
	cut := make(chan struct{})
	w.hub.Inject(sandbox.Call(sync.OnceFunc(func() { l.Stop(); close(cut) })).On(http.MethodPatch, "git/refs").Once())
	p.accepted(w, 0)
	<-cut
	p.refused(w, 1)
	w.must(l.Start())
	p.acceptedSoon(w, 1)
	p.committed(w, patience)
	if n := w.commitsSince(before); n != 2 {
		t.Errorf("%d commits for 2 deliveries, one after the other", n)
	}
}

// A branch that may not be written to is no outage: the delivery has failed at
// once, for everybody to see, and is tried again when it is asked for.
func TestDeliveryToAProtectedBranch(t *testing.T) {
	t.Parallel()
	p := newPushes(2)
	w := start(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withFiles(p.files()))
	w.repo.Protect("main", sandbox.Protection{Ruleset: true})
	for i := range p.all {
		p.accepted(w, i)
		r := w.ended(p.all[i].update)
		if r.Status != api.StatusFailed || r.Attempts != 1 || r.LastError == nil || r.Targets[0].Problem == nil || r.Targets[0].Problem.Code != api.ProblemCodeBranchProtected {
			t.Errorf("record: %+v", r)
		}
	}
	if page := w.get("/v1/updates?status=failed").page; len(page.Updates) != len(p.all) {
		t.Errorf("%d failed updates in the list", len(page.Updates))
	}
	w.repo.Unprotect("main")
	if r := w.retry(p.all[0].update); r.status != http.StatusAccepted {
		t.Errorf("retry: %d %s", r.status, r.body)
	}
	again, err := p.all[1].post(w) // the registry's own way to try again
	w.must(err)
	wantReceipt(t, again, http.StatusAccepted, api.ReceiptStatusRetried)
	p.committed(w, patience)
}

// A stop ends in time, and the next start does what waits.
func TestStop(t *testing.T) {
	t.Parallel()
	var all sideBySide
	all.run(t, "with waiting deliveries", stopWithWaitingDeliveries)
	all.run(t, "while a limit is waited for", stopDuringALimit)
	all.Wait()
}

// The commit that is under way is finished.
func stopWithWaitingDeliveries(t *testing.T) {
	p := newPushes(outageDeliveries)
	w := prepare(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withFiles(p.files()), withData())
	first := w.spawn()
	reached, release := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On(http.MethodPatch, "git/refs").Once())
	p.accepted(first.world, 0)
	<-reached
	for i := 1; i < len(p.all); i++ {
		p.accepted(first.world, i)
	}
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	first.terminate(15 * time.Second)
	if !strings.Contains(first.logs.String(), `"msg":"stopped"`) {
		t.Error("it did not say that it stopped")
	}
	began := time.Now()
	second := w.spawn()
	p.committed(second.world, patience)
	t.Logf("all ended %s after the next start", time.Since(began).Round(time.Millisecond))
	second.terminate(15 * time.Second)
}

// The end of GitHub's limit is not waited for: nothing is under way.
func stopDuringALimit(t *testing.T) {
	p := newPushes(2)
	w := prepare(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withFiles(p.files()), withData())
	first := w.spawn()
	w.hub.Inject(sandbox.PrimaryLimit(http.StatusForbidden, time.Minute).Once())
	p.accepted(first.world, 0)
	for deadline := time.Now().Add(patience); len(w.hub.Requests()) == 0; <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			t.Fatal("GitHub was never asked")
		}
	}
	p.accepted(first.world, 1)
	first.terminate(30 * time.Second)
	second := w.spawn()
	p.committed(second.world, patience)
	if r := second.get("/v1/updates/" + p.all[0].update).record; r.Attempts != 1 {
		t.Errorf("the stop was counted as an attempt: %+v", r)
	}
	second.terminate(15 * time.Second)
}
