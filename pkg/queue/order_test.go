package queue_test

import (
	"errors"
	"fmt"
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
		if _, err := w.Enter(t.Context(), done); err != nil {
			t.Fatalf("Enter: %v", err)
		}
		between := w.stored(update("app", "3", to("other"))) // of another target
		for range 2 {                                        // the second changes nothing
			if err := w.Record(t.Context(), done); err != nil {
				t.Fatalf("Record: %v", err)
			}
		}
		w.ends(waits, queue.Superseded)
		got := w.get(done.ID)
		want := done
		want.Status, want.FinishedAt, want.Tasks[0].FinishedAt, want.Request = queue.Committed, at, at, nil
		want.Tasks[0].Image = "app"
		diff(t, "the recorded one", want, got)
		if u := w.get(between); u.Status != queue.Queued {
			t.Errorf("one of another target is %s", u.Status)
		}
		if err := w.Record(t.Context(), update("app", "3")); err == nil {
			t.Error("one that has not ended was recorded")
		}
	})
}

// What arrives while a request is carried out at once is newer than that one.
func TestArrivalDuringARequest(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		now := update("app", "1", func(u *queue.Update) { u.Tasks[0].Status = queue.Committed })
		at, err := w.Enter(t.Context(), now)
		if err != nil || at.Before(w.clock.now()) {
			t.Fatalf("Enter: %s, %v", at, err)
		}
		w.clock.advance(-time.Hour) // the clock is of no importance
		later := w.stored(update("app", "2"))
		if err := w.Record(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		w.begin()
		w.ends(later, queue.Committed)
		given := update("app", "3")
		if _, err := w.Enter(t.Context(), given); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Leave(t.Context(), given.ID), w.Leave(t.Context(), given.ID)); err != nil {
			t.Errorf("Leave: %v", err)
		}
		w.ends(w.stored(update("app", "4")), queue.Committed)
	})
}

// The order is that of arrival when the clock is set back: nothing newer is lost,
// and nobody waits for the clock.
func TestClockThatIsSetBack(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Queued, After: time.Minute} })
		first := w.stored(update("app", "1"))
		w.until(first, "it is postponed", func(u queue.Update) bool { return u.Tasks[0].NextAttempt.After(w.clock.now()) })
		done := w.stored(update("web", "1"))
		w.until(done, "it is postponed", func(u queue.Update) bool { return u.Tasks[0].NextAttempt.After(w.clock.now()) })

		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed} })
		w.pass(-time.Hour)
		w.ends(done, queue.Committed) // without the hour
		second := w.stored(update("app", "2"))
		w.ends(second, queue.Committed)
		if got := w.get(first).Status; got != queue.Committed && got != queue.Superseded {
			t.Errorf("the first is %s", got)
		}
		third := update("app", "3", func(u *queue.Update) { u.Tasks[0].Status = queue.Committed })
		at, err := w.Enter(t.Context(), third)
		if err != nil || !at.After(w.clock.now()) {
			t.Errorf("a request at once is placed at %s, %v; want it after the others", at, err)
		}
		if err := w.Record(t.Context(), third); err != nil {
			t.Fatal(err)
		}
		w.ends(w.stored(update("app", "4")), queue.Committed)
	})
}

// A restart tries at once what waits, whatever the clock says.
func TestRestartAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	storeURL := sqliteURL(t)
	w := start(t, storeURL)
	w.worker.becomes(fails("HTTP 502"))
	id := w.stored(update("app", "1"))
	w.until(id, "the first attempt", func(u queue.Update) bool { return u.Tasks[0].Attempts == 1 })
	if err := errors.Join(w.Stop(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	start(t, storeURL, func(o *queue.Options) {
		o.Now = func() time.Time { return w.clock.now().Add(-24 * time.Hour) }
	}).ends(id, queue.Committed)
}

// The times that a sender tells are compared with its own alone, unless they are so
// old that the delivery was delayed.
func TestToldTimes(t *testing.T) {
	now := newClock().now()
	noon := now.Add(-time.Hour)
	early, late := pushed(noon.Add(-time.Minute)), pushed(noon)
	ahead := pushed(noon.AddDate(1, 0, 0))
	ghcr, quay := from("ghcr", ""), from("quay", "")
	tests := []struct {
		name          string
		first, second queue.Update
		want          queue.Status // of the second
	}{
		{"one sender, later", update("app", "1", ghcr, early), update("app", "2", ghcr, late), queue.Queued},
		{"one sender, earlier", update("app", "2", ghcr, late), update("app", "1", ghcr, early), queue.Superseded},
		{"another sender, by a clock that is behind", update("app", "1", ghcr, late), update("app", "2", quay, pushed(now.Add(-9*time.Minute))), queue.Queued},
		{"another sender's, delivered late", update("app", "2", ghcr, late), update("app", "1", quay, early), queue.Superseded},
		{"another sender without a time", update("app", "1", ghcr, late), update("app", "2", quay), queue.Queued},
		{"no time, then one", update("app", "1", quay), update("app", "2", ghcr, pushed(now.Add(-9*time.Minute))), queue.Queued},
		{"no time, then one that is delivered late", update("app", "2", quay), update("app", "1", ghcr, early), queue.Superseded},
		{"a clock that was ahead", update("app", "1", ghcr, ahead), update("app", "2", ghcr, ahead), queue.Queued},
		{"a clock that was ahead, and is right", update("app", "1", ghcr, ahead), update("app", "2", ghcr, pushed(now)), queue.Queued},
		{"ahead does not beat a later arrival", update("app", "1", ghcr, ahead), update("app", "2", quay), queue.Queued},
		{"everything after a later push of all", update("app", "2", ghcr, late), update("app", "1", ghcr, early, func(u *queue.Update) { u.Scope = "a" }), queue.Superseded},
	}
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		for n, test := range tests {
			for _, u := range []*queue.Update{&test.first, &test.second} {
				u.ID, u.Image = fmt.Sprintf("%d/%s", n, u.ID), fmt.Sprintf("app-%d", n)
			}
			w.stored(test.first)
			if got := w.accept(test.second)[0]; got.Status != test.want {
				t.Errorf("%s: the second is %s, want %s", test.name, got.Status, test.want)
			}
			want := queue.Superseded
			if test.want == queue.Superseded {
				want = queue.Queued
			}
			if got := w.get(test.first.ID); got.Status != want {
				t.Errorf("%s: the first is %s, want %s", test.name, got.Status, want)
			}
		}
	})
}

// A told time that lies ahead since the clock was set back holds up nobody.
func TestToldTimeAheadOfTheClock(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		ghcr := from("ghcr", "")
		w.ends(w.stored(update("app", "1", ghcr, pushed(w.clock.now()))), queue.Committed)
		w.clock.advance(-time.Hour)
		w.ends(w.stored(update("app", "2", ghcr, pushed(w.clock.now()))), queue.Committed)
	})
}

// A push that is older than what is remembered is a replay: nobody knows what came
// after it.
func TestPushOlderThanTheRetention(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL, func(o *queue.Options) { o.Retention = time.Hour })
		old := update("app", "1", from("ghcr", "d1"), pushed(w.clock.now().Add(-time.Hour-time.Second)))
		got := w.accept(old, update("web", "1"))
		if got[0].Disposition != queue.Expired || got[0].Status != "" || got[1].Disposition != queue.Stored {
			t.Errorf("got %+v", got)
		}
		if _, err := w.Get(t.Context(), old.ID); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("it was stored: %v", err)
		}
	})
}
