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
	q   *Queue
	job *river.Job[drainArgs]
	// alone says that the run applies a suspect, and nothing else of this process
	// is applied meanwhile.
	alone bool
	// last is the latest time to begin a further call of Apply, so that it ends
	// within the run.
	last time.Time
}

// errSuccession ends a run whose job was taken for dead and given to another one.
var errSuccession = errors.New("the job was given to another run")

// claim marks the tasks that the run applies.
func (r *run) claim() string { return fmt.Sprintf("%d.%d", r.job.ID, r.job.Attempt) }

// drain works off a branch. Each step but the last is followed by Apply.
func (q *Queue) drain(ctx context.Context, job *river.Job[drainArgs]) error {
	r := &run{q: q, job: job, last: time.Now().Add(q.options.times.run - q.options.ApplyTimeout - runMargin/2)}
	if !q.beginRun(job.Args.Branch, r.claim()) {
		return errors.New("an earlier run is still at the branch")
	}
	defer q.endRun(job.Args.Branch)
	leave, err := q.gate(ctx, false)
	if err != nil {
		return err
	}
	defer func() { leave() }()
	var done applied
	for {
		next, err := r.step(ctx, done)
		if err != nil {
			return fmt.Errorf("drain %s: %w", job.Args.Branch, err)
		}
		switch {
		case len(next.tasks) > 0:
			done = q.apply(ctx, job.Args.Branch, next.tasks)
		case next.turn:
			done = applied{}
			leave()
			leave = func() {}
			r.alone = !r.alone
			if leave, err = q.gate(ctx, r.alone); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// gate lets runs apply side by side, and one with a suspect alone. leave opens it again.
func (q *Queue) gate(ctx context.Context, alone bool) (leave func(), err error) {
	var weight int64 = 1
	if alone {
		weight = branchesAtOnce
	}
	if err := q.applying.Acquire(ctx, weight); err != nil {
		return func() {}, fmt.Errorf("wait for what is being applied: %w", err)
	}
	return func() { q.applying.Release(weight) }, nil
}

// beginRun keeps a second run of this process off a branch: the first was taken
// for dead, and its Apply has not returned.
func (q *Queue) beginRun(branch, claim string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.draining[branch]; ok {
		return false
	}
	q.draining[branch] = claim
	return true
}

// claimOf is the claim of this process's run at a branch, "" when there is none.
func (q *Queue) claimOf(branch string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.draining[branch]
}

func (q *Queue) endRun(branch string) {
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

// apply calls Apply. What panics or miscounts has failed for all.
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
	done.outcomes = q.work(limited, batch)
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

// stepWaits part the tries of a step while the store is away.
var stepWaits = backoff.Policy{First: 100 * time.Millisecond, Most: 2 * time.Second}

// work is what a step found to do.
type work struct {
	tasks []claimed
	// turn says that there are none of the run's kind, but some of the other: those
	// to be applied alone after the rest, or the other way round. With neither tasks
	// nor turn the job is completed.
	turn bool
}

// step stores what was applied and claims the next tasks. When the store is away it
// is tried as long as the run lasts: what was applied would be applied again else.
func (r *run) step(ctx context.Context, done applied) (work, error) {
	for tries := 1; ; tries++ {
		over := r.q.isStopping() || ctx.Err() != nil || len(done.tasks) > 0 && time.Now().After(r.last)
		var (
			next work
			mine bool
		)
		// A run that is told to end hands its tasks back nevertheless.
		err := r.q.write(context.WithoutCancel(ctx), func(ctx context.Context, c *change) (err error) {
			next, mine, err = r.stepIn(ctx, c, done, over)
			return err
		})
		if err == nil && !mine {
			return work{}, errSuccession
		}
		if err == nil || len(done.tasks) == 0 {
			return next, err
		}
		if backoff.Sleep(ctx, stepWaits.After(tries, 0)) != nil {
			return work{}, err
		}
	}
}

// stepIn is a step's transaction. A run that is over claims nothing more. mine is
// false when the job is another run's by now; then only what was applied counts.
func (r *run) stepIn(ctx context.Context, c *change, done applied, over bool) (next work, mine bool, err error) {
	branch := r.job.Args.Branch
	if err := c.lock(ctx, []string{branchLock(branch)}); err != nil {
		return work{}, false, err
	}
	if err := r.storeOutcomes(ctx, c, done); err != nil {
		return work{}, false, err
	}
	var attempt int
	if mine, err = one(ctx, c, []any{&attempt}, `
		SELECT attempt FROM river_job WHERE id = $1 AND attempt = $2 AND state = 'running'`,
		r.job.ID, r.job.Attempt); err != nil || !mine {
		return work{}, false, err
	}
	if err := c.supersedeReplaced(ctx, branch); err != nil {
		return work{}, false, err
	}
	if err := r.failSuspects(ctx, c); err != nil {
		return work{}, false, err
	}
	if over {
		return work{}, true, r.finish(ctx, c)
	}
	if next.tasks, err = r.claimTasks(ctx, c); err != nil || len(next.tasks) > 0 {
		return next, true, err
	}
	if next.turn, err = r.othersDue(ctx, c); err != nil || next.turn {
		return next, true, err
	}
	return work{}, true, r.finish(ctx, c)
}

// finish completes the job. When tasks are left, they get a new one, at the time
// of the first that is due. It completes first and looks then: who stores a task
// after that look finds no live job and inserts one.
func (r *run) finish(ctx context.Context, c *change) error {
	if err := c.complete(ctx, r.job); err != nil {
		return err
	}
	var waiting, next int64
	if _, err := one(ctx, c, []any{&waiting, &next}, `
		SELECT count(*), coalesce(min(CASE WHEN set_at > $2 THEN 0 ELSE next_at END), 0)
		FROM versions_task WHERE branch = $1 AND status = 'queued'`,
		r.job.Args.Branch, micros(c.now.Add(clockSlack))); err != nil || waiting == 0 {
		return err
	}
	var at time.Time
	if wait := fromMicros(next).Sub(c.now); next > 0 && wait > 0 {
		at = time.Now().Add(wait)
	}
	_, err := c.insert(ctx, []string{r.job.Args.Branch}, at)
	return err
}
