package queue_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func (w *world) due() []string {
	w.t.Helper()
	found, err := w.DueProposals(w.t.Context(), 10)
	if err != nil {
		w.t.Fatal(err)
	}
	names := []string{}
	for _, p := range found {
		names = append(names, p.Name+"="+string(p.Data))
	}
	return names
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestProposals(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		ctx := t.Context()
		keep := func(name, data string, in time.Duration) {
			t.Helper()
			w.must(w.KeepProposal(ctx, queue.Proposal{Target: "infra", Name: name, Data: []byte(data), LookAt: w.clock.now().Add(in)}))
		}
		keep("a", "1", time.Minute)
		keep("b", "1", 0)
		keep("b", "2", 0)
		diff(t, "due", []string{"b=2"}, w.due())
		diff(t, "taken", []string{}, w.due())
		w.clock.advance(time.Minute)
		diff(t, "due later", []string{"a=1"}, w.due())
		w.clock.advance(2 * time.Minute)
		diff(t, "taken and not kept", 2, len(w.due()))
		w.must(w.HintProposals(ctx, []string{"infra"}, "a"))
		diff(t, "hinted at", []string{"a=1"}, w.due())
		w.must(w.HintProposals(ctx, []string{"other", "infra"}))
		diff(t, "hinted at all", 2, len(w.due()))
		w.must(w.HintProposals(ctx, []string{"infra"}, "a"))
		keep("a", "2", time.Hour) // by who looked before the hint
		diff(t, "hinted at meanwhile", []string{"a=2"}, w.due())
		keep("a", "3", time.Hour)
		diff(t, "looked at since", []string{}, w.due())
		p, found, err := w.FindProposal(ctx, "infra", "b")
		if err != nil || !found || string(p.Data) != "2" {
			t.Errorf("%+v, %v, %v", p, found, err)
		}
		w.must(w.DropProposal(ctx, "infra", "b"))
		if _, found, err := w.FindProposal(ctx, "infra", "b"); found || err != nil {
			t.Errorf("dropped, and found: %v, %v", found, err)
		}
		if err := w.KeepProposal(ctx, queue.Proposal{Target: "infra", Name: "c", Data: make([]byte, 2<<20)}); err == nil {
			t.Error("2 MiB were kept")
		}
	})
}

// However often others hint at all of them, every proposal has its turn before any has its
// second.
func TestHintedProposalsTakeTurns(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		ctx := t.Context()
		const n, atOnce = 12, 4
		for i := range n {
			// The last is due by its own time, which no hint takes from it.
			in := time.Hour
			if i == n-1 {
				in = 0
			}
			w.must(w.KeepProposal(ctx, queue.Proposal{Target: "infra", Name: string(rune('a' + i)), Data: []byte("1"), LookAt: w.clock.now().Add(in)}))
		}
		for round := range 3 {
			looked := map[string]bool{}
			for range n / atOnce {
				w.clock.advance(time.Second)
				w.must(w.HintProposals(ctx, []string{"infra"}))
				found, err := w.DueProposals(ctx, atOnce)
				w.must(err)
				for _, p := range found {
					w.clock.advance(time.Millisecond)
					w.must(w.HintProposals(ctx, []string{"infra"})) // while it is looked at
					looked[p.Name] = true
					p.LookAt = w.clock.now().Add(time.Hour)
					w.must(w.KeepProposal(ctx, p))
				}
			}
			if len(looked) != n {
				t.Errorf("round %d: %d of %d were looked at: %v", round, len(looked), n, slices.Sorted(maps.Keys(looked)))
			}
		}
		p, _, err := w.FindProposal(ctx, "infra", "a")
		w.must(err)
		if age := w.clock.now().Sub(p.LookAt); age < 0 || age > time.Minute {
			t.Errorf("hinted at, it is due since %s", age)
		}
	})
}

// A proposal that an older version of the program was hinted at is looked at, and then
// like any other.
func TestAHintOfBefore(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		w.must(w.KeepProposal(t.Context(), queue.Proposal{Target: "infra", Name: "a", Data: []byte("1")})) // look_at is 0, as it was then
		w.must(w.HintProposals(t.Context(), []string{"infra"}))
		w.must(w.KeepProposal(t.Context(), queue.Proposal{Target: "infra", Name: "a", Data: []byte("1"), LookAt: w.clock.now().Add(time.Hour)}))
		diff(t, "due", []string{"a=1"}, w.due())
		w.must(w.KeepProposal(t.Context(), queue.Proposal{Target: "infra", Name: "a", Data: []byte("1"), LookAt: w.clock.now().Add(time.Hour)}))
		diff(t, "looked at", []string{}, w.due())
	})
}

// A proposed update has ended for those who wait, and ends again with its pull request.
func TestProposedUpdatesEndWithTheirPullRequest(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		id := w.stored(update("app", "1"))
		w.worker.becomes(func(queue.Item) queue.Outcome {
			return queue.Outcome{Status: queue.Proposed, Result: []byte("open")}
		})
		w.begin()
		wait := func() queue.Update {
			t.Helper()
			u, err := w.Wait(t.Context(), id)
			w.must(err)
			return u
		}
		diff(t, "proposed", queue.Proposed, wait().Status)
		end := func(o queue.Outcome) {
			t.Helper()
			w.must(w.EndProposed(t.Context(), "infra", "unknown", "", o))
			w.must(w.EndProposed(t.Context(), "infra", id, "", o))
		}
		w.must(w.NoteProposed(t.Context(), "infra", id, "", []byte("noted")))
		u, err := w.WaitUntil(t.Context(), id, func(u queue.Update) bool { return string(u.Tasks[0].Result) == "noted" })
		w.must(err)
		diff(t, "noted", queue.Proposed, u.Status)
		w.must(w.NoteProposed(t.Context(), "infra", id, "", []byte("open")))
		end(queue.Outcome{Status: queue.Unchanged, Retriable: true})
		w.must(w.NoteProposed(t.Context(), "infra", id, "", []byte("too late")))
		u = wait()
		diff(t, "closed", queue.Unchanged, u.Status)
		diff(t, "its result", "open", string(u.Tasks[0].Result))
		end(queue.Outcome{Status: queue.Failed})
		diff(t, "ended already", queue.Unchanged, wait().Status)

		// Retried, it says so to whoever carries it out.
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if !i.Task.Retriable {
				return queue.Outcome{Status: queue.Failed, Error: "not known as a retry"}
			}
			return queue.Outcome{Status: queue.Proposed}
		})
		if _, err := w.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		diff(t, "retried", queue.Proposed, wait().Status)
		end(queue.Outcome{Status: queue.Committed, Result: []byte("merged")})
		u = wait()
		diff(t, "merged", queue.Committed, u.Status)
		diff(t, "its result", "merged", string(u.Tasks[0].Result))
		if _, err := w.Retry(t.Context(), id); err == nil {
			t.Error("a merged update was retried")
		}
	})
}

// A newer update for the image at another version replaces one, and nothing else does.
func TestReplacedUpdates(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			switch i.Update.Version {
			case "held":
				return queue.Outcome{Status: queue.Held}
			case "closed":
				return queue.Outcome{Status: queue.Unchanged, Retriable: true}
			}
			return queue.Outcome{Status: queue.Proposed}
		})
		w.begin()
		stored := func(u queue.Update) string {
			t.Helper()
			id := w.stored(u)
			_, err := w.Wait(t.Context(), id)
			w.must(err)
			return id
		}
		set := stored(update("", "1", images("a", "b", "c", "d")))
		stored(update("a", "1"))
		stored(update("c", "held"))
		stored(update("d", "closed"))
		newer := stored(update("b", "2"))
		got, err := w.Replaced(t.Context(), "infra", []string{set, newer, "unknown"})
		w.must(err)
		diff(t, "replaced", map[string][]string{set: {"b"}, newer: {}}, got)
		got, err = w.Replaced(t.Context(), "another", []string{set})
		w.must(err)
		diff(t, "on another target", map[string][]string{}, got)
	})
}
