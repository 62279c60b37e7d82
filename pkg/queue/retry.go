package queue

import (
	"context"
	"errors"
	"fmt"
)

// Retry queues the failed tasks of an update again, their attempts counted from
// none; where there are none, those that were Absent, if all were. One that is
// older than what was done meanwhile ends as Superseded at once. It returns the
// update as it is then. ErrNotFound, ErrFull, and ErrNotFailed when there is
// nothing to try again.
func (q *Queue) Retry(ctx context.Context, id string) (Update, error) {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		var (
			seq    int64
			status Status
		)
		found, err := one(ctx, c, []any{&seq}, `SELECT seq FROM versions_update WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if !found {
			return ErrNotFound
		}
		if err := c.lockTasks(ctx, seq); err != nil {
			return err
		}
		if _, err := one(ctx, c, []any{&status, &c.waiting}, `
			SELECT status, (SELECT count(*) FROM versions_task WHERE status = 'queued')
			FROM versions_update WHERE seq = $1`, seq); err != nil {
			return err
		}
		if status != Failed && status != Unchanged {
			return ErrNotFailed
		}
		before := c.waiting
		again, err := c.requeue(ctx, seq)
		switch {
		case err != nil:
			return err
		case !again:
			return ErrNotFailed
		case c.waiting > before && c.waiting > q.options.MaxWaiting:
			return ErrFull
		}
		return nil
	})
	switch {
	case err == nil:
		return q.Get(ctx, id)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrNotFailed), errors.Is(err, ErrFull):
		return Update{}, err
	}
	return Update{}, fmt.Errorf("queue: retry update %q: %w", id, err)
}

// lockTasks locks the branches that the tasks of an update go to.
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

// requeue has the failed tasks of an update tried again, or those that were
// absent if none failed. It says whether there were any. lockTasks comes first.
func (c *change) requeue(ctx context.Context, seq int64) (bool, error) {
	type past struct {
		position
		n      int64
		branch string
		status Status
	}
	found := map[Status][]past{}
	if err := each(ctx, c, func(scan func(...any) error) error {
		p := past{position: position{seq: seq}}
		err := scan(&p.n, &p.target, &p.branch, &p.image, &p.scope, &p.pushed, &p.status)
		found[p.status] = append(found[p.status], p)
		return err
	}, `SELECT n, target, branch, image, scope, pushed_at, status FROM versions_task WHERE seq = $1 ORDER BY n`,
		seq); err != nil {
		return false, err
	}
	if _, err := c.exec(ctx, `UPDATE versions_update SET recorded = 0 WHERE seq = $1`, seq); err != nil {
		return false, err
	}
	again := found[Failed]
	if len(found) == 1 && len(again) == 0 {
		again = found[Absent]
	}
	for _, p := range again {
		late, err := c.enter(ctx, p.position)
		if err != nil {
			return false, err
		}
		now := micros(c.now)
		status, next, finished := Queued, now, int64(0)
		if late {
			status, next, finished = Superseded, 0, now
		} else {
			c.waiting++
			c.wakes[p.branch] = true
		}
		if _, err := c.exec(ctx, `
			UPDATE versions_task SET status = $1, attempts = 0, queued_at = $2, next_at = $3, finished_at = $4, claim = ''
			WHERE seq = $5 AND n = $6`, string(status), now, next, finished, seq, p.n); err != nil {
			return false, fmt.Errorf("queue the task again: %w", err)
		}
		c.touch(seq)
	}
	return len(again) > 0, nil
}
