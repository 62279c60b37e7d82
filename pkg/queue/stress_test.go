package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// Jobs that complete and deliveries that arrive meet all the time: one that got
// lost would wait for the sweeper, which is longer than this test does.
func TestNoWakeUpIsLost(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		const callers, rounds, branches = 12, 15, 3
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for round := range rounds {
					u := update(fmt.Sprintf("app-%d", caller), fmt.Sprint(round), to(fmt.Sprint("b", (caller+round)%branches)))
					if _, err := w.Accept(t.Context(), []queue.Update{u}, nil); err != nil {
						t.Errorf("Accept: %v", err)
						return
					}
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					got, err := w.Wait(ctx, u.ID)
					cancel()
					if err != nil || got.Status != queue.Committed {
						t.Errorf("caller %d, round %d: %s, %v", caller, round, got.Status, err)
						return
					}
				}
			})
		}
		all.Wait()
		w.worker.mu.Lock()
		defer w.worker.mu.Unlock()
		if w.worker.overlaps > 0 {
			t.Errorf("a branch was worked on twice at once, %d times", w.worker.overlaps)
		}
	})
}

// An update that goes to several branches ends once, although they settle their
// tasks of it at the same time.
func TestManyBranchesEndOneUpdate(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		targets := []string{"b0", "b1", "b2", "b3", "b4"}
		var ids []string
		for n := range 30 {
			ids = append(ids, w.stored(update(fmt.Sprintf("app-%d", n), "1", to(targets...))))
		}
		w.worker.hold()
		w.begin()
		for range targets {
			w.worker.running(t)
		}
		w.worker.release()
		for _, id := range ids {
			w.ends(id, queue.Committed)
		}
		eventually(t, "each end is observed, once", func() bool { return w.observed(queue.UpdateEnded) == len(ids) })
	})
}
