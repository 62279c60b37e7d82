package queue_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func (w *world) marks(after int64) []queue.Mark {
	w.t.Helper()
	marks, err := w.Marks(w.t.Context(), after)
	w.must(err)
	return marks
}

func TestMarks(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		diff(t, "no marks", []queue.Mark(nil), w.marks(0))
		w.must(w.MarkBranches(t.Context(), []string{"b", "a"}))
		w.must(w.MarkBranches(t.Context(), nil))
		w.must(w.MarkBranches(t.Context(), []string{"c"}))
		diff(t, "all marks", []queue.Mark{{Branch: "a", Number: 1}, {Branch: "b", Number: 1}, {Branch: "c", Number: 2}}, w.marks(0))
		w.must(w.MarkBranches(t.Context(), []string{"a"}))
		diff(t, "the marks since", []queue.Mark{{Branch: "c", Number: 2}, {Branch: "a", Number: 3}}, w.marks(1))
		diff(t, "none since the last", []queue.Mark(nil), w.marks(3))
		for _, wrong := range []string{"", "a\x00b", "\xff"} {
			if w.MarkBranches(t.Context(), []string{wrong}) == nil {
				t.Errorf("the branch %q is marked", wrong)
			}
		}
	})
}

// TestMarksOfManyAtOnce has a reader follow the marks of several writers by their
// numbers: it misses none of them.
func TestMarksOfManyAtOnce(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		const writers, each = 4, 10
		var all sync.WaitGroup
		for n := range writers {
			all.Go(func() {
				for i := range each {
					if err := w.MarkBranches(t.Context(), []string{fmt.Sprint(n, "-", i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { defer close(done); all.Wait() }()
		seen := map[string]bool{}
		last := int64(0)
		follow := func() {
			for _, m := range w.marks(last) {
				seen[m.Branch] = true
				last = m.Number
			}
		}
		for running := true; running; follow() {
			select {
			case <-done:
				running = false
			default:
			}
		}
		if len(seen) != writers*each || last != writers*each {
			t.Errorf("%d of %d marks were seen, the last has the number %d", len(seen), writers*each, last)
		}
	})
}
