package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func fails(text string) func(queue.Item) queue.Outcome {
	return func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Queued, Error: text} }
}

func TestStatusOfAllTasks(t *testing.T) {
	tests := []struct {
		tasks    []queue.Status
		absentAs queue.Status
		want     queue.Status
	}{
		{[]queue.Status{queue.Committed, queue.Failed}, queue.Failed, queue.Failed},
		{[]queue.Status{queue.Committed, queue.Unchanged}, queue.Failed, queue.Committed},
		{[]queue.Status{queue.Unchanged, queue.Superseded}, queue.Failed, queue.Superseded},
		{[]queue.Status{queue.Superseded, queue.Absent}, queue.Failed, queue.Superseded},
		{[]queue.Status{queue.Absent, queue.Committed}, queue.Failed, queue.Committed},
		{[]queue.Status{queue.Absent, queue.Absent}, queue.Failed, queue.Failed},
		{[]queue.Status{queue.Absent}, queue.Unchanged, queue.Unchanged},
		{[]queue.Status{queue.Absent}, "", queue.Unchanged},
	}
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		for n, test := range tests {
			var names []string
			outcomes := map[string]queue.Status{}
			for i, s := range test.tasks {
				name := fmt.Sprintf("t%d-%d", n, i)
				names, outcomes[name] = append(names, name), s
			}
			w.worker.becomes(func(i queue.Item) queue.Outcome { return queue.Outcome{Status: outcomes[i.Task.Target]} })
			u := update("app", "1", to(names...), func(u *queue.Update) { u.AbsentAs = test.absentAs })
			w.stored(u)
			w.ends(u.ID, test.want)
		}
	})
}

// All that waits for a branch is applied in one call, in the order of arrival.
func TestBatch(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		at := w.clock.now().Add(-time.Hour)
		var last string
		for n, minute := range []int{3, 1, 2} {
			last = w.stored(update(fmt.Sprintf("app-%d", n), fmt.Sprint(minute), pushed(at.Add(time.Duration(minute)*time.Minute))))
		}
		w.begin()
		w.ends(last, queue.Committed)
		diff(t, "the calls", [][]string{{"3", "1", "2"}}, w.worker.seen())
	})
}

func TestMoreThanABatch(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		var updates []queue.Update
		for n := range 501 {
			updates = append(updates, update(fmt.Sprintf("app-%d", n), "1"))
		}
		for some := range slices.Chunk(updates, 50) {
			w.accept(some...)
		}
		w.begin()
		w.ends(updates[500].ID, queue.Committed)
		var sizes []int
		for _, b := range w.worker.seen() {
			sizes = append(sizes, len(b))
		}
		diff(t, "the sizes of the calls", []int{500, 1}, sizes)
	})
}

func TestBackoff(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(fails("HTTP\n502"))
		u := update("app", "1")
		w.stored(u)
		want := []time.Duration{
			2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, 64 * time.Second,
			128 * time.Second, 256 * time.Second, 512 * time.Second, 1024 * time.Second, 2048 * time.Second,
			time.Hour, time.Hour,
		}
		var got []time.Duration
		for n := range want {
			task := w.until(u.ID, fmt.Sprintf("attempt %d", n+1), func(u queue.Update) bool {
				return u.Tasks[0].Attempts == n+1
			}).Tasks[0]
			if task.LastError != "HTTP 502" || task.Status != queue.Queued {
				t.Fatalf("after attempt %d: %+v", n+1, task)
			}
			wait := task.NextAttempt.Sub(w.clock.now())
			got = append(got, wait)
			w.pass(wait)
		}
		diff(t, "the waits", want, got)
		eventually(t, "all attempts are observed", func() bool { return w.observed(queue.TaskRetried) >= len(want) })
	})
}

func TestExpiry(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(fails("HTTP 502"))
		u := update("app", "1")
		w.stored(u)
		w.until(u.ID, "the first attempt", func(u queue.Update) bool { return u.Tasks[0].Attempts == 1 })
		w.pass(24*time.Hour - time.Minute)
		w.until(u.ID, "the second attempt", func(u queue.Update) bool { return u.Tasks[0].Attempts == 2 })
		w.pass(time.Minute)
		got := w.ends(u.ID, queue.Failed).Tasks[0]
		if got.LastError != "HTTP 502" || got.Attempts != 3 || !got.NextAttempt.IsZero() {
			t.Errorf("got %+v", got)
		}

		// Tried again by hand it has another day.
		again, err := w.Retry(t.Context(), u.ID)
		if err != nil || again.Status != queue.Queued || again.Tasks[0].Attempts != 0 || !again.FinishedAt.IsZero() {
			t.Fatalf("Retry: %+v, %v", again, err)
		}
		w.until(u.ID, "the first attempt of the second life", func(u queue.Update) bool { return u.Tasks[0].Attempts == 1 })
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		w.pass(time.Hour)
		w.ends(u.ID, queue.Committed)
	})
}

func TestPostponement(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(queue.Item) queue.Outcome {
			return queue.Outcome{Status: queue.Queued, After: 30 * time.Hour, Error: "rate limited", Result: []byte("1")}
		})
		u := update("app", "1")
		w.stored(u)
		got := w.until(u.ID, "it is postponed", func(u queue.Update) bool { return u.Tasks[0].LastError != "" }).Tasks[0]
		wait := got.NextAttempt.Sub(w.clock.now())
		if got.Attempts != 0 || wait < 30*time.Hour || wait > 30*time.Hour+5*time.Second {
			t.Errorf("postponed for 30 h: %+v, %s from now", got, wait)
		}
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		w.pass(31 * time.Hour) // longer than a day, and it is tried nevertheless
		got = w.ends(u.ID, queue.Committed).Tasks[0]
		if string(got.Result) != "1" || got.LastError != "" {
			t.Errorf("at the end: %+v", got)
		}
		if n := w.observed(queue.TaskPostponed); n != 1 {
			t.Errorf("observed %d postponements, want 1", n)
		}
	})
}

// A parked task has its whole day left when its time comes, in the next run as well, and
// Unpark brings the time forward.
func TestParked(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		parks := func(queue.Item) queue.Outcome {
			return queue.Outcome{Status: queue.Queued, After: 48 * time.Hour, Parked: true, Error: "frozen"}
		}
		w.worker.becomes(parks)
		u, other := update("app", "1"), update("other", "1")
		w.stored(u)
		w.until(u.ID, "it is parked", func(u queue.Update) bool { return u.Tasks[0].LastError == "frozen" })
		w.worker.becomes(fails("HTTP 502"))
		w.pass(49 * time.Hour)
		got := w.until(u.ID, "the first attempt", func(u queue.Update) bool { return u.Tasks[0].Attempts == 1 })
		if got.Status != queue.Queued {
			t.Errorf("after two days of waiting: %+v", got)
		}
		w.pass(24 * time.Hour)
		w.ends(u.ID, queue.Failed)

		w.worker.becomes(parks)
		w.stored(other)
		w.until(other.ID, "it is parked", func(u queue.Update) bool { return u.Tasks[0].LastError == "frozen" })
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		if err := w.Unpark(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.ends(other.ID, queue.Committed)
	})
}

// A branch that waits for a later time begins at once when something new comes.
func TestNewOneDoesNotWaitForAnothersBackoff(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if i.Update.Image == "limited" {
				return queue.Outcome{Status: queue.Queued, After: time.Hour}
			}
			return queue.Outcome{Status: queue.Committed}
		})
		limited := w.stored(update("limited", "1"))
		w.until(limited, "it is postponed", func(u queue.Update) bool {
			return u.Tasks[0].NextAttempt.After(w.clock.now())
		})
		w.ends(w.stored(update("app", "1")), queue.Committed)
		diff(t, "the calls", 2, len(w.worker.seen()))
	})
}

func TestApplyThatMisbehaves(t *testing.T) {
	tests := []struct {
		name string
		do   func(queue.Item) queue.Outcome
	}{
		{"panics", func(queue.Item) queue.Outcome { panic("surprise") }},
		{"knows another status", func(queue.Item) queue.Outcome { return queue.Outcome{Status: "lost"} }},
	}
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		for _, test := range tests {
			w.worker.becomes(test.do)
			u := update(test.name, "1")
			w.stored(u)
			got := w.until(u.ID, test.name, func(u queue.Update) bool { return u.Tasks[0].Attempts == 1 })
			if got.Tasks[0].LastError != "internal error" || got.Status != queue.Queued {
				t.Errorf("%s: %+v", test.name, got.Tasks[0])
			}
			w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
			w.pass(time.Minute)
			w.ends(u.ID, queue.Committed)
		}
	})
}

func TestWrongNumberOfOutcomes(t *testing.T) {
	t.Parallel()
	w := open(t, sqliteURL(t))
	right := w.apply
	calls := 0
	w.apply = func(ctx context.Context, b queue.Batch) []queue.Outcome {
		calls++
		if calls == 1 {
			return nil
		}
		return right(ctx, b)
	}
	w.begin()
	u := update("app", "1")
	w.stored(u)
	w.until(u.ID, "it is to be tried again", func(u queue.Update) bool { return u.Tasks[0].LastError == "internal error" })
	w.pass(time.Minute)
	w.ends(u.ID, queue.Committed)
}

func TestErrorsAreOneShortLine(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(queue.Item) queue.Outcome {
			return queue.Outcome{Status: queue.Failed, Error: " a\x00b\xff\nc" + strings.Repeat("é", 1000)}
		})
		got := w.ends(w.stored(update("app", "1")), queue.Failed).Tasks[0].LastError
		want := "a b\uFFFD c" + strings.Repeat("é", 496) + "…"
		diff(t, "the error", want, got)
	})
}

func TestRetry(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL, func(o *queue.Options) { o.MaxWaiting = 1 })
		if _, err := w.Retry(t.Context(), "nobody"); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("an unknown one: %v", err)
		}
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Absent} })
		absent := w.stored(update("absent", "1"))
		w.ends(absent, queue.Failed)
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Failed, Error: "no"} })
		old := w.stored(update("app", "1"))
		w.ends(old, queue.Failed)

		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		if _, err := w.Retry(t.Context(), absent); err != nil {
			t.Errorf("one whose image no target named: %v", err)
		}
		w.ends(absent, queue.Committed)
		if _, err := w.Retry(t.Context(), absent); !errors.Is(err, queue.ErrNotFailed) {
			t.Errorf("a committed one: %v", err)
		}

		w.worker.hold()
		busy := w.stored(update("busy", "1"))
		if _, err := w.Retry(t.Context(), old); !errors.Is(err, queue.ErrFull) {
			t.Errorf("when there is no room: %v", err)
		}
		w.worker.release()
		w.ends(busy, queue.Committed)

		w.ends(w.stored(update("app", "2")), queue.Committed)
		if got, err := w.Retry(t.Context(), old); err != nil || got.Status != queue.Superseded {
			t.Errorf("one that is older than what was committed: %s, %v", got.Status, err)
		}
	})
}

// A run that was taken for dead, and is not, changes nothing about the tasks that
// its successor has.
func TestRunThatWasTakenForDead(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Failed, Error: "late"} })
		w.worker.hold()
		id := w.stored(update("app", "1"))
		w.worker.running(t)
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		change := func(statement string) {
			t.Helper()
			if err := w.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		change(`UPDATE versions_task SET claim = 'another'`)
		change(`UPDATE river_job SET attempt = attempt + 1`)
		w.worker.release()
		eventually(t, "the first run is over", func() bool { return w.Draining() == 0 })
		diff(t, "the calls of the first run", 1, len(w.worker.seen()))
		change(`UPDATE river_job SET state = 'available' WHERE state = 'running'`)
		w.ends(id, queue.Committed)
		diff(t, "the calls", 2, len(w.worker.seen()))
	})
}
