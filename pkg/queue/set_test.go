package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// images makes an update one of several images, on each of its targets.
func images(names ...string) func(*queue.Update) {
	return func(u *queue.Update) {
		targets := u.Tasks
		u.Image, u.Tasks = names[0], nil
		for _, t := range targets {
			for _, name := range names {
				t.Image = name
				u.Tasks = append(u.Tasks, t)
			}
		}
	}
}

// tell is what became of each image, such as infra/a=committed.
func tell(u queue.Update) string {
	var ends []string
	for _, t := range u.Tasks {
		ends = append(ends, fmt.Sprintf("%s/%s=%s", t.Target, t.Image, t.Status))
	}
	return strings.Join(ends, " ")
}

// A newer update takes one image of a set that waits; the others go on, together.
func TestNewerOneTakesAnImageOfASet(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.hold()
		w.stored(update("other", "0"))
		w.worker.running(t)
		set := w.stored(update("", "1", images("a", "b", "c")))
		single := w.stored(update("b", "2"))
		later := w.stored(update("", "3", images("c", "d")))
		w.worker.release()
		if u := w.ends(set, queue.Committed); tell(u) != "infra/a=committed infra/b=superseded infra/c=superseded" {
			t.Errorf("the set: %s", tell(u))
		}
		w.ends(single, queue.Committed)
		w.ends(later, queue.Committed)
		diff(t, "batches", [][]string{{"0"}, {"1", "2", "3", "3"}}, w.worker.seen())

		all := w.stored(update("", "4", images("a", "b")))
		w.ends(all, queue.Committed)
		for image, want := range map[string][]string{"a": {all, set}, "b": {all, single, set}, "c": {later, set}, "d": {later}} {
			page, err := w.List(t.Context(), queue.Filter{Image: image})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range page.Updates {
				got = append(got, u.ID)
			}
			diff(t, "updates of "+image, want, got)
		}
	})
}

// The images of a set are tried again at the same time, alone among suspects too, and a
// batch is never cut through one.
func TestSetStaysTogether(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		var mu sync.Mutex
		var calls []string
		w := open(t, storeURL, func(o *queue.Options) {
			n := 0.0
			o.Random = func() float64 { mu.Lock(); defer mu.Unlock(); n += 0.1; return n - float64(int(n)) }
		})
		tries := map[string]int{}
		w.apply = func(_ context.Context, b queue.Batch) []queue.Outcome {
			mu.Lock()
			defer mu.Unlock()
			in := map[string]int{}
			var outcomes []queue.Outcome
			for _, i := range b.Items {
				in[i.Update.ID]++
			}
			for _, i := range b.Items {
				if in[i.Update.ID] != 50 {
					calls = append(calls, fmt.Sprintf("%d images of one of 50", in[i.Update.ID]))
				}
				if tries[i.Update.ID]++; tries[i.Update.ID] <= 100 {
					outcomes = append(outcomes, queue.Outcome{Status: queue.Queued, Error: "away"})
				} else {
					outcomes = append(outcomes, queue.Outcome{Status: queue.Committed})
				}
			}
			return outcomes
		}
		var updates []queue.Update
		for n := range 11 { // more than fit into one batch
			var names []string
			for i := range 50 {
				names = append(names, fmt.Sprintf("i%d-%d", n, i))
			}
			updates = append(updates, update("", "1", images(names...)))
		}
		w.accept(updates...)
		w.begin()
		eventually(t, "all are committed", func() bool {
			w.pass(10 * time.Minute)
			return !slices.ContainsFunc(updates, func(u queue.Update) bool { return w.get(u.ID).Status != queue.Committed })
		})
		mu.Lock()
		defer mu.Unlock()
		if len(calls) > 0 {
			t.Errorf("calls: %q", calls[:min(len(calls), 5)])
		}
	})
}

// A set that is carried out at once has its place in the order by each of its images, in
// every process, and is told which of them were replaced.
func TestSetIsReplacedElsewhere(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		set := update("", "1", images("a", "b"))
		at, err := w.Enter(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.advance(-time.Minute)
		newer := update("b", "2", func(u *queue.Update) { u.Tasks[0].Status = queue.Committed })
		second, err := w.Enter(t.Context(), newer)
		if err != nil || !second.After(at) {
			t.Fatalf("%s is not after %s: %v", second, at, err)
		}
		if err := w.Record(t.Context(), newer); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(storeURL, "postgres") { // else the process itself keeps the order
			replaced, undecided, err := w.Announce(t.Context(), "infra", "c", []string{set.ID})
			if err != nil || undecided {
				t.Fatal(undecided, err)
			}
			diff(t, "replaced", map[string][]string{set.ID: {"b"}}, replaced)
		}
		for i, status := range []queue.Status{queue.Committed, queue.Superseded} {
			set.Tasks[i].Status = status
		}
		set.PushedAt = at
		if err := w.Record(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		if u := w.get(set.ID); u.Status != queue.Committed || tell(u) != "infra/a=committed infra/b=superseded" {
			t.Errorf("%s: %s", u.Status, tell(u))
		}
	})
}

// An update with a target that failed can be tried again while another is queued, and is
// listed as failed.
func TestFailedTargetBesideAQueuedOne(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if i.Task.Target == "x" {
				return queue.Outcome{Status: queue.Failed, Error: "protected"}
			}
			return queue.Outcome{Status: queue.Queued, Error: "away", After: time.Hour}
		})
		id := w.stored(update("", "1", to("x", "y"), images("a", "b")))
		w.begin()
		is := func(want string) func(queue.Update) bool { return func(u queue.Update) bool { return tell(u) == want } }
		w.until(id, "one failed", func(u queue.Update) bool {
			return is("x/a=failed x/b=failed y/a=queued y/b=queued")(u) && u.Tasks[3].LastError != ""
		})
		for status, want := range map[queue.Status]int{queue.Failed: 1, queue.Queued: 0, queue.Committed: 0, "": 1} {
			page, err := w.List(t.Context(), queue.Filter{Status: status})
			if err != nil || len(page.Updates) != want {
				t.Errorf("%q: %+v, %v", status, page, err)
			}
		}
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		if u, err := w.Retry(t.Context(), id); err != nil || u.Status != queue.Queued {
			t.Fatalf("%+v, %v", u, err)
		}
		w.until(id, "it is committed", is("x/a=committed x/b=committed y/a=queued y/b=queued"))
	})
}

func TestOverall(t *testing.T) {
	t.Parallel()
	ranked := []queue.Status{queue.Failed, queue.Queued, queue.Committed, queue.Proposed, queue.Held, queue.Superseded, queue.Unchanged, queue.Absent}
	for i, s := range ranked {
		if got := queue.Overall(append([]queue.Status{queue.Absent}, ranked[i:]...)...); got != s {
			t.Errorf("of %v: %s", ranked[i:], got)
		}
	}
}

// A page is full although most updates are hidden, and one that reads too many of them
// ends with a cursor that goes on behind them.
func TestPageWithoutWhatIsHidden(t *testing.T) {
	t.Parallel()
	w := open(t, sqliteURL(t))
	var updates []queue.Update
	for n := range 900 {
		updates = append(updates, update("app", fmt.Sprint(n), func(u *queue.Update) { u.Tasks[0].Status = queue.Committed }))
	}
	for chunk := range slices.Chunk(updates, 300) {
		for range 3 { // 2,700 in all
			var again []queue.Update
			for _, u := range chunk {
				again = append(again, update("app", u.Version, func(u *queue.Update) { u.Tasks[0].Status = queue.Committed }))
			}
			w.accept(again...)
		}
	}
	shown := 0
	show := func(u queue.Update) (queue.Update, bool) {
		shown++
		return u, u.Version == "7" || u.Version == "650"
	}
	var got []string
	var reads []int
	for cursor := ""; ; {
		shown = 0
		page, err := w.List(t.Context(), queue.Filter{Limit: 2, Cursor: cursor, Show: show})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Updates {
			got = append(got, u.Version)
		}
		reads = append(reads, shown)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	diff(t, "updates", []string{"650", "650", "650", "7", "7", "7"}, got)
	if slices.Max(reads) > 2_400 || len(reads) != 4 {
		t.Errorf("updates that were read for each page: %v", reads)
	}
}
