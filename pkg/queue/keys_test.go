package queue_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func key(name string, hash byte) queue.Key {
	return queue.Key{Caller: "ci", Key: name, Hash: [32]byte{hash}, Answer: queue.Answer{
		Status: 202, Location: "/v1/updates/1", Body: []byte(`{"id":"1"}`),
	}}
}

func (w *world) reserves(k queue.Key, want queue.KeyState) queue.Answer {
	w.t.Helper()
	got, err := w.Reserve(w.t.Context(), k, time.Minute)
	if err != nil || got.State != want {
		w.t.Fatalf("Reserve: %+v, %v; want %s", got, err, want)
	}
	return got.Answer
}

func TestReserve(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		k := key("k", 1)
		w.reserves(k, queue.KeyNew)
		w.reserves(k, queue.KeyBusy)
		if _, err := w.Reserve(t.Context(), key("k", 2), time.Minute); !errors.Is(err, queue.ErrKeyReused) {
			t.Errorf("another request while it is reserved: %v", err)
		}
		other := k
		other.Caller = "other"
		w.reserves(other, queue.KeyNew)

		if err := w.Release(t.Context(), k); err != nil {
			t.Fatalf("Release: %v", err)
		}
		w.reserves(k, queue.KeyNew)
		if err := w.Keep(t.Context(), k); err != nil {
			t.Fatalf("Keep: %v", err)
		}
		if err := w.Release(t.Context(), k); err != nil {
			t.Fatalf("Release: %v", err)
		}
		w.clock.advance(24*time.Hour - time.Second)
		diff(t, "the answer", k.Answer, w.reserves(k, queue.KeyDone))
		if _, err := w.Reserve(t.Context(), key("k", 2), time.Minute); !errors.Is(err, queue.ErrKeyReused) {
			t.Errorf("another request after the answer: %v", err)
		}
		w.clock.advance(time.Second)
		w.reserves(key("k", 2), queue.KeyNew) // a day is over
	})
}

func TestLeaseEnds(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		w.reserves(key("k", 1), queue.KeyNew)
		w.clock.advance(time.Minute)
		w.reserves(key("k", 2), queue.KeyNew)
		// The first was late; the key is another request's by now.
		if err := w.Keep(t.Context(), key("k", 1)); err != nil {
			t.Fatalf("Keep: %v", err)
		}
		if err := w.Release(t.Context(), key("k", 1)); err != nil {
			t.Fatalf("Release: %v", err)
		}
		w.reserves(key("k", 2), queue.KeyBusy)
	})
}

func TestReserveSideBySide(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		var (
			mu     sync.Mutex
			states = map[queue.KeyState]int{}
			all    sync.WaitGroup
		)
		for range 20 {
			all.Go(func() {
				got, err := w.Reserve(t.Context(), key("k", 1), time.Minute)
				if err != nil {
					t.Errorf("Reserve: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				states[got.State]++
			})
		}
		all.Wait()
		diff(t, "the states", map[queue.KeyState]int{queue.KeyNew: 1, queue.KeyBusy: 19}, states)
	})
}

func TestAcceptWithKey(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL, func(o *queue.Options) { o.MaxWaiting = 1 })
		accept := func(k queue.Key) error {
			_, err := w.Accept(t.Context(), []queue.Update{update("app", "1")}, &k)
			return err
		}
		if err := accept(key("k", 1)); err != nil {
			t.Fatalf("Accept: %v", err)
		}
		var answered *queue.AnsweredError
		if err := accept(key("k", 1)); !errors.As(err, &answered) {
			t.Fatalf("the same request: %v", err)
		}
		diff(t, "the answer", key("k", 1).Answer, answered.Answer)
		if err := accept(key("k", 2)); !errors.Is(err, queue.ErrKeyReused) {
			t.Errorf("another request: %v", err)
		}
		w.reserves(key("held", 1), queue.KeyNew)
		if err := accept(key("held", 1)); !errors.Is(err, queue.ErrKeyBusy) {
			t.Errorf("a reserved key: %v", err)
		}
		better := key("k", 1)
		better.Answer.Status = 201
		if err := w.Keep(t.Context(), better); err != nil {
			t.Fatalf("Keep: %v", err)
		}
		diff(t, "the answer that took its place", better.Answer, w.reserves(key("k", 1), queue.KeyDone))

		// What was refused may come again with the same key.
		full := key("full", 1)
		if _, err := w.Accept(t.Context(), []queue.Update{update("web", "1")}, &full); !errors.Is(err, queue.ErrFull) {
			t.Fatalf("beyond the bound: %v", err)
		}
		w.reserves(full, queue.KeyNew)
		empty := key("", 1)
		if _, err := w.Accept(t.Context(), []queue.Update{update("app", "3")}, &empty); err == nil {
			t.Error("an empty key was taken")
		}
	})
}

func TestRenew(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		k := key("k", 1)
		w.reserves(k, queue.KeyNew)
		for range 3 {
			w.clock.advance(50 * time.Second)
			if err := w.Renew(t.Context(), k, time.Minute); err != nil {
				t.Fatalf("Renew: %v", err)
			}
			w.reserves(k, queue.KeyBusy)
		}
		if err := w.Release(t.Context(), k); err != nil {
			t.Fatalf("Release: %v", err)
		}
		if err := w.Renew(t.Context(), k, time.Minute); err != nil {
			t.Fatalf("Renew of a key that was released: %v", err)
		}
		w.reserves(k, queue.KeyNew)
	})
}
