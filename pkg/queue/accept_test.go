package queue_test

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func TestAcceptedIsDoneAndShown(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if string(i.Update.Request) != `{"n":1}` || i.Update.Tasks != nil || i.Task.Branch != "octo-org/infra@main" {
				t.Errorf("Apply was given %+v", i)
			}
			return queue.Outcome{Status: queue.Committed, Result: []byte(`{"sha":"0a"}`)}
		})
		u := update("ghcr.io/octo-org/app", "1.0.0", func(u *queue.Update) { u.Digest, u.Scope = "sha256:0a", "apps/**" })
		w.stored(u)
		got := w.ends(u.ID, queue.Committed)

		want := u
		now := w.clock.now()
		want.Status, want.PushedAt, want.AcceptedAt, want.FinishedAt = queue.Committed, now, now, now
		want.Request = nil // nobody will try it again
		want.Tasks = []queue.Task{{
			Target: "infra", Image: u.Image, Branch: "octo-org/infra@main", Status: queue.Committed,
			Attempts: 1, Result: []byte(`{"sha":"0a"}`), FinishedAt: now,
		}}
		diff(t, "the update", want, got)
		if n := w.observed(queue.UpdateEnded); n != 1 {
			t.Errorf("%d updates were observed to end, want 1", n)
		}
	})
}

func TestAcceptKnowsARedelivery(t *testing.T) {
	push := func(delivery string, change ...func(*queue.Update)) queue.Update {
		return update("app", "1", append([]func(*queue.Update){from("ghcr", delivery)}, change...)...)
	}
	tests := []struct {
		name          string
		first, second queue.Update
		outcome       queue.Status  // of the first before the second comes; Queued: it waits
		after         time.Duration // between the two
		want          queue.Disposition
	}{
		{"same delivery while it waits", push("d1"), push("d1"), queue.Queued, 0, queue.Duplicate},
		{"same delivery when it is done", push("d1"), push("d1"), queue.Committed, time.Hour, queue.Duplicate},
		{"same delivery, failed", push("d1"), push("d1"), queue.Failed, time.Hour, queue.Retried},
		{"another delivery", push("d1"), push("d2"), queue.Committed, 0, queue.Stored},
		{"same delivery of another webhook", push("d1"), push("d1", from("quay", "d1")), queue.Committed, 0, queue.Stored},
		{"same push while it waits", push(""), push(""), queue.Queued, time.Hour, queue.Duplicate},
		{"same push soon after", push(""), push(""), queue.Committed, 9 * time.Minute, queue.Duplicate},
		{"same push later", push(""), push(""), queue.Committed, 10 * time.Minute, queue.Stored},
		{"same push, failed", push(""), push(""), queue.Failed, 9 * time.Minute, queue.Retried},
		{"same push, failed long ago", push(""), push(""), queue.Failed, time.Hour, queue.Stored},
		{"other digest", push(""), push("", func(u *queue.Update) { u.Digest = "sha256:0b" }), queue.Committed, 0, queue.Stored},
		{"an API caller's", update("app", "1"), update("app", "1"), queue.Queued, 0, queue.Stored},
	}
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		for n, test := range tests {
			w.worker.becomes(func(queue.Item) queue.Outcome {
				if test.outcome == queue.Queued {
					return queue.Outcome{Status: queue.Queued, After: 3 * time.Hour}
				}
				return queue.Outcome{Status: test.outcome}
			})
			// Each row has an image and delivery ids of its own.
			for _, u := range []*queue.Update{&test.first, &test.second} {
				u.ID, u.Image = fmt.Sprintf("%d/%s", n, u.ID), fmt.Sprintf("app-%d", n)
				if u.DeliveryID != "" {
					u.DeliveryID = fmt.Sprintf("%d/%s", n, u.DeliveryID)
				}
			}
			w.stored(test.first)
			if test.outcome != queue.Queued {
				w.ends(test.first.ID, test.outcome)
			}
			w.clock.advance(test.after)
			got := w.accept(test.second)[0]
			want := queue.Accepted{ID: test.second.ID, Image: test.second.Image, Version: test.second.Version, Disposition: test.want, Status: queue.Queued}
			if test.want == queue.Duplicate {
				want.ID, want.Status = test.first.ID, test.outcome
			}
			if test.want == queue.Retried {
				want.ID = test.first.ID
			}
			diff(t, test.name, want, got)
			if test.want != queue.Stored {
				if _, err := w.Get(t.Context(), test.second.ID); !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("%s: the second is stored too: %v", test.name, err)
				}
			}
		}
	})
}

func TestRedeliveryOfAFailedOneIsTriedAgain(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if i.Task.Target == "b" {
				return queue.Outcome{Status: queue.Failed, Error: "no access"}
			}
			return queue.Outcome{Status: queue.Committed}
		})
		u := update("app", "1", from("ghcr", "d1"), to("a", "b"))
		w.stored(u)
		w.ends(u.ID, queue.Failed)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if i.Task.Target == "a" {
				t.Error("what was committed is applied again")
			}
			return queue.Outcome{Status: queue.Committed}
		})
		again := update("app", "1", from("ghcr", "d1"), to("a", "b"))
		if got := w.accept(again)[0]; got.Disposition != queue.Retried {
			t.Fatalf("the redelivery is %+v", got)
		}
		got := w.ends(u.ID, queue.Committed)
		if got.Tasks[1].Attempts != 1 || got.Tasks[1].LastError != "" {
			t.Errorf("the task did not begin anew: %+v", got.Tasks[1])
		}
	})
}

func TestAcceptIsBounded(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL, func(o *queue.Options) { o.MaxWaiting = 4 })
		full := func(what string, updates ...queue.Update) {
			t.Helper()
			if _, err := w.Accept(t.Context(), updates, nil); !errors.Is(err, queue.ErrFull) {
				t.Fatalf("%s: %v, want ErrFull", what, err)
			}
		}
		by := func(caller string) func(*queue.Update) { return func(u *queue.Update) { u.Caller = caller } }
		w.stored(update("a", "1", to("x", "y", "z"))) // one update, whatever its targets

		full("more than a half for one caller", update("b", "1"), update("c", "1"))
		if p, err := w.List(t.Context(), queue.Filter{}); err != nil || len(p.Updates) != 1 {
			t.Fatalf("a refused request left %d updates, %v; want the one from before", len(p.Updates), err)
		}
		w.stored(update("b", "1"))
		full("a third of one caller", update("c", "1"))
		w.stored(update("b", "2")) // takes the place of the one that waits
		w.stored(update("c", "1", by("other")))
		full("callers have three quarters", update("d", "1", by("third")))
		w.stored(update("d", "1", from("ghcr", "1"))) // the rest is for webhooks
		full("no room at all", update("e", "1", from("quay", "1")))
		s, err := w.Stats(t.Context())
		if err != nil || s.Waiting != 6 {
			t.Fatalf("Stats: %+v, %v; want the 6 tasks of 4 updates", s, err)
		}
	})
}

// One call has a bound of its own: others wait for its transaction.
func TestAcceptOfTooMany(t *testing.T) {
	t.Parallel()
	w := open(t, sqliteURL(t))
	if _, err := w.Accept(t.Context(), slices.Repeat([]queue.Update{update("app", "1")}, queue.MaxUpdates+1), nil); !errors.Is(err, queue.ErrTooMany) {
		t.Errorf("updates: %v, want ErrTooMany", err)
	}
	var names []string
	for n := range queue.MaxTasks + 1 {
		names = append(names, strconv.Itoa(n))
	}
	if _, err := w.Accept(t.Context(), []queue.Update{update("app", "1", to(names...))}, nil); !errors.Is(err, queue.ErrTooMany) {
		t.Errorf("tasks: %v, want ErrTooMany", err)
	}
}

// Of many tags of one image in one delivery the last one waits.
func TestManyTagsOfOneDelivery(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		var updates []queue.Update
		for n := range 50 {
			updates = append(updates, update("app", strconv.Itoa(n), from("quay", fmt.Sprint("d/", n))))
		}
		accepted := w.accept(updates...)
		for n, a := range accepted {
			if want := n == len(updates)-1; a.Disposition != queue.Stored || (w.get(a.ID).Status == queue.Queued) != want {
				t.Fatalf("tag %d: %+v, and it is %s", n, a, w.get(a.ID).Status)
			}
		}
		if s, err := w.Stats(t.Context()); err != nil || s.Waiting != 1 {
			t.Errorf("Stats: %+v, %v; want 1 waiting", s, err)
		}
	})
}

func TestAcceptIsAllOrNothing(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		first := update("a", "1")
		w.stored(first)
		taken := update("b", "1", func(u *queue.Update) { u.ID = first.ID })
		fresh := update("a", "2")
		if _, err := w.Accept(t.Context(), []queue.Update{fresh, taken}, nil); !errors.Is(err, queue.ErrExists) {
			t.Fatalf("an ID that is taken: %v, want ErrExists", err)
		}
		if _, err := w.Get(t.Context(), fresh.ID); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("half of the request is stored: %v", err)
		}
		if got := w.get(first.ID); got.Status != queue.Queued {
			t.Errorf("the one before was replaced by what is not stored: %s", got.Status)
		}
	})
}

func TestAcceptRefusesWhatItCannotKeep(t *testing.T) {
	tests := []struct {
		name   string
		change func(*queue.Update)
		want   string
	}{
		{"no id", func(u *queue.Update) { u.ID = "" }, "no id"},
		{"zero byte", func(u *queue.Update) { u.Version = "1\x00" }, "zero byte"},
		{"not UTF-8", func(u *queue.Update) { u.Image = "\xff" }, "UTF-8"},
		{"no branch", func(u *queue.Update) { u.Tasks[0].Branch = "" }, "no branch"},
		{"a target twice", func(u *queue.Update) { u.Tasks = append(u.Tasks, u.Tasks[0]) }, "two tasks"},
		{"unknown status", func(u *queue.Update) { u.Tasks[0].Status = "lost" }, "lost"},
		{"absent as committed", func(u *queue.Update) { u.AbsentAs = queue.Committed }, "committed"},
		{"nothing to do, not ended", func(u *queue.Update) { u.Tasks = nil }, "no tasks"},
	}
	w := open(t, sqliteURL(t))
	for _, test := range tests {
		u := update("app", "1", test.change)
		if _, err := w.Accept(t.Context(), []queue.Update{u}, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want it to say %q", test.name, err, test.want)
		}
	}
	if p, err := w.List(t.Context(), queue.Filter{}); err != nil || len(p.Updates) != 0 {
		t.Errorf("stored nevertheless: %+v, %v", p, err)
	}
}

func TestTasksMayComeInEnded(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		u := update("app", "1", to("a", "b"), func(u *queue.Update) {
			u.Tasks[0].Status, u.Tasks[0].LastError = queue.Failed, "refused\nby policy"
		})
		w.stored(u)
		got := w.ends(u.ID, queue.Failed)
		if got.Tasks[0].LastError != "refused by policy" || got.Tasks[1].Status != queue.Committed {
			t.Errorf("got %+v", got.Tasks)
		}
		none := update("app", "1", func(u *queue.Update) { u.Tasks, u.Status = nil, queue.Unchanged })
		if got := w.accept(none)[0]; got.Status != queue.Unchanged {
			t.Errorf("without tasks: %+v", got)
		}
		if got := w.get(none.ID); got.Status != queue.Unchanged || got.FinishedAt.IsZero() || len(got.Tasks) != 0 {
			t.Errorf("without tasks: %+v", got)
		}
	})
}

// Callers at the same time share transactions, and a refusal of one is none of
// the others'.
func TestAcceptSideBySide(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		const callers = 40
		taken := update("taken", "1")
		w.stored(taken)
		errs := make([]error, callers)
		ids := make([]string, callers)
		var all sync.WaitGroup
		for n := range callers {
			u := update(fmt.Sprintf("app-%d", n), "1")
			if n%4 == 0 {
				u.ID = taken.ID
			}
			ids[n] = u.ID
			all.Go(func() { _, errs[n] = w.Accept(t.Context(), []queue.Update{u}, nil) })
		}
		all.Wait()
		for n, err := range errs {
			if n%4 == 0 {
				if !errors.Is(err, queue.ErrExists) {
					t.Errorf("caller %d: %v, want ErrExists", n, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("caller %d: %v", n, err)
				continue
			}
			w.ends(ids[n], queue.Committed)
		}
	})
}

// What the store does not take of one caller is no fault of those who came with
// him and share the transaction.
func TestValueThatTheStoreRefuses(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		wild := make([]byte, 8<<10)
		if _, err := rand.Read(wild); err != nil {
			t.Fatal(err)
		}
		// PostgreSQL has no index entries of that size.
		refused := strings.HasPrefix(storeURL, "postgres")
		var all sync.WaitGroup
		for n := range 40 {
			all.Go(func() {
				u := update("app"+strconv.Itoa(n), "1")
				if n%10 == 0 {
					u.Scope = hex.EncodeToString(wild)
				}
				if _, err := w.Accept(t.Context(), []queue.Update{u}, nil); (err != nil) != (refused && n%10 == 0) {
					t.Errorf("update %d: %v", n, err)
				}
			})
		}
		all.Wait()
	})
}
