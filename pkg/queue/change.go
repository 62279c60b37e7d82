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
	for _, seq := range slices.Sorted(maps.Keys(c.touched)) {
		if _, err := c.refresh(ctx, seq); err != nil {
			return fmt.Errorf("update %d: %w", seq, err)
		}
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

// refresh settles an update's status from its tasks'. Its row is locked first:
// two branches may be at their tasks of the same update.
func (c *change) refresh(ctx context.Context, seq int64) (Status, error) {
	var (
		id, webhook         string
		accepted            int64
		status, absentAs, s Status
		tasks               []Task
	)
	if _, err := one(ctx, c, []any{&id, &webhook, &accepted, &status, &absentAs}, `
		SELECT id, webhook, accepted_at, status, absent_as FROM versions_update WHERE seq = $1`+c.rowLock(),
		seq); err != nil {
		return "", err
	}
	if err := each(ctx, c, func(scan func(...any) error) error {
		if err := scan(&s); err != nil {
			return err
		}
		tasks = append(tasks, Task{Status: s})
		return nil
	}, `SELECT status FROM versions_task WHERE seq = $1`, seq); err != nil {
		return "", err
	}
	since := c.now.Sub(fromMicros(accepted))
	for _, e := range c.touched[seq] {
		e.Webhook, e.Since = webhook, since
		c.events = append(c.events, e)
	}
	delete(c.touched, seq)

	now := aggregate(tasks, absentAs)
	if now == status {
		return now, nil
	}
	var finished int64
	if now.Ended() {
		finished = micros(c.now)
		c.end(id, Event{Kind: UpdateEnded, Status: now, Webhook: webhook, Since: since})
	}
	_, err := c.exec(ctx, `UPDATE versions_update SET status = $1, finished_at = $2 WHERE seq = $3`,
		string(now), finished, seq)
	return now, err
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
