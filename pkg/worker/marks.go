package worker

import (
	"context"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

const (
	// markPatience bounds how long a request waits for the store to tell the marks.
	markPatience = 2 * time.Second
	// markLag is for how long GitHub may still show a branch as it was before the push
	// that a mark is about: a read within this time does not lift the mark.
	markLag = 10 * time.Second
)

// MarkStore is where marks are stored. *queue.Queue is one.
type MarkStore interface {
	// Marks returns the marks with later numbers, in the order of their numbers.
	Marks(ctx context.Context, after int64) ([]queue.Mark, error)
}

// Marks are those of the store, which all replicas share, for the use case. It is an
// update.Marks. Times are those at which this process learnt of a mark, so that no
// clock is compared with another one's.
type Marks struct {
	store MarkStore
	now   func() time.Time

	mu    sync.Mutex
	last  int64
	of    map[string]int64 // the numbers, by branch
	young []youngMark      // in the order of their numbers
}

// youngMark is the first of the marks that one look of less than markLag ago has found.
type youngMark struct {
	number int64
	at     time.Time
}

// NewMarks returns the marks of a store. A nil clock means the real one.
func NewMarks(store MarkStore, now func() time.Time) *Marks {
	if now == nil {
		now = time.Now
	}
	return &Marks{store: store, now: now, of: map[string]int64{}}
}

// Look implements update.Marks.
func (m *Marks) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, markPatience)
	defer cancel()
	m.mu.Lock()
	last := m.last
	m.mu.Unlock()
	marks, err := m.store.Marks(ctx, last)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	before := m.last // another look may have been faster
	for _, one := range marks {
		m.of[one.Branch] = max(m.of[one.Branch], one.Number)
		if m.last == before && one.Number > before {
			m.young = append(m.young, youngMark{one.Number, m.now()})
		}
		m.last = max(m.last, one.Number)
	}
	return nil
}

// Marked implements update.Marks.
func (m *Marks) Marked(branch string, since int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[branch] > since
}

// Settled implements update.Marks.
func (m *Marks) Settled() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	if len(m.young) > 0 {
		return m.young[0].number - 1
	}
	return m.last
}

// settle forgets that marks are young which are not any more. m.mu is held.
func (m *Marks) settle() {
	now := m.now()
	for len(m.young) > 0 && now.Sub(m.young[0].at) >= markLag {
		m.young = m.young[1:]
	}
}
