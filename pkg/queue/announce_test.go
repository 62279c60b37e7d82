package queue_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
)

// announce has the world's Apply announce a commit for each item, and note what it
// is told.
func announce(w *world, told *sync.Map) {
	inner := w.apply
	w.apply = func(ctx context.Context, b queue.Batch) []queue.Outcome {
		outcomes := inner(ctx, b)
		for i, item := range b.Items {
			replaced, undecided, err := w.Announce(ctx, item.Task.Target, "c-"+item.Update.Version, []string{item.Update.ID})
			if err != nil || undecided {
				outcomes[i] = queue.Outcome{Status: queue.Queued, Error: "not announced", After: time.Hour}
				told.Store(item.Update.Version, errors.Join(err, errors.New("undecided")))
				continue
			}
			if len(replaced) > 0 {
				outcomes[i] = queue.Outcome{Status: queue.Superseded}
			}
			told.Store(item.Update.Version, len(replaced) > 0)
		}
		return outcomes
	}
}

// A stored update that waited for long does not follow a newer one that was carried
// out at once meanwhile, by this process or another.
func TestNewerOneWasCarriedOut(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	var told sync.Map
	w := open(t, storeURL)
	announce(w, &told)
	w.begin()
	other := open(t, storeURL)
	w.worker.hold()
	old := w.stored(update("app", "1"))
	w.worker.running(t)
	now := update("app", "2", func(u *queue.Update) { u.Tasks[0].Status = queue.Committed })
	if _, err := other.Enter(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if _, undecided, err := other.Announce(t.Context(), "infra", "c-2", []string{now.ID}); err != nil || undecided {
		t.Fatalf("Announce of the newest: %t, %v", undecided, err)
	}
	time.AfterFunc(300*time.Millisecond, func() { // meanwhile the old one waits for its end
		if err := other.Record(context.Background(), now); err != nil {
			t.Errorf("Record: %v", err)
		}
	})
	w.worker.release()
	w.ends(old, queue.Superseded)
	if v, _ := told.Load("1"); v != true {
		t.Errorf("the old one was told %v, want that it is replaced", v)
	}
}

// A request that is carried out at once waits for a newer one whose commit is on
// its way elsewhere, and for none that has not come so far.
func TestNewerOneIsOnItsWay(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	here := open(t, storeURL)
	there := open(t, storeURL)
	first, second := update("app", "1"), update("app", "2")
	if _, err := here.Enter(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Enter(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	standing := func() (replaced map[string][]string, undecided bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), racetime.Slower*5*time.Second)
		defer cancel()
		replaced, undecided, err := here.Announce(ctx, "infra", "c-1", []string{first.ID})
		if err != nil {
			t.Fatalf("Announce: %v", err)
		}
		return replaced, undecided
	}
	if replaced, undecided := standing(); replaced != nil || undecided {
		t.Errorf("before the newer one is on its way: %v, %t", replaced, undecided)
	}
	if _, _, err := there.Announce(t.Context(), "infra", "c-2", []string{second.ID}); err != nil {
		t.Fatal(err)
	}
	if _, undecided := standing(); !undecided {
		t.Error("while the newer one is on its way it is decided")
	}
	if err := there.Leave(t.Context(), second.ID); err != nil { // it came to nothing
		t.Fatal(err)
	}
	if replaced, undecided := standing(); replaced != nil || undecided {
		t.Errorf("after the newer one has failed: %v, %t", replaced, undecided)
	}
}

// The commit of a run that died is given to the next one, and the task is not
// superseded before that has looked for it.
func TestAnnouncedCommitSurvives(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		var told sync.Map
		w := open(t, storeURL)
		announce(w, &told)
		w.begin()
		var mu sync.Mutex
		var sent []string
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, i.Update.Version+":"+i.Sent)
			if i.Update.Version == "1" && i.Sent == "" {
				return queue.Outcome{Status: queue.Queued, InDoubt: true, Error: "the answer was lost"}
			}
			return queue.Outcome{Status: queue.Committed}
		})
		first := w.stored(update("app", "1"))
		w.until(first, "the first try is over", func(u queue.Update) bool { return u.Tasks[0].Attempts == 1 })
		second := w.stored(update("app", "2"))
		w.ends(second, queue.Committed)
		if got := w.get(first).Status; got != queue.Queued {
			t.Errorf("the first, whose commit may be on the branch, is %s", got)
		}
		w.pass(time.Hour)
		w.until(first, "the first has ended", func(u queue.Update) bool { return u.Status.Ended() })
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(sent, "1:c-1") {
			t.Errorf("applied: %v, want 1 once more with its commit", sent)
		}
	})
}

// What another run has taken over is not announced.
func TestAnnounceByARunThatWasTakenForDead(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.hold()
		u := update("app", "1")
		w.stored(u)
		w.worker.running(t)
		if err := w.Exec(t.Context(), `UPDATE versions_task SET claim = 'another'`); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Announce(t.Context(), "infra", "c", []string{u.ID}); err == nil {
			t.Error("it was announced")
		}
		if n, err := w.Count(t.Context(), `SELECT count(*) FROM versions_task WHERE sent_commit <> ''`); err != nil || n != 0 {
			t.Errorf("%d tasks have a commit, %v", n, err)
		}
		if err := w.Exec(t.Context(), `UPDATE versions_task SET claim = ''`); err != nil {
			t.Fatal(err)
		}
	})
}
