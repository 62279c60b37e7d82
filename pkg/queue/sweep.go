package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	sweepEvery = time.Minute
	// sweepAge is how long a task is due before the sweeper wakes its branch. No wake-up
	// is ever lost; this covers jobs that were deleted from outside.
	sweepAge = 30 * time.Second
	// sweepStep bounds the rows that one transaction deletes, because others wait for it.
	sweepStep = 200
	// lostEvery is how often lost jobs are looked for, and lostAge how long a job is
	// fetched before it may be one. River takes up to four minutes to find them.
	lostEvery = 10 * time.Second
	lostAge   = 10 * time.Second
)

func (q *Queue) sweepLoop() {
	tick, lost := time.NewTicker(sweepEvery), time.NewTicker(lostEvery)
	defer tick.Stop()
	defer lost.Stop()
	for {
		select {
		case <-q.stopping:
			return
		case <-lost.C:
			if err := q.freeLost(context.Background()); err != nil {
				q.options.Logger.Error("looking for lost jobs failed", slog.Any("error", err))
			}
			continue
		case <-tick.C:
		case <-q.history.full:
		}
		if err := q.sweep(context.Background()); err != nil {
			q.options.Logger.Error("sweeping the queue failed", slog.Any("error", err))
		}
	}
}

// freeLost lets the jobs run that River has fetched for this process and never began.
func (q *Queue) freeLost(ctx context.Context) error {
	q.mu.Lock()
	running := make([]string, 0, len(q.draining))
	for _, claim := range q.draining {
		running = append(running, claim)
	}
	q.mu.Unlock()
	freed, err := q.store.freeLost(ctx, running)
	if freed > 0 {
		q.options.Logger.Warn("jobs were lost on their way from the store, and run now", slog.Int64("jobs", freed))
	}
	return err
}

// sweep wakes overdue branches and deletes expired rows.
func (q *Queue) sweep(ctx context.Context) error {
	if err := q.sweepBranches(ctx, sweepAge); err != nil {
		return err
	}
	if err := q.write(ctx, func(ctx context.Context, c *change) error { return c.deleteHolds(ctx) }); err != nil {
		return fmt.Errorf("delete the holds that are over: %w", err)
	}
	now := q.options.Now()
	if err := q.trim(ctx, now.Add(-q.options.Retention)); err != nil {
		return err
	}
	if err := q.deleteAbandoned(ctx, now.Add(-underwayRetention)); err != nil {
		return fmt.Errorf("delete the positions of processes that died: %w", err)
	}
	if err := q.deleteMarks(ctx); err != nil {
		return fmt.Errorf("delete the marks of old connections: %w", err)
	}
	if err := q.deleteReplicas(ctx); err != nil {
		return fmt.Errorf("delete the replicas that ended: %w", err)
	}
	if err := q.deleteKeys(ctx, now.Add(-keyRetention)); err != nil {
		return fmt.Errorf("delete old idempotency keys: %w", err)
	}
	if err := q.deleteNotices(ctx, now.Add(-NoticeLife-noticeSlack)); err != nil {
		return fmt.Errorf("delete old notices: %w", err)
	}
	return q.handBack(ctx)
}

// sweepBranches wakes the branches that have tasks which have been due for longer than age.
func (q *Queue) sweepBranches(ctx context.Context, age time.Duration) error {
	var branches []string
	if err := each(ctx, q.store.read(), func(scan func(...any) error) error {
		var branch string
		err := scan(&branch)
		branches = append(branches, branch)
		return err
	}, `SELECT DISTINCT branch FROM versions_task WHERE status = 'queued' AND (next_at <= $1 OR set_at > $2)`,
		micros(q.options.Now().Add(-age)), micros(q.options.Now().Add(clockSlack))); err != nil {
		return fmt.Errorf("look for branches: %w", err)
	}
	for _, branch := range branches {
		if err := q.write(ctx, func(ctx context.Context, c *change) error {
			c.wakes[branch] = true
			return c.lock(ctx, []string{branchLock(branch)})
		}); err != nil {
			return fmt.Errorf("wake %s: %w", branch, err)
		}
	}
	return nil
}

// deleteAbandoned deletes the positions of requests that were entered before a time.
func (q *Queue) deleteAbandoned(ctx context.Context, before time.Time) error {
	if !q.store.shared() {
		return nil
	}
	return q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `DELETE FROM versions_underway WHERE entered_at < $1`, micros(before))
		return err
	})
}

// deleteKeys deletes the idempotency keys that came before a time.
func (q *Queue) deleteKeys(ctx context.Context, before time.Time) error {
	for deleted := int64(0); ; {
		begin := time.Now()
		if err := q.write(ctx, func(ctx context.Context, c *change) (err error) {
			deleted, err = c.exec(ctx, `
				DELETE FROM versions_key WHERE (caller, name) IN (
					SELECT caller, name FROM versions_key WHERE created_at < $1 ORDER BY created_at LIMIT $2)`,
				micros(before), sweepStep)
			return err
		}); err != nil || deleted < sweepStep || !q.rest(begin) {
			return err
		}
	}
}
