package acceptance_test

import (
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// stopBound is how long the program may take to end unless it follows a ref.
const stopBound = 5 * time.Second

// held is a call of GitHub that is kept waiting.
type held struct {
	reached chan struct{} // closed when it has come
	release func()
}

// hold keeps the next call of an endpoint waiting.
func (w *world) hold(method, endpoint string) held {
	reached, released := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-released }).On(method, endpoint).Once())
	release := func() {
		select {
		case <-released:
		default:
			close(released)
		}
	}
	w.t.Cleanup(release)
	return held{reached: reached, release: release}
}

// posted sends an update beside the test.
func (w *world) posted(body string, headers ...string) <-chan reply {
	answer := make(chan reply, 1)
	go func() {
		r, err := w.tryPost(body, headers...)
		if err != nil {
			w.t.Error(err)
		}
		answer <- r
	}()
	return answer
}

// signal sends SIGTERM.
func (p *process) signal() {
	p.t.Helper()
	p.must(p.cmd.Process.Signal(syscall.SIGTERM))
}

// stops waits until /readyz reports that the program stops.
func (p *process) stops() {
	p.t.Helper()
	for deadline := time.Now().Add(stopBound); ; <-time.After(betweenLooks) {
		if r := p.get("/readyz"); r.status == http.StatusServiceUnavailable && strings.Contains(r.body, `"status":"stopping"`) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("/readyz never says that it stops\n%s", p.logs)
		}
	}
}

// ends fails unless the program ends within a bound, and with exit code 0.
func (p *process) ends(since time.Time, bound time.Duration) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(bound - time.Since(since)):
		p.t.Fatalf("the program did not end within %s\n%s", bound, p.logs)
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		p.t.Errorf("the program ended with %v\n%s", p.err, p.logs)
	}
	p.checkLogs()
}

func wantStopping(t *testing.T, r reply) {
	t.Helper()
	wantProblem(t, r, http.StatusServiceUnavailable, api.ProblemCodeUnavailable)
	if r.header.Get("Retry-After") == "" || !strings.Contains(r.problem.Detail, "nothing was written") {
		t.Errorf("Retry-After %q: %s", r.header.Get("Retry-After"), r.body)
	}
}

// TestStopLetsTheRunningUpdateFinish stops while an update writes its tree, which
// takes less than the grace.
func TestStopLetsTheRunningUpdateFinish(t *testing.T) {
	t.Parallel()
	p := prepare(t, withData()).spawn()
	call := p.hold("POST", "git/trees")
	answer := p.posted(mission)
	<-call.reached
	start := time.Now()
	p.signal()
	p.stops()
	call.release()
	if r := <-answer; r.status != http.StatusCreated {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	p.ends(start, stopBound)
}

// TestStopFollowsARef stops twice while GitHub moves the branch, for longer than
// anything else may take: the caller is told of the commit.
func TestStopFollowsARef(t *testing.T) {
	t.Parallel()
	p := prepare(t, withData()).spawn()
	call := p.hold("PATCH", "git/refs")
	answer := p.posted(mission)
	<-call.reached
	p.signal()
	p.stops()
	start := time.Now()
	p.signal()
	wantStopping(t, p.post(mission))
	wantStopping(t, p.post(`{"image": "`+worker+`", "version": "2", "dry_run": true}`))
	for time.Since(start) < stopBound {
		p.stops()
		<-time.After(betweenLooks)
	}
	call.release()
	if r := <-answer; r.status != http.StatusCreated || r.update.Targets[0].Commit.Sha != p.head() {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	p.ends(time.Now(), stopBound)
}

// TestStopSendsCallersAway stops while one update is planned, one waits for it,
// and GitHub does not answer: both are told to come again, nothing is written.
func TestStopSendsCallersAway(t *testing.T) {
	t.Parallel()
	p := prepare(t, withData()).spawn()
	before := p.head()
	call := p.hold("POST", "git/trees")
	first := p.posted(mission)
	<-call.reached
	second := p.posted(mission, "Idempotency-Key", "one")
	p.waitFor(1)
	start := time.Now()
	p.signal()
	wantStopping(t, <-second)
	if took := time.Since(start); took > racetime.Slower*time.Second {
		t.Errorf("the one that waits is answered after %s", took)
	}
	wantStopping(t, <-first)
	p.ends(start, stopBound)
	if p.head() != before {
		t.Error("the branch moved")
	}
}

// TestSecondSignalLeavesNoGrace is for a person at a terminal.
func TestSecondSignalLeavesNoGrace(t *testing.T) {
	t.Parallel()
	p := prepare(t, withData()).spawn()
	call := p.hold("POST", "git/trees")
	answer := p.posted(mission)
	<-call.reached
	start := time.Now()
	p.signal()
	p.stops()
	p.signal()
	wantStopping(t, <-answer)
	p.ends(start, racetime.Slower*2*time.Second)
}

// TestStopDoesNotWaitOutALimit stops while a caller's update and a stored one wait
// until GitHub's limit is over.
func TestStopDoesNotWaitOutALimit(t *testing.T) {
	t.Parallel()
	p := prepare(t, withData()).spawn()
	p.hub.Inject(sandbox.SecondaryLimit(http.StatusForbidden, 30*time.Second).On("POST", "git/commits"))
	caller := p.posted(mission)
	p.sees("git/commits")
	stored := p.post(`{"image": "`+worker+`", "version": "2"}`, "Prefer", "respond-async")
	start := time.Now()
	p.signal()
	wantStopping(t, <-caller)
	p.ends(start, stopBound)

	p.hub.ClearFaults()
	next := p.world.spawn()
	next.eventually(stored.update.Id, api.StatusCommitted)
}

// TestStopHandsBackStoredUpdates stops while one is being applied, and starts the
// next run, which commits it.
func TestStopHandsBackStoredUpdates(t *testing.T) {
	t.Parallel()
	p := prepare(t, withData()).spawn()
	call := p.hold("POST", "git/trees")
	stored := p.post(mission, "Prefer", "respond-async")
	waits := p.posted(mission, "Prefer", "wait=50", "Idempotency-Key", "one")
	<-call.reached
	start := time.Now()
	p.signal()
	newest := <-waits
	if newest.status != http.StatusAccepted {
		t.Errorf("status %d: %s", newest.status, newest.body)
	}
	p.ends(start, racetime.Slower*2*time.Second)
	call.release()

	next := p.world.spawn()
	next.eventually(stored.update.Id, api.StatusSuperseded, api.StatusCommitted)
	next.eventually(newest.update.Id, api.StatusCommitted)
	if log := next.log(); !strings.Contains(log[0].Message, "05-06-42a252") || len(log) != 2 {
		t.Errorf("%d commits, the last is %s", len(log), log[0].Message)
	}
}

// sees waits until GitHub was asked for an endpoint.
func (w *world) sees(endpoint string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		for call := range w.hub.Counts() {
			if strings.Contains(call, endpoint) {
				return
			}
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("GitHub is never asked for %s: %v", endpoint, w.hub.Counts())
		}
	}
}

// eventually waits until a stored update has one of the statuses.
func (w *world) eventually(id string, statuses ...api.Status) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r := w.get("/v1/updates/" + id)
		for _, status := range statuses {
			if r.record.Status == status {
				return
			}
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the update never is %v: %s", statuses, r.body)
		}
	}
}
