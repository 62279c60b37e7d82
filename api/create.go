package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// updatesRoute is where updates are posted.
const updatesRoute = "/v1/updates"

// CreateUpdate answers POST /v1/updates. There are three roads: at once, as most
// callers want it; at once but only once, for a caller who sent an
// Idempotency-Key; and through the store, for one who does not wait to the end.
func (s *server) CreateUpdate(ctx context.Context, in CreateUpdateRequestObject) (CreateUpdateResponseObject, error) {
	g := ctx.(*gin.Context)
	request, err := parseUpdate(in.Body)
	if err != nil {
		return nil, err
	}
	if err := checkNew(in.Body); err != nil {
		return nil, err
	}
	request.ID = s.newID()
	request.Caller = g.GetString(keyCaller)
	request.At = time.Now()
	note(g, slog.String("image", request.Image.String()), slog.String("version", request.Version.String()),
		slog.Bool("dry_run", request.DryRun))

	prefer, key := parsePrefer(g.Request.Header), valueOf(in.Params.IdempotencyKey)
	switch {
	case request.DryRun:
		return s.createNow(g.Request.Context(), g, request, in.Body)
	case prefer.stored:
		return s.createStored(g, request, in.Body, prefer, key)
	case key != "":
		return s.createOnce(g, request, in.Body, key)
	default:
		return s.createNow(g.Request.Context(), g, request, in.Body)
	}
}

// createNow applies the update, and answers when that has ended.
func (s *server) createNow(ctx context.Context, g *gin.Context, r update.Request, in *UpdateRequest) (answer, error) {
	note(g, slog.String("update", r.ID))
	leave := s.enter(ctx, g, &r, in)
	defer leave()
	results, err := s.apply(ctx, r)
	if err != nil {
		return answer{}, err
	}
	s.noteResults(g, results)
	body := updateOf(r, results)
	if !r.DryRun {
		s.record(g, recordOf(r, in, results, body))
	}
	if len(results) == 1 && results[0].Err != nil {
		return answer{}, &targetError{name: results[0].Place.String(), err: results[0].Err}
	}
	noteOutcome(g, string(body.Status))
	return conclude(body, retryAfterOf(results))
}

// enter gives the update its place in the order of all replicas, before anything is
// done. Without the store it is the time of its arrival. leave gives the place up,
// when the history did not take it over.
func (s *server) enter(ctx context.Context, g *gin.Context, r *update.Request, in *UpdateRequest) (leave func()) {
	places, err := s.updates.Choose(*r)
	if r.DryRun || err != nil {
		return func() {}
	}
	at, err := s.queue.Enter(ctx, toStore(*r, in, places))
	if err != nil {
		note(g, slog.String("not_ordered", err.Error()))
		return func() {}
	}
	r.At = at
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordPatience)
		defer cancel()
		_ = s.queue.Leave(ctx, r.ID) // the sweeper does it else
	}
}

// apply runs the update within the server's time limit.
func (s *server) apply(ctx context.Context, r update.Request) ([]update.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(s.interrupted, func() { end(update.ErrStopping) })()
	results, err := s.updates.Update(ctx, r)
	for i := range results {
		results[i].Err = interrupted(ctx, s.late(results[i].Err))
	}
	return results, interrupted(ctx, s.late(err))
}

// interrupted makes an update.ErrStopping of an error that Interrupt caused.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), update.ErrStopping) {
		return fmt.Errorf("%w: %w", update.ErrStopping, err)
	}
	return err
}

// late makes a timeoutError of an error that the time limit caused.
func (s *server) late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", &timeoutError{after: s.timeout}, err)
	}
	return err
}

// timeoutError says that an update took longer than it may.
type timeoutError struct {
	after time.Duration
}

// Error is a sentence for the caller.
func (e *timeoutError) Error() string {
	return fmt.Sprintf("the update did not finish within %s; nothing was written, send the request again", e.after)
}

// retryAfterOf is the longest wait that one of the results asks for.
func retryAfterOf(results []update.Result) (longest time.Duration) {
	for _, r := range results {
		if r.Err != nil {
			longest = max(longest, problemOf(r.Err).retryAfter)
		}
	}
	return longest
}

// noteResults tells the log line and the metrics how the update went.
func (s *server) noteResults(g *gin.Context, results []update.Result) {
	files, spent := 0, 0
	var commits, failed []string
	for _, r := range results {
		files += len(r.Files)
		spent += r.Spent
		if r.Commit != nil {
			commits = append(commits, string(r.Commit.SHA))
		}
		if r.Err != nil && len(results) > 1 {
			failed = append(failed, r.Place.String()+": "+r.Err.Error())
		}
		s.metrics.result(r)
	}
	s.metrics.githubPerUpdate.Observe(float64(spent))
	switch {
	case len(commits) == 1:
		note(g, slog.String("commit", commits[0]))
	case len(commits) > 1:
		note(g, slog.Any("commits", commits))
	}
	if failed != nil {
		note(g, slog.Any("failed", failed))
	}
	note(g, slog.Int("files", files), slog.Int("github_requests", spent))
}
