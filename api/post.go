package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// updatesRoute is where updates are posted.
const updatesRoute = "/v1/updates"

// CreateUpdate answers POST /v1/updates in one of three ways: without either header
// it carries the update out and answers; with an Idempotency-Key alone it does so
// once for each key; with Prefer it stores the update.
func (s *server) CreateUpdate(ctx context.Context, in CreateUpdateRequestObject) (CreateUpdateResponseObject, error) {
	g := ginContext(ctx)
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
	if err := vouch(principalOf(g), &request); err != nil {
		return nil, err
	}
	noteRequest(g, request)
	if err := s.permit(g, &request); err != nil {
		return nil, err
	}

	prefer, key := parsePrefer(g.Request.Header), valueOf(in.Params.IdempotencyKey)
	switch {
	case request.DryRun:
		return s.createNow(g.Request.Context(), g, request)
	case prefer.stored:
		return s.createStored(g, request, in.Body, prefer, key)
	case key != "":
		return s.once(g, keyOf(identityOf(g), key, in.Body), func(ctx context.Context) (response, error) {
			return s.createNow(ctx, g, request)
		})
	default:
		return s.createNow(g.Request.Context(), g, request)
	}
}

// createNow carries the update out, and answers with the outcome.
func (s *server) createNow(ctx context.Context, g *gin.Context, r update.Request) (response, error) {
	note(g, slog.String("update", r.ID))
	leave := s.enter(ctx, g, &r)
	defer leave()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(s.interrupted, func() { end(update.ErrStopping) })()
	results, err := s.updates.Update(ctx, r)
	s.settle(g, r, results)
	if err != nil {
		return response{}, err
	}
	noteResults(g, results)
	s.auditResults(g, results)
	if !r.DryRun {
		s.record(g, worker.Ended(r, results))
	}
	if failure, failed := results[0].Failure(); failed && len(results) == 1 {
		return response{}, &failedError{failure: failure, place: results[0].Place, err: results[0].Err}
	}
	body := viewOf(r, results)
	noteOutcome(g, string(body.Status))
	return conclude(body, stand(results), retryAfterOf(results))
}

// enter gives the update its place in the order of all replicas, before it is
// planned; while the store is away the place is its time of arrival. leave gives the
// place up unless the history has taken it over.
func (s *server) enter(ctx context.Context, g *gin.Context, r *update.Request) (leave func()) {
	u, err := s.worker.FromRequest(*r)
	if r.DryRun || err != nil {
		return func() {}
	}
	at, err := s.queue.Enter(ctx, u)
	if err != nil {
		note(g, slog.String("not_ordered", err.Error()))
		return func() {}
	}
	r.At = at
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordPatience)
		defer cancel()
		_ = s.queue.Leave(ctx, r.ID) // the sweeper does it otherwise
	}
}

// noteRequest adds what is asked for to the log line.
func noteRequest(g *gin.Context, r update.Request) {
	if len(r.Images) == 1 {
		note(g, slog.String("image", r.Images[0].Repository.String()), slog.String("version", r.Images[0].Version.String()))
	} else {
		images := make([]string, len(r.Images))
		for i, m := range r.Images {
			images[i] = m.String()
		}
		note(g, slog.Any("images", images))
	}
	note(g, slog.Bool("dry_run", r.DryRun))
}

// retryAfterOf returns the longest wait that any of the results asks for.
func retryAfterOf(results []update.Result) (longest time.Duration) {
	for _, r := range results {
		if failure, failed := r.Failure(); failed {
			longest = max(longest, failure.RetryAfter)
		}
	}
	return longest
}

// noteResults adds the update's outcome to the log line.
func noteResults(g *gin.Context, results []update.Result) {
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
	}
	switch {
	case len(commits) == 1:
		note(g, slog.String("commit", commits[0]))
	case len(commits) > 1:
		note(g, slog.Any("commits", commits))
	}
	for _, r := range results {
		note(g, worker.PullAttrs(r)...)
	}
	if failed != nil {
		note(g, slog.Any("failed", failed))
	}
	note(g, slog.Int("files", files), slog.Int("github_requests", spent))
}
