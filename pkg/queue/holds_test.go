package queue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func hold(id, by string) queue.Hold {
	return queue.Hold{ID: id, Image: "docker.io/library/app", Target: "infra", Reason: "5xx since noon", By: by}
}

func (w *world) holds() []string {
	w.t.Helper()
	holds, err := w.Holds(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	ids := []string{}
	for _, h := range holds {
		ids = append(ids, h.ID)
	}
	return ids
}

func (w *world) addHold(h queue.Hold) queue.Hold {
	w.t.Helper()
	stored, err := w.AddHold(w.t.Context(), h)
	if err != nil {
		w.t.Fatal(err)
	}
	return stored
}

// with makes a hold come with the update's task.
func with(hold string) func(*queue.Update) {
	return func(u *queue.Update) { u.Tasks[0].Hold = hold }
}

func TestHolds(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		first := hold("h1", "ops")
		first.Until = w.clock.now().Add(time.Hour)
		stored := w.addHold(first)
		first.At = w.clock.now()
		diff(t, "the stored hold", first, stored)
		w.clock.advance(time.Minute)
		w.addHold(hold("h2", "dev"))
		again := hold("h1", "somebody else")
		again.Version, first.Version = "1", "1"
		diff(t, "a hold of the same ID", first, w.addHold(again))
		diff(t, "the holds", []string{"h1", "h2"}, w.holds())

		w.clock.advance(time.Hour)
		diff(t, "the holds after the end of one", []string{"h2"}, w.holds())
		if err := w.RemoveHold(t.Context(), "h1"); !errors.Is(err, queue.ErrNoHold) {
			t.Errorf("removing a hold that is over: %v", err)
		}
		if err := w.RemoveHold(t.Context(), "h2"); err != nil {
			t.Error(err)
		}
		diff(t, "the holds after both", []string{}, w.holds())
		if n, err := w.Count(t.Context(), `SELECT count(*) FROM versions_hold`); n != 0 || err != nil {
			t.Errorf("%d rows are left, %v", n, err)
		}
		if err := w.Check(t.Context()); err != nil || w.observed(queue.WriteFailed) != 0 {
			t.Errorf("a refusal counts as a failure of the store: %v", err)
		}
	})
}

func TestHoldsAreBounded(t *testing.T) {
	t.Parallel()
	w := open(t, sqliteURL(t))
	if err := w.Exec(t.Context(), fmt.Sprintf(`
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO versions_hold SELECT 'h' || i, 'app', 'infra', '', '', CASE WHEN i < 500 THEN 'ops' ELSE 'dev' END, 1, 0 FROM n`,
		queue.MaxHolds-1)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddHold(t.Context(), hold("one", "dev")); !errors.Is(err, queue.ErrTooManyHolds) {
		t.Errorf("more than half of all for one maker: %v", err)
	}
	w.addHold(hold("last", "ops"))
	if _, err := w.AddHold(t.Context(), hold("more", "third")); !errors.Is(err, queue.ErrTooManyHolds) {
		t.Errorf("one more than all: %v", err)
	}
}

// An update that came with a hold is not superseded by what the hold is for, as long as
// that was not carried out; an update that comes to nothing takes its hold along.
func TestUpdateWithHold(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		w.addHold(hold("kept", "ops"))
		back := w.stored(update("app", "1", with("kept")))
		pushed := w.stored(update("app", "2", from("ghcr", "d1")))
		w.addHold(hold("lost", "ops"))
		failed := w.stored(update("web", "1", with("lost")))
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			switch {
			case i.Update.Image == "web":
				return queue.Outcome{Status: queue.Failed, Error: "no"}
			case i.Update.Version == "2":
				return queue.Outcome{Status: queue.Held}
			}
			return queue.Outcome{Status: queue.Committed}
		})
		w.begin()
		diff(t, "the hold of the update", "kept", w.ends(back, queue.Committed).Tasks[0].Hold)
		w.ends(pushed, queue.Held)
		w.ends(failed, queue.Failed)
		diff(t, "the holds", []string{"kept"}, w.holds())

		newer := w.stored(update("app", "3"))
		w.ends(newer, queue.Committed)
		if u, err := w.Retry(t.Context(), back); !errors.Is(err, queue.ErrNotFailed) {
			t.Errorf("retrying what was committed: %+v, %v", u, err)
		}
	})
}

// What was held can be tried again, unless a newer one was carried out.
func TestRetryOfWhatWasHeld(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if i.Task.Target == "held" {
				return queue.Outcome{Status: queue.Held}
			}
			return queue.Outcome{Status: queue.Committed}
		})
		partly := w.stored(update("app", "1", to("held", "free")))
		diff(t, "the request of an update that was held in part", `{"n":1}`, string(w.ends(partly, queue.Committed).Request))
		old := w.stored(update("web", "1", to("held")))
		w.ends(old, queue.Held)

		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		for _, id := range []string{partly, old} {
			if _, err := w.Retry(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			w.ends(id, queue.Committed)
		}
		if seen := w.worker.seen(); len(seen) != 5 {
			t.Errorf("applied %v, want the two held tasks once more", seen)
		}
	})
}
