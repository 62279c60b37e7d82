package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// Apply carries out stored updates of one branch: those of one target together.
// It is a queue.Apply.
func (s *Server) Apply(ctx context.Context, batch queue.Batch) []queue.Outcome {
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
		s.handlers.applyTo(ctx, target, batch.Items, members[target], outcomes)
	}
	return outcomes
}

// applyTo fills in the outcomes of those items that are the target's.
func (s *server) applyTo(ctx context.Context, target string, items []queue.Item, members []int, outcomes []queue.Outcome) {
	start := time.Now()
	var requests []update.Request
	var readable []int
	for _, i := range members {
		r, err := requestOf(items[i].Update)
		if err != nil { // it was written by a version whose requests are not understood any more
			outcomes[i] = queue.Outcome{Status: queue.Failed, Error: oneLine(err.Error())}
			continue
		}
		r.At, r.Sent = items[i].Place, github.SHA(items[i].Sent)
		requests = append(requests, r)
		readable = append(readable, i)
	}
	if len(requests) == 0 {
		return
	}
	results := s.updates.Apply(ctx, target, requests)
	spent := 0
	for n, i := range readable {
		results[n].Err = s.late(results[n].Err)
		outcomes[i] = outcome(results[n])
		if results[n].Repo.IsZero() { // the target is none any more
			outcomes[i].Result = stillAt(items[i].Task, outcomes[i].Result)
		}
		spent = max(spent, results[n].Spent)
		s.logApplied(ctx, items[i], results[n], outcomes[i], time.Since(start))
	}
	s.metrics.githubPerUpdate.Observe(float64(spent))
}

// stillAt puts the place that the task's target had into a result that has none.
func stillAt(task queue.Task, result []byte) []byte {
	var before, now TargetUpdate
	if json.Unmarshal(task.Result, &before) != nil || json.Unmarshal(result, &now) != nil {
		return result
	}
	now.Name, now.Repository, now.Branch = before.Name, before.Repository, before.Branch
	return encode(now)
}

// outcome says what a result means for a stored update.
func outcome(r update.Result) queue.Outcome {
	target := targetUpdate(r)
	if r.Err == nil {
		return queue.Outcome{Status: queue.Status(r.Status), Result: encode(target)}
	}
	p := problemOf(r.Err)
	if p.code == ProblemCodeInternal {
		target.Problem.Detail = "the service failed; its log has more under the id of this update"
	}
	o := queue.Outcome{Status: queue.Failed, Error: oneLine(target.Problem.Detail)}
	var (
		foreign *update.NoTargetError
		doubt   *github.UnknownOutcomeError
	)
	o.InDoubt = errors.As(r.Err, &doubt)
	switch {
	case p.code == ProblemCodeImageNotReferenced, errors.As(r.Err, &foreign) && foreign.Target == "":
		o.Status = queue.Absent
	case p.code == ProblemCodeUpstreamRateLimited:
		o.Status = queue.Queued
		o.After = cmp.Or(p.retryAfter, time.Minute)
	case p.again():
		o.Status = queue.Queued
	}
	target.Status = Status(o.Status)
	o.Result = encode(target)
	return o
}

// logApplied writes the line of one stored update that was tried.
func (s *server) logApplied(ctx context.Context, item queue.Item, r update.Result, o queue.Outcome, d time.Duration) {
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
		attrs = append(attrs, errorAttrs(r.Err)...)
		if o.Status == queue.Failed {
			level = slog.LevelError
		}
	}
	s.logger.LogAttrs(ctx, level, "stored update", bounded(attrs)...)
	s.metrics.result(r)
}

// maxOutcome is how many bytes of an error a stored update keeps.
const maxOutcome = 1000

// oneLine is a text fit for a line of its own.
func oneLine(s string) string { return safetext.Line(s, maxOutcome) }
