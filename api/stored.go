package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// recordPatience is how long an answer that is certain waits for its place in
// the history.
const recordPatience = 500 * time.Millisecond

// errStore is what a caller gets to hear when the store does not answer.
var errStore = errors.New("the store does not answer now; nothing was written, send the request again")

// errStoreUnknown is what a caller gets to hear when the store went away with the
// answer.
var errStoreUnknown = errors.New("the store went away before it told whether it took the update; send the request again: what is stored is not stored twice with an Idempotency-Key, or by a webhook")

// storeError tells the caller of errStore and the log of the cause.
type storeError struct {
	cause error
}

// Error is for the log.
func (e *storeError) Error() string { return "store: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *storeError) Unwrap() error { return e.cause }

// createStored stores the update and answers with where to ask for it, or with
// its end when that comes within the time that the caller would wait.
func (s *server) createStored(g *gin.Context, r update.Request, in *UpdateRequest, p prefer, key string) (answer, error) {
	stored, err := s.worker.FromRequest(r)
	if err != nil {
		return answer{}, err
	}
	queued, err := queuedAnswer(stored)
	if err != nil {
		return answer{}, err
	}
	wait := min(p.wait, s.timeout)
	queued.applied = p.applied(wait)
	var idempotency *queue.Key
	if key != "" {
		idempotency = keyOf(r.Caller, key, in)
		idempotency.Answer = queued.keep()
	}
	var again *queue.AnsweredError
	switch _, err := s.queue.Accept(g.Request.Context(), []queue.Update{stored}, idempotency); {
	case errors.As(err, &again):
		noteOutcome(g, outcomeReplayed)
		return kept(again.Answer), nil
	case err != nil:
		return answer{}, asStoreError(err)
	}
	note(g, slog.String("update", r.ID))
	ended, ok := s.await(g.Request.Context(), r.ID, wait)
	if !ok {
		noteOutcome(g, string(StatusQueued))
		return queued, nil
	}
	body := storedView(ended)
	noteOutcome(g, string(body.Status))
	final, err := conclude(body, 0)
	final.applied = queued.applied
	if idempotency != nil {
		s.keep(g, *idempotency, final, err)
	}
	return final, err
}

// await returns the update if it ends in time.
func (s *server) await(ctx context.Context, id string, wait time.Duration) (queue.Update, bool) {
	if wait == 0 {
		return queue.Update{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	u, err := s.queue.Wait(ctx, id)
	return u, err == nil
}

// asStoreError tells apart what the store says about an update, and a caller that
// is gone, from a store that says nothing.
func asStoreError(err error) error {
	for _, known := range []error{queue.ErrFull, queue.ErrTooMany, queue.ErrKeyReused, queue.ErrKeyBusy, queue.ErrNotFound, queue.ErrNotFailed, context.Canceled} {
		if errors.Is(err, known) {
			return err
		}
	}
	return &storeError{cause: err}
}

// record puts an update that has ended into the history. The answer is certain,
// so that a store which is away or slow does not keep it back.
func (s *server) record(g *gin.Context, u queue.Update) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.Request.Context()), recordPatience)
	defer cancel()
	if err := s.queue.Record(ctx, u); err != nil {
		s.metrics.unrecorded.Inc()
		note(g, slog.String("not_recorded", err.Error()))
	}
}

// encode is for values of this package, which can always be encoded.
func encode(v any) []byte {
	content, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return content
}

// queuedAnswer is the 202 of an update that is stored.
func queuedAnswer(u queue.Update) (answer, error) {
	u.Status = queue.Queued
	return newAnswer(http.StatusAccepted, updatesRoute+"/"+u.ID, storedView(u))
}
