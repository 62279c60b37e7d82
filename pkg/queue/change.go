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

	// told are the updates whose tasks changed, by their place in the order of
	// arrival, each with what became of the tasks.
	told   map[int64][]Event
	wakes  map[string]bool // branches that have something due
	events []Event
	ended  []string // IDs of updates
	kept   int64    // bytes of the updates that ended
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
	q.writes.note(q, err)
	if err != nil {
		return err
	}
	q.history.grow(c.kept)
	for _, e := range c.events {
		q.options.Observe(e)
	}
	q.waiters.wake(c.ended)
	return nil
}

func newChange(q *Queue, t tx, now time.Time) *change {
	return &change{tx: t, q: q, now: now, told: map[int64][]Event{}, wakes: map[string]bool{}}
}

// finish brings the updates whose tasks changed up to date, in the order that
// every transaction keeps, and wakes the branches.
func (c *change) finish(ctx context.Context) error {
	if _, err := c.updateStatuses(ctx, slices.Sorted(maps.Keys(c.told))...); err != nil {
		return err
	}
	return c.wake(ctx, slices.Sorted(maps.Keys(c.wakes)))
}

// tell notes that a task of an update changed, and what there is to tell of it.
func (c *change) tell(seq int64, events ...Event) {
	c.told[seq] = append(c.told[seq], events...)
}

// updateStatuses brings the statuses of updates up to date with their tasks', and
// returns them. The rows of the updates are locked first: two branches may be at
// tasks of the same one.
func (c *change) updateStatuses(ctx context.Context, seqs ...int64) (map[int64]Status, error) {
	type summary struct {
		id, webhook string
		accepted    int64
		status      Status
		absentAs    Status
		tasks       []Task
		request     int64 // bytes
		bytes       int64 // of the tasks
	}
	found := make([]summary, len(seqs))
	var reads, writes []statement
	for i, seq := range seqs {
		u := &found[i]
		reads = append(reads, statement{
			text: `SELECT id, webhook, accepted_at, status, absent_as, coalesce(length(request), 0) FROM versions_update WHERE seq = $1` + c.rowLock(),
			args: []any{seq},
			row: func(scan func(...any) error) error {
				return scan(&u.id, &u.webhook, &u.accepted, &u.status, &u.absentAs, &u.request)
			},
		}, statement{
			text: `SELECT status, coalesce(length(result), 0) + length(last_error) FROM versions_task WHERE seq = $1`,
			args: []any{seq},
			row: func(scan func(...any) error) error {
				u.tasks = append(u.tasks, Task{})
				var bytes int64
				err := scan(&u.tasks[len(u.tasks)-1].Status, &bytes)
				u.bytes += bytes + rowBytes
				return err
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
		for _, e := range c.told[seq] {
			e.Webhook, e.Since = u.webhook, since
			c.events = append(c.events, e)
		}
		delete(c.told, seq)
		now := aggregate(u.tasks, u.absentAs)
		statuses[seq] = now
		if now == u.status {
			continue
		}
		var finished, bytes int64
		keep := !now.Ended() || needsRequest(now, u.tasks)
		if now.Ended() {
			finished, bytes = micros(c.now), rowBytes+u.bytes
			if keep {
				bytes += u.request
			}
			c.kept += bytes
			c.end(u.id, Event{Kind: UpdateEnded, Status: now, Webhook: u.webhook, Since: since})
		}
		writes = append(writes, statement{
			text: `
				UPDATE versions_update SET status = $1, finished_at = $2, bytes = $3,
					request = CASE WHEN $4 = 1 THEN request ELSE NULL END
				WHERE seq = $5`,
			args: []any{string(now), finished, bytes, flag(keep), seq},
		})
	}
	if err := c.all(ctx, writes); err != nil {
		return nil, fmt.Errorf("write the updates of tasks: %w", err)
	}
	return statuses, nil
}

func (c *change) end(id string, e Event) {
	c.ended = append(c.ended, id)
	c.events = append(c.events, e)
}

// needsRequest reports whether Retry may try an update again that has ended: its
// request is kept for that alone.
func needsRequest(s Status, tasks []Task) bool {
	return s == Failed || s == Unchanged && !slices.ContainsFunc(tasks, func(t Task) bool { return t.Status != Absent })
}

// wake has branches looked at now. A job that runs sees what this transaction
// stores: it completes only in one that looks again.
func (c *change) wake(ctx context.Context, branches []string) error {
	live, err := c.insert(ctx, branches, time.Time{})
	if err != nil {
		return err
	}
	for _, job := range live {
		// One that is available at a time to come was inserted by a clock that was set back since.
		later := job.State == rivertype.JobStateAvailable && time.Until(job.ScheduledAt) > clockSlack
		if later || job.State == rivertype.JobStateScheduled || job.State == rivertype.JobStateRetryable {
			if err := c.runNow(ctx, job.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
