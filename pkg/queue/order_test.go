package queue_test

import (
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func TestOrder(t *testing.T) {
	noon := newClock().now().Add(-time.Hour)
	early, late := pushed(noon.Add(-time.Minute)), pushed(noon)
	other := func(u *queue.Update) { u.Scope = "apps/**" }
	third := func(u *queue.Update) { u.Scope = "charts/**" }
	tests := []struct {
		name          string
		first, second queue.Update
		outcome       queue.Status // of the first before the second comes; Queued: it waits
		want          [2]queue.Status
	}{
		{"newer while it waits", update("app", "1", early), update("app", "2", late), queue.Queued, [2]queue.Status{queue.Superseded, queue.Committed}},
		{"older while it waits", update("app", "2", late), update("app", "1", early), queue.Queued, [2]queue.Status{queue.Committed, queue.Superseded}},
		{"pushed at the same time: by arrival", update("app", "1", late), update("app", "2", late), queue.Queued, [2]queue.Status{queue.Superseded, queue.Committed}},
		{"no time: by arrival", update("app", "1"), update("app", "2"), queue.Queued, [2]queue.Status{queue.Superseded, queue.Committed}},
		{"time to come: by arrival", update("app", "1", pushed(noon.AddDate(1, 0, 0))), update("app", "2"), queue.Queued, [2]queue.Status{queue.Superseded, queue.Committed}},
		{"older after a commit", update("app", "2", late), update("app", "1", early), queue.Committed, [2]queue.Status{queue.Committed, queue.Superseded}},
		{"older after nothing to do", update("app", "2", late), update("app", "1", early), queue.Unchanged, [2]queue.Status{queue.Unchanged, queue.Superseded}},
		{"older after a failure", update("app", "2", late), update("app", "1", early), queue.Failed, [2]queue.Status{queue.Failed, queue.Committed}},
		{"newer after a commit", update("app", "1", early), update("app", "2", late), queue.Committed, [2]queue.Status{queue.Committed, queue.Committed}},
		{"another image", update("app", "2", late), update("web", "1", early), queue.Queued, [2]queue.Status{queue.Committed, queue.Committed}},
		{"another scope", update("app", "2", late, third), update("app", "1", early, other), queue.Queued, [2]queue.Status{queue.Committed, queue.Committed}},
		{"a part, older than everything", update("app", "2", late), update("app", "1", early, other), queue.Queued, [2]queue.Status{queue.Committed, queue.Superseded}},
		{"everything, newer than a part", update("app", "1", early, other), update("app", "2", late), queue.Queued, [2]queue.Status{queue.Superseded, queue.Committed}},
		{"a part, newer than everything", update("app", "1", early), update("app", "2", late, other), queue.Queued, [2]queue.Status{queue.Committed, queue.Committed}},
		{"everything, older than a part", update("app", "2", late, other), update("app", "1", early), queue.Queued, [2]queue.Status{queue.Committed, queue.Committed}},
		{"another target", update("app", "2", late), update("app", "1", early, to("b")), queue.Queued, [2]queue.Status{queue.Committed, queue.Committed}},
	}
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		for _, test := range tests {
			for _, u := range []*queue.Update{&test.first, &test.second} {
				u.Image += test.name
			}
			ended := test.outcome != queue.Queued
			w.worker.becomes(func(queue.Item) queue.Outcome {
				if !ended {
					return queue.Outcome{Status: queue.Queued, After: time.Hour}
				}
				return queue.Outcome{Status: test.outcome}
			})
			w.stored(test.first)
			if ended {
				w.ends(test.first.ID, test.outcome)
			} else {
				w.until(test.first.ID, "the first is postponed", func(u queue.Update) bool {
					return u.Tasks[0].NextAttempt.After(w.clock.now())
				})
			}
			w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
			w.stored(test.second)
			w.pass(2 * time.Hour)
			if got := w.ends(test.first.ID, test.want[0]); got.FinishedAt.IsZero() {
				t.Errorf("%s: no time of its end", test.name)
			}
			w.ends(test.second.ID, test.want[1])
		}
	})
}

// Of one image and target at most one waits, beside the one that is being applied.
func TestWaitingOnesCollapse(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.hold()
		first := w.stored(update("app", "1"))
		w.worker.running(t)
		second := w.stored(update("app", "2"))
		third := w.stored(update("app", "3"))
		if got := w.get(first); got.Status != queue.Queued {
			t.Errorf("what is being applied was superseded: %s", got.Status)
		}
		w.ends(second, queue.Superseded)
		if s, err := w.Stats(t.Context()); err != nil || s.Waiting != 2 {
			t.Errorf("Stats: %+v, %v; want 2 waiting", s, err)
		}
		w.worker.release()
		w.ends(first, queue.Committed)
		w.ends(third, queue.Committed)
		diff(t, "what was applied", [][]string{{"1"}, {"3"}}, w.worker.seen())
	})
}

// A task that was replaced while it was applied is not tried again.
func TestReplacedWhileApplied(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Hour} {
		t.Run(after.String(), func(t *testing.T) {
			onStores(t, func(t *testing.T, storeURL string) {
				w := start(t, storeURL)
				w.worker.becomes(func(i queue.Item) queue.Outcome {
					if i.Update.Version == "1" {
						return queue.Outcome{Status: queue.Queued, After: after, Error: "not now"}
					}
					return queue.Outcome{Status: queue.Committed}
				})
				w.worker.hold()
				first := w.stored(update("app", "1"))
				w.worker.running(t)
				second := w.stored(update("app", "2"))
				w.worker.release()
				w.ends(first, queue.Superseded)
				w.ends(second, queue.Committed)
				diff(t, "what was applied", [][]string{{"1"}, {"2"}}, w.worker.seen())
			})
		})
	}
}

func TestRecordedOnesCount(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(queue.Item) queue.Outcome {
			return queue.Outcome{Status: queue.Queued, After: time.Hour, Error: "rate limited"}
		})
		at := w.clock.now()
		waits := w.stored(update("app", "1", pushed(at.Add(-time.Minute))))
		w.until(waits, "it is postponed", func(u queue.Update) bool { return u.Tasks[0].LastError != "" })

		done := update("app", "2", pushed(at.Add(-time.Second)), func(u *queue.Update) {
			u.AcceptedAt = at.Add(-time.Second)
			u.Tasks[0].Status, u.Tasks[0].Result = queue.Committed, []byte(`{}`)
		})
		for range 2 { // the second changes nothing
			if err := w.Record(t.Context(), done); err != nil {
				t.Fatalf("Record: %v", err)
			}
		}
		w.ends(waits, queue.Superseded)
		got := w.get(done.ID)
		want := done
		want.Status, want.FinishedAt, want.Tasks[0].FinishedAt = queue.Committed, at, at
		diff(t, "the recorded one", want, got)

		late := w.accept(update("app", "1.5", pushed(at.Add(-30*time.Second))))[0]
		if late.Status != queue.Superseded {
			t.Errorf("an older one after it is %s", late.Status)
		}
		if err := w.Record(t.Context(), update("app", "3")); err == nil {
			t.Error("one that has not ended was recorded")
		}
	})
}
