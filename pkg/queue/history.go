package queue

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// rowBytes is about what a row takes beside what is in it, with its indexes.
	rowBytes = 1 << 10
	// historyShare is the part of Options.MaxHistory, as a divisor, that may come
	// between two sweeps: then the next one is at once.
	historyShare = 16
	// leastRest is the shortest pause between two steps of a sweep.
	leastRest = 5 * time.Millisecond
)

// history counts what ended in this process since the last sweep. It is safe for
// concurrent use.
type history struct {
	limit int64
	grown atomic.Int64 // bytes
	full  chan struct{}
}

func newHistory(limit int64) history { return history{limit: limit, full: make(chan struct{}, 1)} }

// grow takes in what ended, and asks for a sweep when that is a lot.
func (h *history) grow(bytes int64) {
	if bytes == 0 || h.grown.Add(bytes) <= h.limit/historyShare {
		return
	}
	h.grown.Store(0)
	select {
	case h.full <- struct{}{}:
	default: // one is asked for
	}
}

// trim deletes the oldest of the updates that ended: those that are over their
// retention, and those that are too many, in bytes or in number.
func (q *Queue) trim(ctx context.Context, before time.Time) error {
	var rows, bytes int64
	if _, err := one(ctx, q.store.read(), []any{&rows, &bytes}, `
		SELECT count(*), coalesce(sum(bytes), 0) FROM versions_update WHERE finished_at > 0`); err != nil {
		return fmt.Errorf("measure the history: %w", err)
	}
	over := excess{rows: rows - maxHistoryRows, bytes: bytes - q.options.MaxHistory}
	for {
		begin := time.Now()
		deleted, err := q.deleteOldest(ctx, before, over)
		if err != nil || deleted.rows < sweepStep || !q.rest(begin) {
			return err
		}
		over.rows -= deleted.rows
		over.bytes -= deleted.bytes
	}
}

// excess is by how much the history is too large.
type excess struct{ rows, bytes int64 }

// deleteOldest deletes up to sweepStep updates: those that ended before a time, and
// the oldest others as long as there is an excess.
func (q *Queue) deleteOldest(ctx context.Context, before time.Time, over excess) (deleted excess, err error) {
	err = q.write(ctx, func(ctx context.Context, c *change) error {
		deleted = excess{}
		var seqs []int64
		if err := each(ctx, c, func(scan func(...any) error) error {
			var seq, finished, bytes int64
			if err := scan(&seq, &finished, &bytes); err != nil {
				return err
			}
			if finished >= micros(before) && over.rows <= deleted.rows && over.bytes <= deleted.bytes {
				return nil
			}
			deleted.rows++
			deleted.bytes += bytes
			seqs = append(seqs, seq)
			return nil
		}, `SELECT seq, finished_at, bytes FROM versions_update WHERE finished_at > 0
			ORDER BY finished_at LIMIT $1`+c.rowLock(), sweepStep); err != nil || len(seqs) == 0 {
			return err
		}
		among, list := ` WHERE seq IN (`+integers(c, 1)+`)`, jsonOf(seqs)
		return c.all(ctx, []statement{
			{text: `DELETE FROM versions_task` + among, args: []any{list}},
			{text: `DELETE FROM versions_update` + among, args: []any{list}},
		})
	})
	if err != nil {
		return excess{}, fmt.Errorf("delete old updates: %w", err)
	}
	return deleted, nil
}

// rest pauses a sweep for as long as its last step took, so that others have half of the
// store's time. It reports whether the sweep goes on: it ends when the queue stops.
func (q *Queue) rest(begin time.Time) bool {
	timer := time.NewTimer(max(time.Since(begin), leastRest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.stopping:
		return false
	}
}

// handBack gives the space of deleted rows back to the system, in steps.
func (q *Queue) handBack(ctx context.Context) error {
	for {
		begin := time.Now()
		more, err := q.store.handBack(ctx)
		if err != nil {
			return fmt.Errorf("hand back free space: %w", err)
		}
		if !more || !q.rest(begin) {
			return nil
		}
	}
}
