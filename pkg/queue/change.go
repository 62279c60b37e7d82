package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// change is a transaction of the queue, with what is to be done at its end and
// told once it is committed. It has the transaction's life and is used by one
// goroutine.
type change struct {
	tx
	q   *Queue
	now time.Time

	// waiting counts the queued tasks, where that matters: in an acceptance.
	waiting int
	// touched are the updates whose tasks changed, by their place in the order of
	// arrival, each with what became of the tasks.
	touched map[int64][]Event
	wakes   map[string]bool // branches that have something due
	events  []Event
	ended   []string // IDs of updates
}

// write runs f in a transaction and commits it. f may run more than once.
func (q *Queue) write(ctx context.Context, f func(context.Context, *change) error) error {
	var c *change
	err := q.store.write(ctx, func(ctx context.Context, t tx) error {
		c = newChange(q, t, q.options.Now())
		if err := f(ctx, c); err != nil {
			return err
		}
		return c.finish(ctx)
	})
	if err != nil {
		return err
	}
	for _, e := range c.events {
		q.options.Observe(e)
	}
	q.waiters.wake(c.ended)
	return nil
}

func newChange(q *Queue, t tx, now time.Time) *change {
	return &change{tx: t, q: q, now: now, touched: map[int64][]Event{}, wakes: map[string]bool{}}
}

// attempt runs f on a part of the change, which is undone when f fails.
func (c *change) attempt(ctx context.Context, f func(*change) error) error {
	if _, err := c.exec(ctx, `SAVEPOINT part`); err != nil {
		return err
	}
	part := newChange(c.q, c.tx, c.now)
	part.waiting = c.waiting
	if err := f(part); err != nil {
		if _, failed := c.exec(ctx, `ROLLBACK TO SAVEPOINT part`); failed != nil {
			return fmt.Errorf("%w, after %w", failed, err)
		}
		return err
	}
	if _, err := c.exec(ctx, `RELEASE SAVEPOINT part`); err != nil {
		return err
	}
	c.waiting = part.waiting
	for seq, events := range part.touched {
		c.touched[seq] = append(c.touched[seq], events...)
	}
	maps.Copy(c.wakes, part.wakes)
	c.events = append(c.events, part.events...)
	c.ended = append(c.ended, part.ended...)
	return nil
}

// finish brings the updates whose tasks changed up to date, in the order that
// every transaction keeps, and wakes the branches.
func (c *change) finish(ctx context.Context) error {
	if _, err := c.refresh(ctx, slices.Sorted(maps.Keys(c.touched))...); err != nil {
		return err
	}
	for _, branch := range slices.Sorted(maps.Keys(c.wakes)) {
		if err := c.wake(ctx, branch); err != nil {
			return err
		}
	}
	return nil
}

// touch notes that a task of an update changed, and what there is to tell of it.
func (c *change) touch(seq int64, events ...Event) {
	c.touched[seq] = append(c.touched[seq], events...)
}

// refresh settles updates' statuses from their tasks', and returns them. The rows
// of the updates are locked first: two branches may be at tasks of the same one.
func (c *change) refresh(ctx context.Context, seqs ...int64) (map[int64]Status, error) {
	type summary struct {
		id, webhook string
		accepted    int64
		status      Status
		absentAs    Status
		tasks       []Task
	}
	found := make([]summary, len(seqs))
	var reads, writes []statement
	for i, seq := range seqs {
		u := &found[i]
		reads = append(reads, statement{
			text: `SELECT id, webhook, accepted_at, status, absent_as FROM versions_update WHERE seq = $1` + c.rowLock(),
			args: []any{seq},
			row: func(scan func(...any) error) error {
				return scan(&u.id, &u.webhook, &u.accepted, &u.status, &u.absentAs)
			},
		}, statement{
			text: `SELECT status FROM versions_task WHERE seq = $1`,
			args: []any{seq},
			row: func(scan func(...any) error) error {
				u.tasks = append(u.tasks, Task{})
				return scan(&u.tasks[len(u.tasks)-1].Status)
			},
		})
	}
	if err := c.all(ctx, reads); err != nil {
		return nil, fmt.Errorf("read the updates of tasks: %w", err)
	}
	statuses := map[int64]Status{}
	for i, seq := range seqs {
		u := found[i]
		since := c.now.Sub(fromMicros(u.accepted))
		for _, e := range c.touched[seq] {
			e.Webhook, e.Since = u.webhook, since
			c.events = append(c.events, e)
		}
		delete(c.touched, seq)
		now := aggregate(u.tasks, u.absentAs)
		statuses[seq] = now
		if now == u.status {
			continue
		}
		var finished int64
		if now.Ended() {
			finished = micros(c.now)
			c.end(u.id, Event{Kind: UpdateEnded, Status: now, Webhook: u.webhook, Since: since})
		}
		writes = append(writes, statement{
			text: `UPDATE versions_update SET status = $1, finished_at = $2 WHERE seq = $3`,
			args: []any{string(now), finished, seq},
		})
	}
	if err := c.all(ctx, writes); err != nil {
		return nil, fmt.Errorf("settle the updates of tasks: %w", err)
	}
	return statuses, nil
}

func (c *change) end(id string, e Event) {
	c.ended = append(c.ended, id)
	c.events = append(c.events, e)
}

// wake has a branch looked at now. A job that runs sees what this transaction
// stores: it completes only in one that looks again.
func (c *change) wake(ctx context.Context, branch string) error {
	live, err := c.insert(ctx, branch, time.Time{})
	if err != nil || live == nil {
		return err
	}
	if live.State == rivertype.JobStateScheduled || live.State == rivertype.JobStateRetryable {
		return c.rush(ctx, live.ID)
	}
	return nil
}
