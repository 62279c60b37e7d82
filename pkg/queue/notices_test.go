package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// told makes a notice for each of some endpoints, of every update that ended so.
type told struct {
	endpoints []string
	statuses  []queue.Status
	panics    bool
	body      int // bytes, in place of what became of it
}

func (n *told) Wanted(s queue.Status) bool { return slices.Contains(n.statuses, s) }

func (n *told) Of(u queue.Update) (out []queue.Notice) {
	if n.panics {
		panic("no notice")
	}
	for _, e := range n.endpoints {
		body := []byte(fmt.Sprintf("%s %s %s", u.Version, u.Status, u.Tasks[0].Status))
		if n.body > 0 {
			body = make([]byte, n.body)
		}
		out = append(out, queue.Notice{Endpoint: e, Body: body})
	}
	return out
}

// dueNotices are the bodies of the notices that an endpoint may be sent now.
func (w *world) dueNotices(endpoint string) ([]queue.Notice, []string) {
	w.t.Helper()
	found, err := w.DueNotices(w.t.Context(), endpoint, 100)
	w.must(err)
	bodies := []string{}
	for _, n := range found {
		bodies = append(bodies, string(n.Body))
	}
	return found, bodies
}

func TestNotices(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		notices := &told{endpoints: []string{"a", "b"}, statuses: []queue.Status{queue.Committed, queue.Failed, queue.Proposed}}
		w := start(t, storeURL, func(o *queue.Options) { o.Notices = notices })
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			return queue.Outcome{Status: map[string]queue.Status{
				"1": queue.Committed, "2": queue.Held, "3": queue.Failed, "4": queue.Proposed,
			}[i.Update.Version]}
		})
		first := w.stored(update("one", "1"))
		w.ends(first, queue.Committed)
		w.ends(w.stored(update("two", "2")), queue.Held)

		found, bodies := w.dueNotices("a")
		diff(t, "due", []string{"1 committed committed"}, bodies)
		_, bodies = w.dueNotices("a")
		diff(t, "taken", []string{}, bodies)
		w.clock.advance(3 * time.Minute)
		again, _ := w.dueNotices("a")
		diff(t, "after the lease", found, again)
		found[0].Attempts = 3
		w.must(w.RetryNotice(t.Context(), found[0], time.Hour))
		w.clock.advance(59 * time.Minute)
		_, bodies = w.dueNotices("a")
		diff(t, "postponed", []string{}, bodies)
		w.clock.advance(time.Minute)
		again, _ = w.dueNotices("a")
		diff(t, "tried again", found, again)
		w.must(w.EndNotice(t.Context(), again[0]))
		waiting, err := w.WaitingNotices(t.Context())
		w.must(err)
		diff(t, "waiting", map[string]int{"b": 1}, waiting)

		// A retry is another end, and so is that of a pull request.
		failed := w.stored(update("three", "3"))
		w.ends(failed, queue.Failed)
		w.clock.advance(time.Second)
		if _, err := w.Retry(t.Context(), failed); err != nil {
			t.Fatal(err)
		}
		w.until(failed, "it failed again", func(u queue.Update) bool { return u.Status == queue.Failed && u.FinishedAt.Equal(w.clock.now()) })
		proposed := w.stored(update("four", "4"))
		w.ends(proposed, queue.Proposed)
		w.clock.advance(time.Second)
		w.must(w.EndProposed(t.Context(), "infra", proposed, "four", queue.Outcome{Status: queue.Committed}))
		_, bodies = w.dueNotices("a")
		slices.Sort(bodies)
		diff(t, "ends", []string{"3 failed failed", "3 failed failed", "4 committed committed", "4 proposed proposed"}, bodies)

		// One that was carried out at once.
		u := update("five", "5")
		u.Tasks[0].Status = queue.Committed
		w.must(w.Record(t.Context(), u))
		w.must(w.Record(t.Context(), u))
		_, bodies = w.dueNotices("a")
		diff(t, "recorded", []string{"5 committed committed"}, bodies)

		notices.panics = true
		w.ends(w.stored(update("one", "1")), queue.Committed)
		notices.panics = false
		_, bodies = w.dueNotices("a")
		diff(t, "panicked", []string{}, bodies)

		w.clock.advance(queue.NoticeLife + 2*time.Hour)
		w.must(w.Sweep(t.Context()))
		waiting, err = w.WaitingNotices(t.Context())
		w.must(err)
		diff(t, "after a day", map[string]int{}, waiting)
	})
}

// TestNoticesAreBounded wants the updates to go on when there is no room.
func TestNoticesAreBounded(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		notices := &told{endpoints: []string{"a"}, statuses: []queue.Status{queue.Committed}}
		w := start(t, storeURL, func(o *queue.Options) { o.Notices = notices })
		w.must(w.Exec(t.Context(), `
			INSERT INTO versions_notice (endpoint, id, body, made_at, next_at, attempts)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
			SELECT 'a', 'msg_' || i, 'x', 0, 0, 0 FROM n`))
		w.ends(w.stored(update("one", "1")), queue.Committed)
		w.ends(w.stored(update("one", "2")), queue.Committed)
		diff(t, "dropped", 1, w.observed(queue.NoticeDropped))
		diff(t, "stored", 1, w.observed(queue.NoticeStored))
		notices.endpoints, notices.body = []string{"b"}, queue.MaxNotice+1
		w.ends(w.stored(update("one", "3")), queue.Committed)
		waiting, err := w.WaitingNotices(t.Context())
		w.must(err)
		diff(t, "waiting", map[string]int{"a": queue.MaxNotices}, waiting)
		diff(t, "dropped, the large one too", 2, w.observed(queue.NoticeDropped))
	})
}
