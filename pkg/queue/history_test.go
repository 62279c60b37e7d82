package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// What ended is kept up to a number of bytes; the oldest go first, and what waits
// is not touched.
func TestHistoryIsBounded(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL, func(o *queue.Options) { o.MaxHistory = 1 << 20 })
		waits := w.stored(update("waits", "1"))
		var ids []string
		for n := range 40 {
			w.clock.advance(time.Second)
			u := update(fmt.Sprint("app-", n), "1", func(u *queue.Update) {
				u.Tasks[0].Status, u.Tasks[0].Result = queue.Committed, make([]byte, 60<<10)
			})
			if err := w.Record(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, u.ID)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for n, id := range ids {
			_, err := w.Get(t.Context(), id)
			switch {
			case err == nil:
				kept++
			case !errors.Is(err, queue.ErrNotFound):
				t.Fatal(err)
			case kept > 0:
				t.Errorf("update %d is gone, an older one is not", n)
			}
		}
		if kept < 15 || kept > 17 { // of 60 KiB and two rows
			t.Errorf("%d of 40 updates are kept of 1 MiB", kept)
		}
		if w.get(waits).Status != queue.Queued {
			t.Error("what waits is gone")
		}
	})
}

// The bound is held without the minute between two sweeps when much comes at once.
func TestHistoryThatGrowsQuickly(t *testing.T) {
	t.Parallel()
	w := start(t, sqliteURL(t), func(o *queue.Options) { o.MaxHistory = 1 << 20 })
	first := ""
	for n := range 40 {
		u := update(fmt.Sprint("app-", n), "1", func(u *queue.Update) {
			u.Tasks[0].Status, u.Tasks[0].Result = queue.Committed, make([]byte, 60<<10)
		})
		if err := w.Record(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = u.ID
		}
		w.clock.advance(time.Second)
	}
	eventually(t, "the first is gone", func() bool {
		_, err := w.Get(t.Context(), first)
		return errors.Is(err, queue.ErrNotFound)
	})
}

// A request is kept as long as somebody may have it tried again.
func TestRequestOfWhatEnded(t *testing.T) {
	tests := []struct {
		outcomes []queue.Status
		absentAs queue.Status
		kept     bool
	}{
		{[]queue.Status{queue.Committed, queue.Unchanged}, queue.Failed, false},
		{[]queue.Status{queue.Superseded}, queue.Failed, false},
		{[]queue.Status{queue.Unchanged, queue.Absent}, queue.Failed, false},
		{[]queue.Status{queue.Committed, queue.Failed}, queue.Failed, true},
		{[]queue.Status{queue.Absent, queue.Absent}, queue.Unchanged, true},
		{[]queue.Status{queue.Absent}, queue.Failed, true},
	}
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		for n, test := range tests {
			var names []string
			ends := map[string]queue.Status{}
			for i, s := range test.outcomes {
				name := fmt.Sprintf("t%d-%d", n, i)
				names, ends[name] = append(names, name), s
			}
			w.worker.becomes(func(i queue.Item) queue.Outcome { return queue.Outcome{Status: ends[i.Task.Target]} })
			stored := update(fmt.Sprint("app-", n), "1", to(names...), func(u *queue.Update) { u.AbsentAs = test.absentAs })
			w.stored(stored)
			recorded := update(fmt.Sprint("web-", n), "1", to(names...), func(u *queue.Update) {
				u.AbsentAs = test.absentAs
				for i := range u.Tasks {
					u.Tasks[i].Status = test.outcomes[i]
				}
			})
			if err := w.Record(t.Context(), recorded); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{stored.ID, recorded.ID} {
				eventually(t, "it has ended", func() bool { return w.get(id).Status.Ended() })
				if got := w.get(id); (got.Request != nil) != test.kept {
					t.Errorf("%v: the request of %s is kept: %t", test.outcomes, got.Image, got.Request != nil)
				}
			}
		}
	})
}

// A write that failed is known until another one succeeds.
func TestCheckKnowsAFailedWrite(t *testing.T) {
	t.Parallel()
	w := open(t, sqliteURL(t))
	if err := w.Check(t.Context()); err != nil {
		t.Errorf("at first: %v", err)
	}
	if err := w.FillDisk(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	large := update("app", "1", func(u *queue.Update) { u.Request = make([]byte, 1<<20) })
	if _, err := w.Accept(t.Context(), []queue.Update{large}, nil); err == nil {
		t.Fatal("accepted on a full disk")
	}
	if n := w.observed(queue.WriteFailed); n != 1 {
		t.Errorf("%d failed writes were observed, want 1", n)
	}
	if err := w.ReadOnly(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "write to the store") {
		t.Errorf("after a write that failed, and while no other one succeeds: %v", err)
	}
	if err := errors.Join(w.ReadOnly(t.Context(), false), w.FillDisk(t.Context(), -1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	if _, err := w.Accept(t.Context(), []queue.Update{large, large}, nil); !errors.Is(err, queue.ErrExists) {
		t.Fatalf("the same id twice: %v", err)
	}
	if n := w.observed(queue.WriteFailed); n != 2 {
		t.Errorf("%d failed writes were observed, want 2: a refusal is none", n)
	}
}

// SQLite goes on writing to files that are gone: that is no acceptance.
func TestFileIsTakenAway(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "-wal"} {
		t.Run("queue.db"+name, func(t *testing.T) {
			t.Parallel()
			storeURL := sqliteURL(t)
			path := strings.TrimPrefix(storeURL, "sqlite:") + name
			w := open(t, storeURL)
			w.stored(update("app", "1"))
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Accept(t.Context(), []queue.Update{update("web", "1")}, nil); err == nil {
				t.Error("accepted into a file that is gone")
			}
			if err := w.Check(t.Context()); err == nil {
				t.Error("Check finds nothing wrong")
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil { // another one in its place
				t.Fatal(err)
			}
			if err := w.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "replaced") {
				t.Errorf("with another file in its place: %v", err)
			}
		})
	}
}

func TestRiverTablesOfANewerRelease(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		if err := w.Exec(context.Background(), `INSERT INTO river_migration (line, version) VALUES ('main', 99)`); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		q, err := queue.Open(t.Context(), queue.Options{URL: storeURL})
		if err == nil || !strings.Contains(err.Error(), "newer release") || !strings.Contains(err.Error(), "99") {
			t.Errorf("Open: %v, %v", q, err)
		}
	})
}
