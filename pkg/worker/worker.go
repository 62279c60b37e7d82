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

const (
	// limitWait is how long to wait for a rate limit of GitHub that has no end time.
	limitWait = time.Minute
	// frozenWait is how long a task waits for a target that is frozen, before it is
	// looked at again. A freeze that ends sooner is waited for alone.
	frozenWait = time.Hour
	// pushPatience is how long an image that its registry does not have is waited for,
	// since a build may ask before its push has ended, and pushWait how long until the
	// registry is asked again.
	pushPatience = 5 * time.Minute
	pushWait     = 15 * time.Second
)

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

// applyTo fills in the outcomes of those items that are the target's. Those of one update
// are one request.
func (w *Worker) applyTo(ctx context.Context, target string, items []queue.Item, members []int, outcomes []queue.Outcome) {
	start := time.Now()
	var requests []update.Request
	var of [][]int // the items of each request, in the order of its images
	for _, same := range byUpdate(items, members) {
		r, same, err := requestOf(items, same)
		if err != nil { // another version of this program wrote it
			for _, i := range same {
				outcomes[i] = queue.Outcome{Status: queue.Failed, Error: safetext.Line(err.Error(), maxReason)}
			}
			continue
		}
		requests, of = append(requests, r), append(of, same)
	}
	if len(requests) == 0 {
		return
	}
	for n, result := range w.updates.Apply(ctx, target, requests) {
		first := items[of[n][0]]
		if result.Repo.IsZero() { // the target is none any more
			result.Place = placeBefore(first.Task, result.Place)
		}
		ends := outcomesOf(result, requests[n].Images, first.Task.Result, start)
		for k, i := range of[n] {
			outcomes[i] = ends[k]
		}
		w.audit(ctx, first, result)
		w.logTried(ctx, first, requests[n].Images, result, ends[0], time.Since(start))
	}
}

// byUpdate parts some of the items by their update, in the order of the first of each.
func byUpdate(items []queue.Item, members []int) [][]int {
	at := map[string]int{}
	var parts [][]int
	for _, i := range members {
		id := items[i].Update.ID
		n, ok := at[id]
		if !ok {
			n = len(parts)
			at[id] = n
			parts = append(parts, nil)
		}
		parts[n] = append(parts[n], i)
	}
	return parts
}

// requestOf returns the request of those items, which are one update's, and the items in
// the order of its images.
func requestOf(items []queue.Item, same []int) (update.Request, []int, error) {
	at := map[string]int{}
	var images []string
	for _, i := range same {
		image := cmp.Or(items[i].Task.Image, items[i].Update.Image)
		at[image] = i
		images = append(images, image)
	}
	first := items[same[0]]
	r, err := request(first.Update, images)
	if err != nil {
		return update.Request{}, same, err
	}
	r.At, r.Sent, r.Retried = first.Place, github.SHA(first.Sent), first.Task.Retriable
	ordered := make([]int, len(r.Images))
	for n, m := range r.Images {
		ordered[n] = at[m.Repository.Name()]
	}
	return r, ordered, nil
}

// placeBefore is where the task's target was when the task was stored.
func placeBefore(task queue.Task, unknown update.Place) update.Place {
	before, err := update.DecodeResult(task.Result)
	if err != nil {
		return unknown
	}
	return before.Place
}

// outcomesOf returns the outcomes of the tasks for these images from their result, which
// is kept with the first of those that came to it.
func outcomesOf(r update.Result, images []update.Image, before []byte, now time.Time) []queue.Outcome {
	outcomes := make([]queue.Outcome, len(images))
	o := outcome(r, before, now)
	kept := false
	for i, m := range images {
		if r.Err != nil {
			outcomes[i] = o
			continue
		}
		outcomes[i].Status = statusOf(r.StatusOf(m))
		if outcomes[i].Status == o.Status && !kept {
			outcomes[i] = o
			kept = true
			continue
		}
		outcomes[i].Retriable = o.Retriable && outcomes[i].Status == queue.Unchanged
		outcomes[i].Result = update.EncodeResult(update.Result{Place: r.Place, Status: r.StatusOf(m)})
	}
	return outcomes
}

// outcome returns the outcome of a task from its result now and the one before.
func outcome(r update.Result, before []byte, now time.Time) queue.Outcome {
	failure, failed := r.Failure()
	if failed && failure.Code == update.CodeImageNotFound {
		r, failure = r.Since(missingSince(before, now))
	}
	o := queue.Outcome{Result: update.EncodeResult(r)}
	if !failed {
		o.Status, o.Retriable = statusOf(r.Status), r.Reason == update.PullRequestClosed
		return o
	}
	o.Error, o.InDoubt = safetext.Line(failure.Detail, maxReason), failure.InDoubt
	switch {
	case failure.Absent:
		o.Status = queue.Absent
	case failure.Code == update.CodeTargetFrozen:
		o.Status, o.After, o.Parked = queue.Queued, frozenWait, true
		if failure.RetryAfter > 0 {
			o.After = min(o.After, failure.RetryAfter)
		}
	case failure.Code == update.CodeImageNotFound && now.Sub(failure.Since) < pushPatience:
		o.Status, o.After = queue.Queued, pushWait
	case failure.Code == update.CodeImageNotFound:
		o.Status = queue.Failed
	case failure.Code == update.CodeUpstreamRateLimited:
		o.Status, o.After = queue.Queued, cmp.Or(failure.RetryAfter, limitWait)
	case failure.Code.Passing():
		o.Status = queue.Queued
	default:
		o.Status = queue.Failed
	}
	return o
}

// missingSince returns since when an image has been missing in its registry: since now,
// unless the result before says the same and is of the last tries. It is not when the
// update is tried again after it failed.
func missingSince(before []byte, now time.Time) time.Time {
	r, err := update.DecodeResult(before)
	if err != nil {
		return now
	}
	if failure, failed := r.Failure(); failed && failure.Code == update.CodeImageNotFound && now.Sub(failure.Since) < pushPatience+2*pushWait {
		return failure.Since
	}
	return now
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
	case update.Proposed:
		return queue.Proposed
	case "":
		return queue.Absent
	default:
		return queue.Unchanged
	}
}

// audit logs what the target, or a rule by what the branch holds, decided against a stored
// update. All else was decided before it was stored.
func (w *Worker) audit(ctx context.Context, item queue.Item, r update.Result) {
	for _, d := range r.Refusals() {
		w.log.LogAttrs(ctx, slog.LevelInfo, "audit",
			slog.String("update", item.Update.ID), slog.String("caller", item.Update.Caller), slog.String("rule", d.Rule),
			slog.String("target", item.Task.Target), slog.String("image", d.Image.Repository.Name()), slog.String("version", d.Image.Version.String()),
			slog.String("outcome", d.Outcome()), slog.Any("reasons", d.Reasons),
		)
	}
}

// logTried writes the log record of one attempt.
func (w *Worker) logTried(ctx context.Context, item queue.Item, images []update.Image, r update.Result, o queue.Outcome, d time.Duration) {
	attempts := item.Task.Attempts
	if postponed := o.Status == queue.Queued && o.After > 0; !postponed {
		attempts++
	}
	attrs := []slog.Attr{
		slog.String("update", item.Update.ID),
		slog.String("image", images[0].Repository.Name()),
		slog.String("version", images[0].Version.String()),
		slog.Int("images", len(images)),
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
	attrs = append(attrs, PullAttrs(r)...)
	level := slog.LevelInfo
	if o.Parked && item.Task.LastError != "" {
		level = slog.LevelDebug // it was said when the task was parked
	}
	if r.Err != nil {
		attrs = append(attrs, update.ErrorAttrs(r.Err)...)
		if o.Status == queue.Failed {
			level = slog.LevelError
		}
	}
	w.log.LogAttrs(ctx, level, "stored update", attrs...)
}

// PullAttrs are what the log says of the pull request of a result.
func PullAttrs(r update.Result) (attrs []slog.Attr) {
	if r.Status == update.Proposed && r.Pull != nil {
		attrs = append(attrs, slog.String("pull_request", r.Pull.URL))
	}
	if len(r.Refused) > 0 {
		attrs = append(attrs, slog.Any("refused", r.Refused))
	}
	if r.MergeError != "" {
		attrs = append(attrs, slog.String("merge_error", r.MergeError))
	}
	return attrs
}
