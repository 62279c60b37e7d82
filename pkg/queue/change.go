package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// change is a transaction of the queue. It collects what has to be done at the end of
// the transaction, and the events to publish once it is committed. It is valid for the
// transaction only and is not safe for concurrent use.
type change struct {
	tx
	q   *Queue
	now time.Time

	// changed holds the events of tasks that changed, by the seq of their update.
	changed map[int64][]Event
	wakes   map[string]bool // branches that have due tasks
	events  []Event         // to publish
	ended   []string        // IDs of updates that ended
	told    []string        // those of which somebody is told
	kept    int64           // size of the updates that ended, in bytes
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
	return &change{tx: t, q: q, now: now, changed: map[int64][]Event{}, wakes: map[string]bool{}}
}

// finish updates the status of each update whose tasks changed, stores the notices and
// wakes the branches.
// It locks the updates in the order of seq, as every transaction does, so that two
// transactions cannot wait for each other.
func (c *change) finish(ctx context.Context) error {
	if _, err := c.updateStatuses(ctx, slices.Sorted(maps.Keys(c.changed))...); err != nil {
		return err
	}
	if err := c.storeNotices(ctx); err != nil {
		return err
	}
	return c.wake(ctx, slices.Sorted(maps.Keys(c.wakes)))
}

// noteTask records that a task of an update changed, with the events to publish.
func (c *change) noteTask(seq int64, events ...Event) {
	c.changed[seq] = append(c.changed[seq], events...)
}

// summary is what tells the status of an update.
type summary struct {
	id, webhook string
	accepted    int64
	status      Status
	absentAs    Status
	tasks       []Task
	request     int64 // bytes
	bytes       int64 // of the tasks
	beside      bool  // a task has another image than the update's
}

// summaries reads the summaries of updates, and locks their rows first, because the tasks of
// one update may be applied on two branches at once.
func (c *change) summaries(ctx context.Context, seqs []int64) ([]summary, error) {
	found := make([]summary, len(seqs))
	var reads []statement
	for i, seq := range seqs {
		u := &found[i]
		reads = append(reads, statement{
			text: `SELECT id, webhook, accepted_at, status, absent_as, coalesce(length(request), 0) FROM versions_update WHERE seq = $1` + c.rowLock(),
			args: []any{seq},
			row: func(scan func(...any) error) error {
				return scan(&u.id, &u.webhook, &u.accepted, &u.status, &u.absentAs, &u.request)
			},
		}, statement{
			text: `SELECT status, target, hold, retriable, coalesce(length(result), 0) + length(last_error), beside FROM versions_task WHERE seq = $1`,
			args: []any{seq},
			row: func(scan func(...any) error) error {
				u.tasks = append(u.tasks, Task{})
				var bytes, retriable, beside int64
				last := &u.tasks[len(u.tasks)-1]
				err := scan(&last.Status, &last.Target, &last.Hold, &retriable, &bytes, &beside)
				last.Retriable = retriable > 0
				u.beside = u.beside || beside > 0
				u.bytes += bytes + rowBytes
				return err
			},
		})
	}
	if err := c.all(ctx, reads); err != nil {
		return nil, fmt.Errorf("read the updates of tasks: %w", err)
	}
	return found, nil
}

// updateStatuses recomputes the statuses of updates from their tasks, stores them and
// returns them by seq.
func (c *change) updateStatuses(ctx context.Context, seqs ...int64) (map[int64]Status, error) {
	found, err := c.summaries(ctx, seqs)
	if err != nil {
		return nil, err
	}
	var writes []statement
	statuses := map[int64]Status{}
	for i, seq := range seqs {
		u := found[i]
		since := c.now.Sub(fromMicros(u.accepted))
		events := c.changed[seq]
		for _, e := range events {
			e.Webhook, e.Since = u.webhook, since
			c.events = append(c.events, e)
		}
		delete(c.changed, seq)
		now := aggregate(u.tasks, u.absentAs)
		statuses[seq] = now
		c.tell(u.id, u.status, now, events)
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
			writes = append(writes, takeBacks(u.tasks)...)
		}
		writes = append(writes, statement{
			text: `
				UPDATE versions_update SET status = $1, finished_at = $2, bytes = $3,
					request = CASE WHEN $4 = 1 THEN request ELSE NULL END
				WHERE seq = $5`,
			args: []any{string(now), finished, bytes, flag(keep), seq},
		})
		if u.beside {
			writes = append(writes, statement{
				text: `UPDATE versions_task SET update_status = $1 WHERE seq = $2 AND beside = 1`, args: []any{string(now), seq},
			})
		}
	}
	if err := c.all(ctx, writes); err != nil {
		return nil, fmt.Errorf("write the updates of tasks: %w", err)
	}
	return statuses, nil
}

// takeBacks are the statements that remove the holds of tasks that came to nothing.
func takeBacks(tasks []Task) (statements []statement) {
	for _, t := range tasks {
		if t.Hold != "" && t.Status.CameToNothing() {
			statements = append(statements, takeBack(t.Hold))
		}
	}
	return statements
}

// end records that an update ended.
func (c *change) end(id string, e Event) {
	c.ended = append(c.ended, id)
	c.events = append(c.events, e)
}

// needsRequest reports whether Retry can queue an ended update again, or could once its
// pull request is closed. Only then is its request kept.
func needsRequest(s Status, tasks []Task) bool {
	if s == Failed || slices.ContainsFunc(tasks, func(t Task) bool { return t.Status == Held || t.Status == Proposed || t.Retriable }) {
		return true
	}
	return s == Unchanged && !slices.ContainsFunc(tasks, func(t Task) bool { return t.Status != Absent })
}

// wake makes each branch's job run now, and inserts the job where there is none. A job
// that is running already needs no wake-up: the transaction that completes it looks for
// tasks again.
func (c *change) wake(ctx context.Context, branches []string) error {
	live, err := c.insert(ctx, branches, time.Time{})
	if err != nil {
		return err
	}
	for _, job := range live {
		// An available job with a future time was inserted by a clock that has been put back since.
		later := job.State == rivertype.JobStateAvailable && time.Until(job.ScheduledAt) > clockSlack
		if later || job.State == rivertype.JobStateScheduled || job.State == rivertype.JobStateRetryable {
			if err := c.runNow(ctx, job.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
