package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// TestMarksOfReplicas has two processes look at one store. A read counts as one after a
// mark when the mark has been known for ten seconds, by the process's own clock.
func TestMarksOfReplicas(t *testing.T) {
	t.Parallel()
	stored := newStore(t)
	now := time.Now()
	one := worker.NewMarks(stored, func() time.Time { return now })
	two := worker.NewMarks(stored, func() time.Time { return now.Add(-24 * time.Hour) })
	look := func() {
		t.Helper()
		for _, m := range []*worker.Marks{one, two} {
			if err := m.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	set := func(branches ...string) {
		t.Helper()
		if err := stored.MarkBranches(t.Context(), branches); err != nil {
			t.Fatal(err)
		}
	}
	wantSettled := func(want int64) {
		t.Helper()
		for i, m := range []*worker.Marks{one, two} {
			if got := m.Settled(); got != want {
				t.Errorf("replica %d settles %d, want %d", i, got, want)
			}
		}
	}

	set("a", "b")
	look()
	read := one.Settled() // of a read right after the push, which may show what was before it
	wantSettled(0)
	now = now.Add(5 * time.Second)
	set("b")
	if two.Marked("b", 1) {
		t.Error("a mark is known before the look")
	}
	look()
	for i, m := range []*worker.Marks{one, two} {
		if !m.Marked("a", read) || !m.Marked("b", 1) || m.Marked("b", 2) || m.Marked("c", 0) {
			t.Errorf("replica %d has other marks", i)
		}
	}
	wantSettled(0)
	now = now.Add(5 * time.Second)
	wantSettled(1)
	now = now.Add(5 * time.Second)
	wantSettled(2)
	look()
	wantSettled(2)
}

// away is a store that does not answer.
type away struct{}

func (away) Marks(context.Context, int64) ([]queue.Mark, error) { return nil, errors.New("away") }

func TestMarksOfAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	if worker.NewMarks(away{}, nil).Look(t.Context()) == nil {
		t.Error("the marks are known")
	}
}
