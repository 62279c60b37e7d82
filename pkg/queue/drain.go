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
	// jobAttempts is more than any job needs: a run that fails because the store is
	// unavailable is repeated, and the sweeper inserts a job for a branch without one.
	jobAttempts = 1000
	// batchSize bounds the items of one Batch.
	batchSize = 500
)

// jobWaits is the back-off between runs of a job while the store is unavailable.
var jobWaits = backoff.Policy{First: 2 * time.Second, Most: 30 * time.Second}

// drainArgs are the arguments of a job: the branch whose tasks it applies. At most one
// unfinished job exists per branch.
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

// run is one attempt at a job. It is used by the goroutine that River runs it in.
type run struct {
	q   *Queue
	job *river.Job[drainArgs]
	// alone means that the run applies suspects, while this process applies nothing else.
	alone bool
	// last is the latest time at which a call of Apply may begin and still end within
	// the run.
	last time.Time
}

// errSuccession ends a run that River presumed dead and replaced by another.
var errSuccession = errors.New("the job was given to another run")

// claim returns the mark of the tasks that the run applies.
func (r *run) claim() string { return fmt.Sprintf("%d.%d", r.job.ID, r.job.Attempt) }

// drain applies the tasks of a branch until none is due.
func (q *Queue) drain(ctx context.Context, job *river.Job[drainArgs]) error {
	r := &run{q: q, job: job, last: time.Now().Add(q.options.times.run - q.options.ApplyTimeout - runMargin/2)}
	if !q.beginRun(job.Args.Branch, r.claim()) {
		return errors.New("an earlier run still works on the branch")
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
			done = q.callApply(ctx, job.Args.Branch, next.tasks)
		case next.otherKind:
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

// gate waits until the run may call Apply: normal runs share the gate, and a run with
// suspects has it alone. leave must be called once.
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

// beginRun reports whether the run may work on the branch. It may not while an earlier
// run of this process, which River presumed dead, is still in Apply.
func (q *Queue) beginRun(branch, claim string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.draining[branch]; ok {
		return false
	}
	q.draining[branch] = claim
	return true
}

// claimOf returns the claim of this process's run on a branch, "" when there is none.
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

// applied holds the tasks of one call of Apply and their outcomes.
type applied struct {
	tasks    []claimed
	outcomes []Outcome
	// interrupted means that Stop ended the call: the tasks that are still Queued were
	// not attempted.
	interrupted bool
}

// callApply calls Apply. When it panics or returns a wrong number of outcomes, all tasks
// count as failed attempts.
func (q *Queue) callApply(ctx context.Context, branch string, tasks []claimed) (done applied) {
	batch := Batch{Branch: branch, Items: make([]Item, len(tasks))}
	for i, t := range tasks {
		batch.Items[i] = t.Item
	}
	done.tasks = tasks
	defer func() {
		if r := recover(); r != nil {
			q.options.Logger.ErrorContext(ctx, "Apply panicked", slog.String("branch", branch),
				slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			done.outcomes = failedOutcomes(len(tasks))
		}
		done.interrupted = q.isStopping() && ctx.Err() != nil
	}()
	limited, cancel := context.WithTimeout(ctx, q.options.ApplyTimeout)
	defer cancel()
	done.outcomes = q.apply(limited, batch)
	if len(done.outcomes) != len(tasks) {
		q.options.Logger.ErrorContext(ctx, "Apply returned a wrong number of outcomes",
			slog.String("branch", branch), slog.Int("tasks", len(tasks)), slog.Int("outcomes", len(done.outcomes)))
		done.outcomes = failedOutcomes(len(tasks))
	}
	return done
}

// failedOutcomes returns n failed attempts.
func failedOutcomes(n int) []Outcome {
	return slices.Repeat([]Outcome{{Status: Queued, Error: "internal error"}}, n)
}

// stepWaits is the back-off between attempts at a step while the store is unavailable.
var stepWaits = backoff.Policy{First: 100 * time.Millisecond, Most: 2 * time.Second}

// claims is what a step claimed.
type claims struct {
	tasks []claimed
	// otherKind means that no task of the run's kind is due, but some of the other are:
	// suspects, which are applied alone, or the rest. With neither tasks nor otherKind
	// the job is complete.
	otherKind bool
}

// step stores the outcomes of done and claims the next tasks. While the store is
// unavailable it retries for as long as the run lasts, because tasks whose outcome is
// not stored are applied again.
func (r *run) step(ctx context.Context, done applied) (claims, error) {
	for tries := 1; ; tries++ {
		over := r.q.isStopping() || ctx.Err() != nil || len(done.tasks) > 0 && time.Now().After(r.last)
		var (
			next claims
			mine bool
		)
		// A run that is cancelled still hands its tasks back.
		err := r.q.write(context.WithoutCancel(ctx), func(ctx context.Context, c *change) (err error) {
			next, mine, err = r.stepIn(ctx, c, done, over)
			return err
		})
		if err == nil && !mine {
			return claims{}, errSuccession
		}
		if err == nil || len(done.tasks) == 0 {
			return next, err
		}
		if backoff.Sleep(ctx, stepWaits.After(tries, 0)) != nil {
			return claims{}, err
		}
	}
}

// stepIn is the transaction of a step. A run that is over claims nothing more. mine
// reports whether the job still belongs to this run; if not, only the outcomes are stored.
func (r *run) stepIn(ctx context.Context, c *change, done applied, over bool) (next claims, mine bool, err error) {
	branch := r.job.Args.Branch
	if err := c.lock(ctx, []string{branchLock(branch)}); err != nil {
		return claims{}, false, err
	}
	if err := r.storeOutcomes(ctx, c, done); err != nil {
		return claims{}, false, err
	}
	var attempt int
	if mine, err = one(ctx, c, []any{&attempt}, `
		SELECT attempt FROM river_job WHERE id = $1 AND attempt = $2 AND state = 'running'`,
		r.job.ID, r.job.Attempt); err != nil || !mine {
		return claims{}, false, err
	}
	if err := c.supersedeReplaced(ctx, branch); err != nil {
		return claims{}, false, err
	}
	if err := r.failSuspects(ctx, c); err != nil {
		return claims{}, false, err
	}
	if over {
		return claims{}, true, r.completeJob(ctx, c)
	}
	if next.tasks, err = r.claimTasks(ctx, c); err != nil || len(next.tasks) > 0 {
		return next, true, err
	}
	if next.otherKind, err = r.othersDue(ctx, c); err != nil || next.otherKind {
		return next, true, err
	}
	return claims{}, true, r.completeJob(ctx, c)
}

// completeJob completes the job. When tasks are left, it inserts a new job for the time
// at which the first is due. It completes the job before it looks for tasks: whoever
// stores a task after that finds no unfinished job and inserts one.
func (r *run) completeJob(ctx context.Context, c *change) error {
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
