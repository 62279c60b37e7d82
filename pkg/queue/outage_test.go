package queue_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

const restartVariable = "TEST_POSTGRES_RESTART"

// restarter returns what has the server crash and come back.
func restarter(t *testing.T) (crash func()) {
	t.Helper()
	program := os.Getenv(restartVariable)
	if program == "" {
		t.Skip("pkg/queue: a restart of PostgreSQL is left out; .ci/postgres tells how to (" + restartVariable + ")")
	}
	return func() {
		t.Helper()
		if out, err := exec.Command(program).CombinedOutput(); err != nil {
			t.Fatalf("restart PostgreSQL: %v\n%s", err, out)
		}
	}
}

func TestPostgresUnreachableForAWhile(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	parsed, err := url.Parse(storeURL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCable(t, parsed.Host)
	w := start(t, c.through(t, storeURL))
	w.worker.hold()
	running := w.stored(update("running", "1"))
	w.worker.running(t)
	waiting := w.stored(update("waiting", "1"))

	c.cut()
	lost := update("lost", "1")
	if _, err := w.Accept(t.Context(), []queue.Update{lost}, nil); err == nil {
		t.Error("accepted without a store")
	}
	if err := w.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong")
	}
	w.worker.release() // what it did cannot be stored yet
	<-time.After(time.Second)
	c.mend()

	w.committedAfterOutage(running)
	w.committedAfterOutage(waiting)
	var after string
	eventually(t, "updates are accepted again", func() bool {
		u := update("after", "1")
		_, err := w.Accept(t.Context(), []queue.Update{u}, nil)
		after = u.ID
		return err == nil
	})
	w.committedAfterOutage(after)
	if n := len(slices.Concat(w.worker.seen()...)); n != 3 {
		t.Errorf("%d tasks were applied, want each of 3 once: %v", n, w.worker.seen())
	}
}

// It is not parallel to others: the server is everybody's.
func TestPostgresRestarted(t *testing.T) {
	storeURL := postgresURL(t)
	crash := restarter(t)
	w := start(t, storeURL)
	stop := make(chan struct{})
	var (
		all      sync.WaitGroup
		mu       sync.Mutex
		accepted []string
		refused  int
	)
	for caller := range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				u := update(fmt.Sprintf("app-%d-%d", caller, n), "1", to(fmt.Sprint("b", n%3)))
				_, err := w.Accept(t.Context(), []queue.Update{u}, nil)
				mu.Lock()
				if err != nil {
					refused++
				} else {
					accepted = append(accepted, u.ID)
				}
				mu.Unlock()
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted)
	}
	eventually(t, "some are accepted", func() bool { return count() > 50 })
	crash()
	before := count()
	eventually(t, "some are accepted after the restart", func() bool { return count() > before+50 })
	close(stop)
	all.Wait()
	for _, id := range accepted {
		w.committedAfterOutage(id)
	}
	t.Logf("%d accepted and done, %d refused while the server was away", len(accepted), refused)
}

// A fetch of River's whose answer is lost leaves a job that runs nowhere. The one of
// another replica is left alone, and so is one that runs.
func TestLostFetch(t *testing.T) {
	t.Parallel()
	w := open(t, postgresURL(t))
	change := func(statement string, args ...any) {
		t.Helper()
		if err := w.Exec(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	fetched := func(branch, by string) {
		t.Helper()
		change(`UPDATE river_job SET state = 'running', attempt = 1, attempted_by = ARRAY[$1] WHERE args->>'branch' = $2`, by, branch)
	}
	lost, theirs := w.stored(update("app", "1", to("a"))), w.stored(update("app", "1", to("b")))
	fetched("octo-org/a@main", w.ClientID())
	fetched("octo-org/b@main", "another replica")
	w.begin()
	w.worker.hold()
	runs := w.stored(update("app", "1", to("c")))
	w.worker.running(t)
	change(`UPDATE river_job SET attempted_at = now() - interval '1 minute'`)
	if err := w.FreeLost(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.worker.release()
	w.ends(lost, queue.Committed)
	w.ends(runs, queue.Committed)
	if u := w.get(theirs); u.Status != queue.Queued || u.Tasks[0].Attempts != 0 {
		t.Errorf("the job of another replica was taken: %+v", u)
	}
}
