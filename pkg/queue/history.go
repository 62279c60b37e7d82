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
		deleted, err := q.deleteOldest(ctx, before, over)
		if err != nil || deleted.rows < sweepStep {
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
		var statements []statement
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
			statements = append(statements,
				statement{text: `DELETE FROM versions_task WHERE seq = $1`, args: []any{seq}},
				statement{text: `DELETE FROM versions_update WHERE seq = $1`, args: []any{seq}})
			return nil
		}, `SELECT seq, finished_at, bytes FROM versions_update WHERE finished_at > 0
			ORDER BY finished_at LIMIT $1`+c.rowLock(), sweepStep); err != nil {
			return err
		}
		return c.all(ctx, statements)
	})
	if err != nil {
		return excess{}, fmt.Errorf("delete old updates: %w", err)
	}
	return deleted, nil
}
