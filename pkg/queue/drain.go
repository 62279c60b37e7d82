package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
)

const (
	riverQueue = "versions"
	// jobAttempts is more than any job needs: a run that fails (the store was away)
	// is followed by another, and the sweeper sees to a branch without a job.
	jobAttempts = 1000
	// batchSize bounds what one call of Apply is given.
	batchSize = 500
)

// jobWaits part the runs of a job that fails because the store is away.
var jobWaits = backoff.Policy{First: 2 * time.Second, Most: 30 * time.Second}

// drainArgs is a job: look at the branch. At most one of a branch lives.
type drainArgs struct {
	Branch string `json:"branch"`
}

func (drainArgs) Kind() string { return "versions_drain" }

func (drainArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue:       riverQueue,
		MaxAttempts: jobAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}},
	}
}

// drainer works River's jobs.
type drainer struct {
	river.WorkerDefaults[drainArgs]
	q *Queue
}

func (d *drainer) Work(ctx context.Context, job *river.Job[drainArgs]) error {
	return d.q.drain(ctx, job)
}

func (d *drainer) NextRetry(job *river.Job[drainArgs]) time.Time {
	return time.Now().Add(jobWaits.After(job.Attempt, 0))
}

// run is one run of a job, in the goroutine that River gave it.
type run struct {
	q     *Queue
	job   *river.Job[drainArgs]
	claim string // marks the tasks that it applies
	// last is the latest time to begin a further call of Apply, so that it ends
	// within the run.
	last time.Time
}

// errSuccession ends a run whose job was taken for dead and given to another one.
var errSuccession = errors.New("the job was given to another run")

// drain works off a branch. Each turn but the last is followed by Apply.
func (q *Queue) drain(ctx context.Context, job *river.Job[drainArgs]) error {
	if !q.enter(job.Args.Branch) {
		return errors.New("an earlier run is still at the branch")
	}
	defer q.leave(job.Args.Branch)
	r := &run{
		q: q, job: job, claim: fmt.Sprintf("%d.%d", job.ID, job.Attempt),
		last: time.Now().Add(q.options.times.run - q.options.ApplyTimeout - runMargin/2),
	}
	var done applied
	for {
		tasks, err := r.turn(ctx, done)
		if err != nil {
			return fmt.Errorf("drain %s: %w", job.Args.Branch, err)
		}
		if len(tasks) == 0 {
			return nil
		}
		done = q.apply(ctx, job.Args.Branch, tasks)
	}
}

// enter keeps a second run of this process off a branch: the first was taken for
// dead, and its Apply has not returned.
func (q *Queue) enter(branch string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.draining[branch] {
		return false
	}
	q.draining[branch] = true
	return true
}

func (q *Queue) leave(branch string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.draining, branch)
}

// applied is what a call of Apply made of the tasks that it was given.
type applied struct {
	tasks    []claimed
	outcomes []Outcome
	// interrupted says that Stop ended the call: what is Queued was not tried.
	interrupted bool
}

// apply calls Options.Apply. What panics or miscounts has failed for all.
func (q *Queue) apply(ctx context.Context, branch string, tasks []claimed) (done applied) {
	batch := Batch{Branch: branch, Items: make([]Item, len(tasks))}
	for i, t := range tasks {
		batch.Items[i] = t.Item
	}
	done.tasks = tasks
	defer func() {
		if r := recover(); r != nil {
			q.options.Logger.ErrorContext(ctx, "applying updates panicked", slog.String("branch", branch),
				slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			done.outcomes = failure(len(tasks))
		}
		done.interrupted = q.isStopping() && ctx.Err() != nil
	}()
	limited, cancel := context.WithTimeout(ctx, q.options.ApplyTimeout)
	defer cancel()
	done.outcomes = q.options.Apply(limited, batch)
	if len(done.outcomes) != len(tasks) {
		q.options.Logger.ErrorContext(ctx, "applying updates gave a wrong number of outcomes",
			slog.String("branch", branch), slog.Int("tasks", len(tasks)), slog.Int("outcomes", len(done.outcomes)))
		done.outcomes = failure(len(tasks))
	}
	return done
}

func failure(n int) []Outcome {
	return slices.Repeat([]Outcome{{Status: Queued, Error: "internal error"}}, n)
}

// turnWaits part the tries of a turn while the store is away.
var turnWaits = backoff.Policy{First: 100 * time.Millisecond, Most: 2 * time.Second}

// turn settles what was applied and takes the next tasks; that there are none
// says that the job is completed. When the store is away it is tried as long as
// the run lasts: what was applied would be applied again else.
func (r *run) turn(ctx context.Context, done applied) ([]claimed, error) {
	for tries := 1; ; tries++ {
		over := r.q.isStopping() || ctx.Err() != nil || len(done.tasks) > 0 && time.Now().After(r.last)
		var (
			tasks []claimed
			mine  bool
		)
		// A run that is told to end hands its tasks back nevertheless.
		err := r.q.write(context.WithoutCancel(ctx), func(ctx context.Context, c *change) (err error) {
			tasks, mine, err = r.step(ctx, c, done, over)
			return err
		})
		if err == nil && !mine {
			return nil, errSuccession
		}
		if err == nil || len(done.tasks) == 0 {
			return tasks, err
		}
		if backoff.Sleep(ctx, turnWaits.After(tries, 0)) != nil {
			return nil, err
		}
	}
}

// step is a turn's transaction. A run that is over takes nothing more. mine is
// false when the job is another run's by now; then only what was applied counts.
func (r *run) step(ctx context.Context, c *change, done applied, over bool) (tasks []claimed, mine bool, err error) {
	branch := r.job.Args.Branch
	if err := c.lock(ctx, []string{branchLock(branch)}); err != nil {
		return nil, false, err
	}
	if err := r.settle(ctx, c, done); err != nil {
		return nil, false, err
	}
	var attempt int
	if mine, err = one(ctx, c, []any{&attempt}, `
		SELECT attempt FROM river_job WHERE id = $1 AND attempt = $2 AND state = 'running'`,
		r.job.ID, r.job.Attempt); err != nil || !mine {
		return nil, false, err
	}
	if err := c.prune(ctx, branch); err != nil {
		return nil, false, err
	}
	if !over {
		if tasks, err = r.take(ctx, c); err != nil || len(tasks) > 0 {
			return tasks, true, err
		}
	}
	return nil, true, r.finish(ctx, c)
}

// finish completes the job. When tasks are left, they get a new one, at the time
// of the first that is due. It completes first and looks then: who stores a task
// after that look finds no live job and inserts one.
func (r *run) finish(ctx context.Context, c *change) error {
	if err := c.complete(ctx, r.job); err != nil {
		return err
	}
	var next int64
	if _, err := one(ctx, c, []any{&next}, `
		SELECT coalesce(min(next_at), 0) FROM versions_task WHERE branch = $1 AND status = 'queued'`,
		r.job.Args.Branch); err != nil || next == 0 {
		return err
	}
	var at time.Time
	if wait := fromMicros(next).Sub(c.now); wait > 0 {
		at = time.Now().Add(wait)
	}
	_, err := c.insert(ctx, r.job.Args.Branch, at)
	return err
}
