package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue/queuetest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
)

const (
	databaseVariable = "TEST_DATABASE_URL"
	leftOut          = "pkg/queue: everything on PostgreSQL is left out; to run it: .ci/postgres go test ./pkg/queue"
	// patience is how long a test waits for what must happen.
	patience = racetime.Slower * time.Minute
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	if os.Getenv(databaseVariable) == "" {
		fmt.Fprintln(os.Stderr, leftOut)
	}
	os.Exit(m.Run())
}

// onStores runs a test on each store, with the URL of an empty one.
func onStores(t *testing.T, test func(t *testing.T, storeURL string)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgresURL(t))
	})
}

func sqliteURL(t testing.TB) string {
	t.Helper()
	return queuetest.SQLite(t, filepath.Join(t.TempDir(), "queue.db"))
}

// postgresURL is a schema of its own, which goes with the test.
func postgresURL(t testing.TB) string {
	t.Helper()
	base := os.Getenv(databaseVariable)
	if base == "" {
		t.Skip(leftOut)
	}
	return queuetest.Schema(t, base)
}

// world is a queue with a clock that stands still, and a worker that the test
// directs.
type world struct {
	*queue.Queue
	t      testing.TB
	clock  *clock
	worker *worker
	apply  queue.Apply // of the worker, unless a test has another
	mu     sync.Mutex
	events []queue.Event
}

// open opens a queue that does not work yet.
func open(t testing.TB, storeURL string, change ...func(*queue.Options)) *world {
	t.Helper()
	w := &world{t: t, clock: newClock(), worker: newWorker()}
	w.apply = w.worker.apply
	options := queue.Options{
		URL:     storeURL,
		Now:     w.clock.now,
		Random:  func() float64 { return 0.5 },
		Observe: w.observe,
	}
	for _, f := range change {
		f(&options)
	}
	q, err := queue.Open(t.Context(), options)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	w.Queue = q
	t.Cleanup(func() {
		w.worker.release()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// start opens a queue and has it work.
func start(t testing.TB, storeURL string, change ...func(*queue.Options)) *world {
	t.Helper()
	w := open(t, storeURL, change...)
	w.begin()
	return w
}

func (w *world) begin() {
	w.t.Helper()
	if err := w.Start(w.t.Context(), w.apply); err != nil {
		w.t.Fatalf("Start: %v", err)
	}
}

func (w *world) observe(e queue.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// observed counts the events of a kind.
func (w *world) observed(kind queue.EventKind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// accept hands in updates and expects no error.
func (w *world) accept(updates ...queue.Update) []queue.Accepted {
	w.t.Helper()
	accepted, err := w.Accept(w.t.Context(), updates, nil)
	if err != nil {
		w.t.Fatalf("Accept: %v", err)
	}
	return accepted
}

// stored hands in one update that is new, and returns its ID.
func (w *world) stored(u queue.Update) string {
	w.t.Helper()
	a := w.accept(u)[0]
	if a.Disposition != queue.Stored || a.ID != u.ID {
		w.t.Fatalf("Accept: got %+v, want the new %s stored", a, u.ID)
	}
	return a.ID
}

func (w *world) get(id string) queue.Update {
	w.t.Helper()
	u, err := w.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("Get(%s): %v", id, err)
	}
	return u
}

// getAfterOutage asks until the store answers: a connection of before may be found dead.
func (w *world) getAfterOutage(id string) (u queue.Update, err error) {
	w.t.Helper()
	eventually(w.t, "the store answers", func() bool {
		u, err = w.Get(w.t.Context(), id)
		return err == nil || errors.Is(err, queue.ErrNotFound)
	})
	return u, err
}

// committedAfterOutage waits until an update is committed.
func (w *world) committedAfterOutage(id string) {
	w.t.Helper()
	eventually(w.t, "committed", func() bool {
		u, err := w.getAfterOutage(id)
		return err == nil && u.Status == queue.Committed
	})
}

// ends waits until an update has ended as it should.
func (w *world) ends(id string, want queue.Status) queue.Update {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	u, err := w.Wait(ctx, id)
	if err != nil {
		w.t.Fatalf("Wait(%s): %v; it is %+v", id, err, u)
	}
	if u.Status != want {
		w.t.Fatalf("update %s of version %s ended as %s, want %s", id, u.Version, u.Status, want)
	}
	return u
}

// until waits until an update is as it should be.
func (w *world) until(id string, what string, is func(queue.Update) bool) queue.Update {
	w.t.Helper()
	var u queue.Update
	eventually(w.t, what, func() bool {
		u = w.get(id)
		return is(u)
	})
	return u
}

// pass lets time go by, and wakes what is due then.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.clock.advance(d)
	if err := w.Wake(w.t.Context()); err != nil {
		w.t.Fatalf("Wake: %v", err)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("it did not come to this: %s", what)
		case <-tick.C:
		}
	}
}

// update is an update of an image on the branch octo-org/infra@main.
func update(image, version string, change ...func(*queue.Update)) queue.Update {
	u := queue.Update{
		ID: uuid.Must(uuid.NewV7()).String(), Image: image, Version: version, Caller: "ci",
		Request: []byte(`{"n":1}`), AbsentAs: queue.Failed,
		Tasks: []queue.Task{{Target: "infra", Branch: "octo-org/infra@main"}},
	}
	for _, f := range change {
		f(&u)
	}
	return u
}

func pushed(at time.Time) func(*queue.Update) {
	return func(u *queue.Update) { u.PushedAt = at }
}

// from makes it a webhook's.
func from(webhook, delivery string) func(*queue.Update) {
	return func(u *queue.Update) { u.Caller, u.Webhook, u.DeliveryID = "", webhook, delivery }
}

// to makes it go to other targets, each on a branch of its own.
func to(targets ...string) func(*queue.Update) {
	return func(u *queue.Update) {
		u.Tasks = nil
		for _, name := range targets {
			u.Tasks = append(u.Tasks, queue.Task{Target: name, Branch: "octo-org/" + name + "@main"})
		}
	}
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// worker is an Apply that the test directs.
type worker struct {
	mu       sync.Mutex
	do       func(queue.Item) queue.Outcome
	batches  [][]string // versions
	inside   map[string]int
	overlaps int

	entered chan struct{} // gets a value when a held call begins
	gate    chan struct{} // nil, or closed to let calls go
}

func newWorker() *worker {
	return &worker{
		do:      func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} },
		inside:  map[string]int{},
		entered: make(chan struct{}, 1000),
	}
}

// becomes sets what becomes of each task from now on.
func (a *worker) becomes(do func(queue.Item) queue.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.do = do
}

// hold makes calls wait until release or the end of their context.
func (a *worker) hold() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gate = make(chan struct{})
}

func (a *worker) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gate != nil {
		close(a.gate)
		a.gate = nil
	}
}

// seen are the versions that were applied, by call.
func (a *worker) seen() [][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([][]string(nil), a.batches...)
}

func (a *worker) enter(b queue.Batch) (do func(queue.Item) queue.Outcome, gate chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inside[b.Branch]++
	if a.inside[b.Branch] > 1 {
		a.overlaps++
	}
	var versions []string
	for _, i := range b.Items {
		versions = append(versions, i.Update.Version)
	}
	a.batches = append(a.batches, versions)
	return a.do, a.gate
}

func (a *worker) apply(ctx context.Context, b queue.Batch) []queue.Outcome {
	do, gate := a.enter(b)
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.inside[b.Branch]--
	}()
	if gate != nil {
		a.entered <- struct{}{}
		select {
		case <-gate:
		case <-ctx.Done():
			do = func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Queued, Error: "interrupted"} }
		}
	}
	var outcomes []queue.Outcome
	for _, i := range b.Items {
		outcomes = append(outcomes, do(i))
	}
	return outcomes
}

// running waits until a held call has begun.
func (a *worker) running(t testing.TB) {
	t.Helper()
	select {
	case <-a.entered:
	case <-time.After(patience):
		t.Fatal("nothing is being applied")
	}
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
