package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
	"github.com/refty-yapi/refty-node-versions-service/pkg/span"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// recordPatience bounds how long a finished answer waits to be recorded in the
// history.
const recordPatience = racetime.Slower * 2 * time.Second

// errStore is the client-facing error while the store is unavailable.
var errStore = errors.New("the store does not answer now; nothing was written, send the request again")

// errStoreUnknown is the client-facing error when the store went away before it
// confirmed a write.
var errStoreUnknown = errors.New("the store went away before it confirmed the update, which may be stored; send the request again: with an Idempotency-Key, and by a webhook, nothing is stored twice")

// storeError is errStore for the caller, with the cause for the log.
type storeError struct {
	cause error
}

// Error is for the log.
func (e *storeError) Error() string { return "store: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *storeError) Unwrap() error { return e.cause }

// createStored stores the update. It answers with the update's Location, or with the
// outcome if that is known within the time that the caller waits.
func (s *server) createStored(g *gin.Context, r update.Request, in *UpdateRequest, p prefer, key string) (response, error) {
	stored, err := s.worker.FromRequest(r)
	if err != nil {
		return response{}, err
	}
	queued, err := queuedResponse(stored)
	if err != nil {
		return response{}, err
	}
	wait := min(p.wait, s.timeout)
	queued.applied = p.applied(wait)
	var idempotency *queue.Key
	if key != "" {
		idempotency = keyOf(identityOf(g), key, in)
		idempotency.Answer = queued.keep()
	}
	var again *queue.AnsweredError
	stored.Trace = span.Context(g.Request.Context())
	switch _, err := s.queue.Accept(g.Request.Context(), []queue.Update{stored}, idempotency); {
	case errors.As(err, &again):
		noteOutcome(g, outcomeReplayed)
		return kept(again.Answer), nil
	case err != nil:
		if !errors.Is(err, queue.ErrUnknown) {
			s.takeBack(g, r.Hold)
		}
		return response{}, asStoreError(err)
	}
	note(g, slog.String("update", r.ID))
	ended, ok := s.await(g.Request.Context(), r.ID, wait)
	if !ok {
		noteOutcome(g, string(StatusQueued))
		return queued, nil
	}
	body := storedView(ended)
	noteOutcome(g, string(body.Status))
	final, err := conclude(body, stand(resultsOf(ended)), 0)
	final.applied = queued.applied
	if idempotency != nil {
		s.keep(g, *idempotency, final, err)
	}
	return final, err
}

// await returns the update, and reports whether it ended in time. One with a pull request
// that GitHub is asked to merge is waited for until it is merged, or will not be; when the
// time is over it has ended as proposed.
func (s *server) await(ctx context.Context, id string, wait time.Duration) (queue.Update, bool) {
	if wait == 0 {
		return queue.Update{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	u, err := s.queue.WaitUntil(ctx, id, func(u queue.Update) bool { return u.Status.Ended() && !isMerging(u) })
	return u, err == nil || u.Status.Ended()
}

// isMerging reports whether GitHub is asked to merge a pull request of the update.
func isMerging(u queue.Update) bool {
	return slices.ContainsFunc(u.Tasks, func(t queue.Task) bool {
		if t.Status != queue.Proposed {
			return false
		}
		r, err := update.DecodeResult(t.Result)
		return err == nil && r.Merging
	})
}

// asStoreError wraps err as a *storeError, unless it is a fact about the update or
// the caller hung up.
func asStoreError(err error) error {
	for _, known := range []error{queue.ErrFull, queue.ErrTooMany, queue.ErrKeyReused, queue.ErrKeyBusy, queue.ErrNotFound, queue.ErrNotFailed, queue.ErrNoHold, queue.ErrTooManyHolds, context.Canceled} {
		if errors.Is(err, known) {
			return err
		}
	}
	return &storeError{cause: err}
}

// record puts an update that has ended into the history. It waits at most
// recordPatience for the store, since the answer is known.
func (s *server) record(g *gin.Context, u queue.Update) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.Request.Context()), recordPatience)
	defer cancel()
	if err := s.queue.Record(ctx, u); err != nil {
		s.metrics.unrecorded.Inc()
		note(g, slog.String("not_recorded", err.Error()))
	}
}

// encode marshals a value of this package, whose types always marshal.
func encode(v any) []byte {
	content, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return content
}

// queuedAnswer is the 202 of an update that is stored.
func queuedResponse(u queue.Update) (response, error) {
	u.Status = queue.Queued
	return newResponse(http.StatusAccepted, updatesRoute+"/"+u.ID, storedView(u))
}
