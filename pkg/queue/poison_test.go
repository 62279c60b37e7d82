package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

const (
	// poisoned is the role of a process that works on what is stored until all of it
	// has ended, and that the image poison ends.
	poisoned = "poisoned"
	poison   = "poison"
	// exitPoisoned is how such a process ends then.
	exitPoisoned = 3
)

func workUntilAllEnded(notes string) int {
	apply := func(_ context.Context, b queue.Batch) []queue.Outcome {
		var outcomes []queue.Outcome
		var names []string
		for _, i := range b.Items {
			names = append(names, i.Update.Image)
			outcomes = append(outcomes, queue.Outcome{Status: queue.Committed})
		}
		line := strings.Join(names, ",")
		note(filepath.Join(notes, "begun"), line)
		if strings.Contains(line, poison) {
			os.Exit(exitPoisoned)
		}
		note(filepath.Join(notes, "applied"), line)
		return outcomes
	}
	q, err := queue.Open(context.Background(), queue.Options{URL: os.Getenv(storeVariable)})
	if err == nil {
		err = q.Start(context.Background(), apply)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for waiting := 1; err == nil && waiting > 0; <-tick.C {
		var s queue.Stats
		s, err = q.Stats(context.Background())
		waiting = s.Waiting
	}
	if err = errors.Join(err, q.Stop(context.Background()), q.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// An update that ends the process ends that some times, the last times alone, and
// has failed then. Everything else is done.
func TestUpdateThatEndsTheProcess(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		notes := t.TempDir()
		w := open(t, storeURL)
		bad := w.stored(update(poison, "1"))
		good := []string{
			w.stored(update("app", "1")), w.stored(update("web", "1")), w.stored(update("api", "1", to("other"))),
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		ends := 0
		for ; ; ends++ {
			if ends > 10 {
				t.Fatalf("the process ended %d times", ends)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			command := exec.Command(self)
			command.Env = append(os.Environ(), roleVariable+"="+poisoned, storeVariable+"="+storeURL, folderVariable+"="+notes)
			command.Stderr = os.Stderr
			err = command.Run()
			var exit *exec.ExitError
			if err == nil {
				break
			}
			if !errors.As(err, &exit) || exit.ExitCode() != exitPoisoned {
				t.Fatalf("the process: %v", err)
			}
			takenForDead(t, storeURL)
		}
		w = open(t, storeURL)
		got := w.get(bad)
		if got.Status != queue.Failed || !strings.Contains(got.Tasks[0].LastError, "the service ended 6 times") {
			t.Errorf("the one that ends the process: %+v", got)
		}
		for _, id := range good {
			if u := w.get(id); u.Status != queue.Committed {
				t.Errorf("%s is %s: %s", u.Image, u.Status, u.Tasks[0].LastError)
			}
		}
		if ends != 6 {
			t.Errorf("the process ended %d times, want 6", ends)
		}
		alone := 0
		for _, line := range lines(t, filepath.Join(notes, "begun")) {
			if line == poison {
				alone++
			}
		}
		if alone < 2 {
			t.Errorf("it was tried alone %d times, want 2: %q", alone, lines(t, filepath.Join(notes, "begun")))
		}

		// Somebody who asks for it has it tried again.
		if again, err := w.Retry(t.Context(), bad); err != nil || again.Status != queue.Queued {
			t.Errorf("Retry: %+v, %v", again, err)
		}
	})
}

// takenForDead lets the minutes pass after which a replica is taken for dead. On
// SQLite a start does not need them.
func takenForDead(t *testing.T, storeURL string) {
	t.Helper()
	if strings.HasPrefix(storeURL, "sqlite") {
		return
	}
	q, err := queue.Open(t.Context(), queue.Options{URL: storeURL})
	if err != nil {
		t.Fatal(err)
	}
	err = q.Exec(t.Context(), `UPDATE river_job SET state = 'available' WHERE state = 'running'`)
	if err = errors.Join(err, q.Close()); err != nil {
		t.Fatal(err)
	}
}

// A suspect is applied when nothing else of the process is.
func TestSuspectIsApplied(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.hold()
		other := w.stored(update("other", "1", to("other")))
		w.worker.running(t)
		suspect := w.stored(update("app", "1", func(u *queue.Update) { u.Tasks[0].Branch = "octo-org/suspect@main" }))
		w.worker.running(t) // it is applied beside the other
		w.worker.release()
		w.ends(other, queue.Committed)
		w.ends(suspect, queue.Committed)

		w.worker.hold()
		held := w.stored(update("other", "2", to("other")))
		w.worker.running(t)
		reader := update("app", "2", func(u *queue.Update) { u.Tasks[0].Branch = "octo-org/suspect@main" })
		w.suspected(reader)
		diff(t, "the calls", [][]string{{"1"}, {"1"}, {"2"}}, w.worker.seen())
		w.worker.release()
		w.ends(held, queue.Committed)
		w.ends(reader.ID, queue.Committed)
		if n := len(w.worker.seen()); n != 4 {
			t.Errorf("%d calls, want 4: %v", n, w.worker.seen())
		}
	})
}

// suspected stores an update as one that was claimed several times without an end,
// and waits until a run is at its branch.
func (w *world) suspected(u queue.Update) {
	w.t.Helper()
	u.Tasks[0].Status = queue.Failed
	w.accept(u)
	if err := w.Exec(w.t.Context(), `UPDATE versions_update SET status = 'queued' WHERE id = $1`, u.ID); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Exec(w.t.Context(), `UPDATE versions_task SET status = 'queued', claims = 3, next_at = 0
		WHERE seq = (SELECT seq FROM versions_update WHERE id = $1)`, u.ID); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Wake(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "a run is at the suspect's branch", func() bool { return w.Draining() == 2 })
}
