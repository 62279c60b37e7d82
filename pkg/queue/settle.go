package queue

import (
	"context"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// expiry is how long a task is tried again since it was queued.
	expiry = 24 * time.Hour
	// postponeJitter bounds what is added to a postponement, so that not all
	// branches come back at once.
	postponeJitter = 5 * time.Second
	// errorLength bounds Task.LastError, in bytes.
	errorLength = 1000
)

// attemptWaits are the waits between attempts of a task.
var attemptWaits = backoff.Policy{First: 2 * time.Second, Most: time.Hour, Spread: 0.25}

// claimed is a task that a run applies.
type claimed struct {
	Item
	seq, n   int64
	queuedAt time.Time
}

// take marks the due tasks of the run's branch as its own.
func (r *run) take(ctx context.Context, c *change) ([]claimed, error) {
	branch := r.job.Args.Branch
	if _, err := c.exec(ctx, `
		UPDATE versions_task SET claim = $1 WHERE (seq, n) IN (
			SELECT seq, n FROM versions_task WHERE branch = $2 AND status = 'queued' AND next_at <= $3
			ORDER BY pushed_at, seq, n LIMIT $4)`, r.claim, branch, micros(c.now), batchSize); err != nil {
		return nil, err
	}
	var tasks []claimed
	err := each(ctx, c, func(scan func(...any) error) error {
		var (
			u      updateRow
			t      taskRow
			queued int64
		)
		if err := scan(append(append(u.dest(), t.dest()...), &queued)...); err != nil {
			return err
		}
		tasks = append(tasks, claimed{
			Item: Item{Update: u.value(), Task: t.value()}, seq: u.seq, n: t.n, queuedAt: fromMicros(queued),
		})
		return nil
	}, `SELECT `+updateColumns+`, `+taskColumns+`, t.queued_at
		FROM versions_task AS t JOIN versions_update AS u ON u.seq = t.seq
		WHERE t.branch = $1 AND t.status = 'queued' AND t.claim = $2
		ORDER BY t.pushed_at, t.seq, t.n`, branch, r.claim)
	return tasks, err
}

// settle stores what became of the tasks that the run applied, but for those that
// another run has taken meanwhile.
func (r *run) settle(ctx context.Context, c *change, done applied) error {
	statements := make([]statement, len(done.tasks))
	for i, t := range done.tasks {
		after, kind := r.q.judge(t, done.outcomes[i], c.now)
		if done.interrupted && kind == TaskRetried {
			after, kind = t.Task, ""
		}
		statements[i] = statement{
			text: `
				UPDATE versions_task SET status = $1, attempts = $2, next_at = $3, claim = '', last_error = $4,
					result = $5, finished_at = $6
				WHERE seq = $7 AND n = $8 AND claim = $9 AND status = 'queued'`,
			args: []any{
				string(after.Status), after.Attempts, micros(after.NextAttempt), after.LastError,
				after.Result, micros(after.FinishedAt), t.seq, t.n, r.claim,
			},
			done: func(affected int64) {
				switch {
				case affected == 0:
				case kind == "":
					c.touch(t.seq)
				default:
					c.touch(t.seq, Event{Kind: kind, Status: after.Status, Target: t.Task.Target})
				}
			},
		}
	}
	return c.all(ctx, statements)
}

// judge says how a task goes on after an outcome.
func (q *Queue) judge(c claimed, o Outcome, now time.Time) (Task, EventKind) {
	t := c.Task
	if !slices.Contains([]Status{Queued, Committed, Unchanged, Superseded, Failed, Absent}, o.Status) {
		o = Outcome{Status: Queued, Error: "internal error", Result: o.Result}
	}
	t.LastError = safetext.Line(o.Error, errorLength)
	if o.Result != nil {
		t.Result = o.Result
	}
	if o.Status == Queued && o.After > 0 {
		t.NextAttempt = now.Add(o.After + time.Duration(q.options.Random()*float64(min(o.After/10, postponeJitter))))
		return t, TaskPostponed
	}
	t.Attempts++
	t.Status = o.Status
	if o.Status == Queued {
		t.NextAttempt = now.Add(attemptWaits.After(t.Attempts, q.options.Random()))
		if !t.NextAttempt.After(c.queuedAt.Add(expiry)) {
			return t, TaskRetried
		}
		t.Status = Failed
	}
	t.NextAttempt, t.FinishedAt = time.Time{}, now
	return t, TaskEnded
}
