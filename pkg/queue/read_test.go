package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func TestList(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		for n := range 7 {
			u := update([]string{"a", "b"}[n%2], fmt.Sprint(n), to("x", "y"))
			if n == 3 {
				u.Tasks[0].Status, u.Tasks[1].Status = queue.Failed, queue.Committed
			}
			w.stored(u)
		}
		list := func(f queue.Filter) (versions []string, next string) {
			p, err := w.List(t.Context(), f)
			if err != nil {
				t.Fatalf("List(%+v): %v", f, err)
			}
			for _, u := range p.Updates {
				versions = append(versions, u.Version)
				if len(u.Tasks) != 2 || u.Tasks[0].Target != "x" || u.Tasks[1].Target != "y" {
					t.Errorf("version %s has the tasks %+v", u.Version, u.Tasks)
				}
			}
			return versions, p.Next
		}
		tests := []struct {
			name   string
			filter queue.Filter
			want   []string
		}{
			{"all", queue.Filter{}, []string{"6", "5", "4", "3", "2", "1", "0"}},
			{"image", queue.Filter{Image: "b"}, []string{"5", "3", "1"}},
			{"status", queue.Filter{Status: queue.Failed}, []string{"3"}},
			{"both", queue.Filter{Image: "a", Status: queue.Queued}, []string{"6"}},
			{"limit", queue.Filter{Limit: 2}, []string{"6", "5"}},
			{"none", queue.Filter{Image: "c"}, nil},
		}
		for _, test := range tests {
			got, _ := list(test.filter)
			diff(t, test.name, test.want, got)
		}

		first, next := list(queue.Filter{Limit: 3})
		w.stored(update("c", "7", to("x", "y"))) // pages do not shift
		second, next2 := list(queue.Filter{Limit: 3, Cursor: next})
		third, end := list(queue.Filter{Limit: 3, Cursor: next2})
		diff(t, "the pages", [][]string{{"6", "5", "4"}, {"3", "2", "1"}, {"0"}}, [][]string{first, second, third})
		if end != "" {
			t.Errorf("the last page has the cursor %q", end)
		}
		for _, cursor := range []string{"x", "%%", "YWZ0ZXI6", "YWZ0ZXI6LTE"} {
			if _, err := w.List(t.Context(), queue.Filter{Cursor: cursor}); !errors.Is(err, queue.ErrCursor) {
				t.Errorf("cursor %q: %v", cursor, err)
			}
		}
	})
}

func TestWait(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		if _, err := w.Wait(t.Context(), "nobody"); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("an unknown one: %v", err)
		}
		id := w.stored(update("app", "1"))
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if u, err := w.Wait(ctx, id); !errors.Is(err, cause) || u.Status != queue.Queued || u.ID != id {
			t.Errorf("after the end of ctx: %+v, %v", u, err)
		}
		w.begin()
		w.ends(id, queue.Committed)
	})
}

func TestStats(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		stats := func(want queue.Stats) {
			t.Helper()
			got, err := w.Stats(t.Context())
			if err != nil {
				t.Fatalf("Stats: %v", err)
			}
			diff(t, "the figures", want, got)
		}
		stats(queue.Stats{})
		w.stored(update("a", "1", to("x", "y")))
		w.clock.advance(time.Minute)
		w.stored(update("b", "1"))
		w.stored(update("c", "1", func(u *queue.Update) { u.Tasks[0].Status = queue.Failed }))
		stats(queue.Stats{Waiting: 3, Oldest: time.Minute, Failed: 1})
		if err := w.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
	})
}

func TestSweep(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL, func(o *queue.Options) { o.Retention = 10 * 24 * time.Hour })
		count := func(table string) int64 {
			t.Helper()
			n, err := w.Count(t.Context(), `SELECT count(*) FROM `+table)
			if err != nil {
				t.Fatalf("count %s: %v", table, err)
			}
			return n
		}
		ended := func(u *queue.Update) { u.Tasks[0].Status = queue.Committed }
		var old []queue.Update
		for n := range 250 { // more than one step
			old = append(old, update(fmt.Sprintf("old-%d", n), "1", ended))
		}
		for some := range slices.Chunk(old, 50) {
			w.accept(some...)
		}
		waits := w.stored(update("waits", "1"))
		w.reserves(key("k", 1), queue.KeyNew)
		w.clock.advance(10*24*time.Hour + time.Second)
		fresh := w.stored(update("fresh", "1", ended))
		w.reserves(key("k2", 1), queue.KeyNew)
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		got := []int64{count("versions_update"), count("versions_task"), count("versions_key")}
		diff(t, "what is left", []int64{2, 2, 1}, got)
		w.get(waits)
		w.get(fresh)
	})
}

// A job that somebody removed is made up for.
func TestSweepFindsABranchWithoutAJob(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		id := w.stored(update("app", "1"))
		w.begin()
		w.ends(id, queue.Committed)
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Queued, After: time.Minute} })
		id = w.stored(update("app", "2"))
		w.until(id, "it is postponed", func(u queue.Update) bool { return u.Tasks[0].NextAttempt.After(w.clock.now()) })
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		if err := w.Exec(t.Context(), `DELETE FROM river_job`); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(2 * time.Minute)
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		w.ends(id, queue.Committed)
	})
}

// Those who read do not wait for the one who writes.
func TestReadingWhileWriting(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		id := w.stored(update("app", "1"))
		if err := w.Writing(t.Context(), func() {
			w.get(id)
			if _, err := w.List(t.Context(), queue.Filter{}); err != nil {
				t.Errorf("List: %v", err)
			}
			if _, err := w.Stats(t.Context()); err != nil {
				t.Errorf("Stats: %v", err)
			}
		}); err != nil {
			t.Fatalf("write: %v", err)
		}
	})
}
