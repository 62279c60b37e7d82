package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// expiry is how long after it was queued a task is retried.
	expiry = 24 * time.Hour
	// postponeJitter bounds what is added to a postponement, so that not all
	// branches come back at once.
	postponeJitter = 5 * time.Second
	// clockSlack is by how much the clocks of replicas may differ. A time that was
	// set further ahead of now comes from a clock that was set back since, and nobody
	// waits for it.
	clockSlack = 5 * time.Second
	// errorLength bounds Task.LastError, in bytes.
	errorLength = 1000
	// A task that is claimed claimsTogether times without an outcome is suspected of
	// ending the process. It is then claimed claimsFew times in a batch of at most fewSize
	// suspects, which clears most innocent ones quickly, and after that alone, up to
	// claimsMost times in total.
	claimsTogether = 3
	claimsFew      = 1
	claimsMost     = 6
	fewSize        = 25
)

// attemptWaits are the waits between attempts of a task.
var attemptWaits = backoff.Policy{First: 2 * time.Second, Most: time.Hour, Spread: 0.25}

// claimed is a task that a run has claimed.
type claimed struct {
	Item
	seq, n   int64
	queuedAt time.Time
}

// dueTask is a condition on versions_task: a task of branch $1 whose turn it is at
// $2; $3 is $2 and clockSlack.
const dueTask = `branch = $1 AND status = 'queued' AND (next_at <= $2 OR set_at > $3)`

func (r *run) due(c *change) []any {
	return []any{r.job.Args.Branch, micros(c.now), micros(c.now.Add(clockSlack))}
}

// claimTasks marks the due tasks of the run's branch as its own: all that nothing
// is held against, or some of the suspects. Those of one update and target are due
// together, and are claimed together though they be more than is claimed at once.
func (r *run) claimTasks(ctx context.Context, c *change) ([]claimed, error) {
	which, most := fmt.Sprintf("claims < %d", claimsTogether), batchSize
	if r.alone {
		var claims int
		if _, err := one(ctx, c, []any{&claims}, fmt.Sprintf(
			`SELECT coalesce(min(claims), 0) FROM versions_task WHERE %s AND claims >= %d`, dueTask, claimsTogether), r.due(c)...); err != nil {
			return nil, err
		}
		which, most = fmt.Sprintf("claims = %d", claims), 1
		if claims < claimsTogether+claimsFew {
			most = fewSize
		}
	}
	claim := r.claim()
	if _, err := c.exec(ctx, `
		UPDATE versions_task SET claim = $4, claims = claims + 1 WHERE `+dueTask+` AND `+which+` AND (seq, target) IN (
			SELECT seq, target FROM (
				SELECT seq, target, count(*) AS own, sum(count(*)) OVER (ORDER BY min(pushed_at), seq, min(n)) AS all_so_far
				FROM versions_task WHERE `+dueTask+` AND `+which+` GROUP BY seq, target) AS together
			WHERE all_so_far - own < $5)`, append(r.due(c), claim, most)...); err != nil {
		return nil, err
	}
	var tasks []claimed
	err := each(ctx, c, func(scan func(...any) error) error {
		var (
			u           updateRow
			t           taskRow
			queued, pos int64
			sent        string
		)
		if err := scan(append(append(u.dest(), t.dest()...), &queued, &pos, &sent)...); err != nil {
			return err
		}
		tasks = append(tasks, claimed{
			Item: Item{Update: u.value(), Task: t.value(), Place: fromMicros(pos), Sent: sent},
			seq:  u.seq, n: t.n, queuedAt: fromMicros(queued),
		})
		return nil
	}, `SELECT `+updateColumns+`, `+taskColumns+`, t.queued_at, t.pushed_at, t.sent_commit
		FROM versions_task AS t JOIN versions_update AS u ON u.seq = t.seq
		WHERE t.branch = $1 AND t.status = 'queued' AND t.claim = $2
		ORDER BY t.pushed_at, t.seq, t.n`, r.job.Args.Branch, claim)
	return tasks, err
}

// othersDue reports whether there are due tasks of the kind that the run does not
// claim now.
func (r *run) othersDue(ctx context.Context, c *change) (bool, error) {
	which := fmt.Sprintf("claims >= %d", claimsTogether)
	if r.alone {
		which = fmt.Sprintf("claims < %d", claimsTogether)
	}
	var n int
	_, err := one(ctx, c, []any{&n}, `SELECT count(*) FROM versions_task WHERE `+dueTask+` AND `+which, r.due(c)...)
	return n > 0, err
}

// failSuspects ends the tasks that were claimed claimsMost times without an outcome.
func (r *run) failSuspects(ctx context.Context, c *change) error {
	reason := fmt.Sprintf("the service ended %d times while it applied this update, the last %d times without any other; "+
		"it is not tried again by itself", claimsMost, claimsMost-claimsTogether-claimsFew)
	return each(ctx, c, func(scan func(...any) error) error {
		var (
			seq    int64
			target string
		)
		if err := scan(&seq, &target); err != nil {
			return err
		}
		c.noteTask(seq, Event{Kind: TaskEnded, Status: Failed, Target: target})
		return nil
	}, `
		UPDATE versions_task SET status = 'failed', last_error = $1, finished_at = $2, claim = '', sent_commit = ''
		WHERE branch = $3 AND status = 'queued' AND claims >= $4
		RETURNING seq, target`, reason, micros(c.now), r.job.Args.Branch, claimsMost)
}

// storeOutcomes stores the outcomes of the tasks that the run applied, except those that
// another run has claimed since.
func (r *run) storeOutcomes(ctx context.Context, c *change, done applied) error {
	statements := make([]statement, len(done.tasks))
	spread := map[together]float64{} // in [0, 1), the same for those that are due together
	for i, t := range done.tasks {
		group := together{t.seq, t.Task.Target}
		if _, ok := spread[group]; !ok {
			spread[group] = r.q.options.Random()
		}
		after, kind := r.q.afterOutcome(t, done.outcomes[i], c.now, spread[group])
		if done.interrupted && kind == TaskRetried {
			after, kind = t.Task, ""
		}
		doubt := after.Status == Queued && done.outcomes[i].InDoubt
		queuedAt, parked := t.queuedAt, kind == TaskPostponed && done.outcomes[i].Parked
		if parked {
			queuedAt = queuedAt.Add(after.NextAttempt.Sub(c.now))
		}
		statements[i] = statement{
			text: `
				UPDATE versions_task SET status = $1, attempts = $2, next_at = $3, set_at = $4, claim = '', claims = 0,
					last_error = $5, result = $6, finished_at = $7, sent_commit = CASE WHEN $8 = 1 THEN sent_commit ELSE '' END,
					retriable = $9, queued_at = $10, parked = $11
				WHERE seq = $12 AND n = $13 AND claim = $14 AND status = 'queued'`,
			args: []any{
				string(after.Status), after.Attempts, micros(after.NextAttempt), micros(c.now), after.LastError,
				after.Result, micros(after.FinishedAt), flag(doubt), flag(after.Retriable), micros(queuedAt), flag(parked), t.seq, t.n, r.claim(),
			},
			done: func(affected int64) {
				switch {
				case affected == 0:
				case kind == "":
					c.noteTask(t.seq)
				default:
					c.noteTask(t.seq, Event{Kind: kind, Status: after.Status, Target: t.Task.Target})
				}
			},
		}
	}
	return c.all(ctx, statements)
}

// together names the tasks of one update and target.
type together struct {
	seq    int64
	target string
}

// afterOutcome returns the task after an outcome, and the event to publish. spread, in
// [0, 1), parts it from others that are tried again.
func (q *Queue) afterOutcome(c claimed, o Outcome, now time.Time, spread float64) (Task, EventKind) {
	t := c.Task
	if !slices.Contains([]Status{Queued, Committed, Proposed, Unchanged, Superseded, Held, Failed, Absent}, o.Status) {
		o = Outcome{Status: Queued, Error: "internal error", Result: o.Result}
	}
	t.LastError = safetext.Line(o.Error, errorLength)
	if o.Result != nil {
		t.Result = o.Result
	}
	if o.Status == Queued && o.After > 0 {
		t.NextAttempt = now.Add(o.After + time.Duration(spread*float64(min(o.After/10, postponeJitter))))
		return t, TaskPostponed
	}
	t.Attempts++
	t.Status = o.Status
	if o.Status == Queued {
		t.NextAttempt = now.Add(attemptWaits.After(t.Attempts, spread))
		if !t.NextAttempt.After(c.queuedAt.Add(expiry)) {
			return t, TaskRetried
		}
		t.Status = Failed
	}
	t.NextAttempt, t.FinishedAt, t.Retriable = time.Time{}, now, o.Retriable
	return t, TaskEnded
}
