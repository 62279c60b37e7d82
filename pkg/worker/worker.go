package worker

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// limitWait is how long to wait for a rate limit of GitHub that has no end time.
const limitWait = time.Minute

// Updates is the use case. *update.Service implements it. It is safe for concurrent use.
type Updates interface {
	// Choose returns the targets that a request goes to.
	Choose(r update.Request) ([]update.Choice, error)
	// Apply carries out requests on one target, by its id, and returns a result for each.
	Apply(ctx context.Context, target string, requests []update.Request) []update.Result
}

// Worker carries out stored updates. It is safe for concurrent use.
type Worker struct {
	updates Updates
	log     *slog.Logger
}

// New returns a Worker that writes one log record for each attempt at a stored update.
func New(updates Updates, log *slog.Logger) *Worker {
	return &Worker{updates: updates, log: log}
}

// Apply carries out the due tasks of a branch, those of one target together. It is a
// queue.Apply.
func (w *Worker) Apply(ctx context.Context, batch queue.Batch) []queue.Outcome {
	outcomes := make([]queue.Outcome, len(batch.Items))
	members := map[string][]int{} // of each target
	var targets []string          // in the order of their first member
	for i, item := range batch.Items {
		target := item.Task.Target
		if members[target] == nil {
			targets = append(targets, target)
		}
		members[target] = append(members[target], i)
	}
	for _, target := range targets {
		w.applyTo(ctx, target, batch.Items, members[target], outcomes)
	}
	return outcomes
}

// applyTo fills in the outcomes of those items that are the target's.
func (w *Worker) applyTo(ctx context.Context, target string, items []queue.Item, members []int, outcomes []queue.Outcome) {
	start := time.Now()
	var requests []update.Request
	var readable []int
	for _, i := range members {
		r, err := request(items[i].Update)
		if err != nil { // another version of this program wrote it
			outcomes[i] = queue.Outcome{Status: queue.Failed, Error: safetext.Line(err.Error(), maxReason)}
			continue
		}
		r.At, r.Sent = items[i].Place, github.SHA(items[i].Sent)
		requests = append(requests, r)
		readable = append(readable, i)
	}
	if len(requests) == 0 {
		return
	}
	results := w.updates.Apply(ctx, target, requests)
	for n, i := range readable {
		result := results[n]
		if result.Repo.IsZero() { // the target is none any more
			result.Place = placeBefore(items[i].Task, result.Place)
		}
		outcomes[i] = outcome(result)
		w.logTried(ctx, items[i], result, outcomes[i], time.Since(start))
	}
}

// placeBefore is where the task's target was when the task was stored.
func placeBefore(task queue.Task, unknown update.Place) update.Place {
	before, err := update.DecodeResult(task.Result)
	if err != nil {
		return unknown
	}
	return before.Place
}

// outcome returns the outcome of a task from its result.
func outcome(r update.Result) queue.Outcome {
	o := queue.Outcome{Result: update.EncodeResult(r)}
	failure, failed := r.Failure()
	if !failed {
		o.Status = statusOf(r.Status)
		return o
	}
	o.Error, o.InDoubt = safetext.Line(failure.Detail, maxReason), failure.InDoubt
	switch {
	case failure.Absent:
		o.Status = queue.Absent
	case failure.Code == update.CodeUpstreamRateLimited:
		o.Status, o.After = queue.Queued, cmp.Or(failure.RetryAfter, limitWait)
	case failure.Code.Passing():
		o.Status = queue.Queued
	default:
		o.Status = queue.Failed
	}
	return o
}

// statusOf returns the status in the queue of a request that succeeded.
func statusOf(s update.Status) queue.Status {
	switch s {
	case update.Committed:
		return queue.Committed
	case update.Held:
		return queue.Held
	case update.Superseded:
		return queue.Superseded
	default:
		return queue.Unchanged
	}
}

// logTried writes the log record of one attempt.
func (w *Worker) logTried(ctx context.Context, item queue.Item, r update.Result, o queue.Outcome, d time.Duration) {
	attempts := item.Task.Attempts
	if postponed := o.Status == queue.Queued && o.After > 0; !postponed {
		attempts++
	}
	attrs := []slog.Attr{
		slog.String("update", item.Update.ID),
		slog.String("image", item.Update.Image),
		slog.String("version", item.Update.Version),
		slog.String("target", item.Task.Target),
		slog.String("outcome", string(o.Status)),
		slog.Int("attempts", attempts),
		slog.Int("files", len(r.Files)),
		slog.Int("github_requests", r.Spent),
		slog.Duration("duration", d),
	}
	if r.Commit != nil {
		attrs = append(attrs, slog.String("commit", string(r.Commit.SHA)))
	}
	if o.After > 0 {
		attrs = append(attrs, slog.Duration("after", o.After))
	}
	level := slog.LevelInfo
	if r.Err != nil {
		attrs = append(attrs, update.ErrorAttrs(r.Err)...)
		if o.Status == queue.Failed {
			level = slog.LevelError
		}
	}
	w.log.LogAttrs(ctx, level, "stored update", attrs...)
}
