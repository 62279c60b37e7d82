package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Retry queues the tasks of an update that failed, were held or are Retriable again, with
// their attempts reset, also while others of its tasks are queued. When there are none and
// all are Absent, it queues those. A task that a newer one
// replaces ends as Superseded at once. Retry returns the update afterwards. It returns
// ErrNotFound, ErrFull, or ErrNotFailed when no task can be retried.
func (q *Queue) Retry(ctx context.Context, id string) (Update, error) {
	err := q.write(ctx, func(ctx context.Context, c *change) error { return c.retry(ctx, id) })
	switch {
	case err == nil:
		return q.Get(ctx, id)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrNotFailed), errors.Is(err, ErrFull):
		return Update{}, err
	}
	return Update{}, fmt.Errorf("queue: retry update %q: %w", id, err)
}

// Unpark makes every parked task due, because what it waits for may have changed. One
// that still has to wait is parked again.
func (q *Queue) Unpark(ctx context.Context) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		return each(ctx, c, func(scan func(...any) error) error {
			var branch string
			if err := scan(&branch); err != nil {
				return err
			}
			c.wakes[branch] = true
			return nil
		}, `UPDATE versions_task SET next_at = $1, set_at = $1, parked = 0 WHERE status = 'queued' AND parked = 1 RETURNING branch`, micros(c.now))
	})
	if err != nil {
		return fmt.Errorf("queue: unpark tasks: %w", err)
	}
	return nil
}

// retry is Retry's transaction.
func (c *change) retry(ctx context.Context, id string) error {
	seq, from, err := c.lockRetriable(ctx, id)
	if err != nil {
		return err
	}
	again, err := c.requeue(ctx, seq)
	if err != nil || !again {
		return cmp.Or(err, ErrNotFailed)
	}
	if _, err := c.updateStatuses(ctx, seq); err != nil {
		return err
	}
	queued := map[sender]int{}
	if err := c.all(ctx, []statement{queuedStatement(queued)}); err != nil {
		return err
	}
	if len(c.wakes) > 0 && !c.q.hasRoom(from, queued) {
		return ErrFull
	}
	return nil
}

// lockRetriable locks the tasks of an update and returns its seq and sender. It
// returns ErrNotFound.
func (c *change) lockRetriable(ctx context.Context, id string) (seq int64, from sender, err error) {
	found, err := one(ctx, c, []any{&seq}, `SELECT seq FROM versions_update WHERE id = $1`, id)
	if err != nil {
		return 0, sender{}, err
	}
	if !found {
		return 0, sender{}, ErrNotFound
	}
	if err := c.lockTasks(ctx, seq); err != nil {
		return 0, sender{}, err
	}
	_, err = one(ctx, c, []any{&from.caller, &from.webhook}, `SELECT caller, webhook FROM versions_update WHERE seq = $1`, seq)
	return seq, from, err
}

// lockTasks locks the branches of an update's tasks.
func (c *change) lockTasks(ctx context.Context, seq int64) error {
	var keys []string
	if err := each(ctx, c, func(scan func(...any) error) error {
		var branch string
		err := scan(&branch)
		keys = append(keys, branchLock(branch))
		return err
	}, `SELECT branch FROM versions_task WHERE seq = $1`, seq); err != nil {
		return err
	}
	return c.lock(ctx, keys)
}

// requeue queues the failed and held tasks of an update again or, when all are Absent, those. It
// reports whether there were any. The caller holds the locks of lockTasks.
func (c *change) requeue(ctx context.Context, seq int64) (bool, error) {
	type past struct {
		n      int64
		branch string
		status Status
		newer  int64
		closed int64 // retriable
	}
	found := map[Status][]past{}
	var closed []past
	if err := each(ctx, c, func(scan func(...any) error) error {
		var p past
		err := scan(&p.n, &p.branch, &p.status, &p.newer, &p.closed)
		if p.closed > 0 && p.status == Unchanged {
			closed = append(closed, p)
		}
		found[p.status] = append(found[p.status], p)
		return err
	}, `SELECT t.n, t.branch, t.status, CASE WHEN `+newerExists+` THEN 1 ELSE 0 END, t.retriable
		FROM versions_task AS t WHERE t.seq = $2 ORDER BY t.n`, micros(c.now), seq); err != nil {
		return false, err
	}
	again := slices.Concat(found[Failed], found[Held], closed)
	if len(found) == 1 && len(again) == 0 {
		again = found[Absent]
	}
	statements := []statement{{text: `UPDATE versions_update SET recorded = 0 WHERE seq = $1`, args: []any{seq}}}
	now := micros(c.now)
	for _, p := range again {
		status, next, finished := Queued, now, int64(0)
		if p.newer > 0 {
			status, next, finished = Superseded, 0, now
		} else {
			c.wakes[p.branch] = true
		}
		statements = append(statements, statement{
			text: `
				UPDATE versions_task SET status = $1, attempts = 0, claims = 0, queued_at = $2, next_at = $3, set_at = $2,
					finished_at = $4, claim = ''
				WHERE seq = $5 AND n = $6`,
			args: []any{string(status), now, next, finished, seq, p.n},
		})
		c.noteTask(seq)
	}
	if err := c.all(ctx, statements); err != nil {
		return false, fmt.Errorf("queue the tasks again: %w", err)
	}
	return len(again) > 0, nil
}
