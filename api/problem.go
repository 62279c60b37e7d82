package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// Facts about a request that the server itself finds.
var (
	errNoRoute         = errors.New("no such path; GET /docs shows what there is")
	errNoSource        = errors.New("no webhook source of this name is configured; add it to CONFIG_FILE, or set the secret of its kind")
	errNoMethod        = errors.New("the path does not know this method")
	errKeys            = errors.New("the sender's keys cannot be had now; send the delivery again")
	errNotAuthentic    = errors.New("the delivery is not authentic")
	errUnauthenticated = errors.New("send a token of API_TOKENS as Authorization: Bearer TOKEN")
)

// invalidError is a request that the caller must change.
type invalidError struct {
	status int
	code   ProblemCode
	detail string
	fields []FieldError
}

// Error returns the detail.
func (e *invalidError) Error() string { return e.detail }

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// wrongParameter is the error of a parameter in the query.
func wrongParameter(name, detail string) error {
	return wrongFields([]FieldError{parameterError(openapi3.ParameterInQuery, name, detail)}, 0)
}

// problem is what an error looks like from outside.
type problem struct {
	status     int
	code       ProblemCode
	detail     string
	fields     []FieldError
	retryAfter time.Duration // zero: no header
}

// again tells that the same request may well succeed later, as it is.
func (p problem) again() bool {
	switch p.code {
	case ProblemCodeBranchMoved, ProblemCodeRateLimited, ProblemCodeUpstreamUnauthorized, ProblemCodeUpstreamError,
		ProblemCodeUpstreamRateLimited, ProblemCodeUnavailable, ProblemCodeTimeout, ProblemCodeInternal:
		return true
	}
	return false
}

const (
	// retryStore is about the time in which a database comes back, and retryFull
	// that in which a full queue gets some room.
	retryStore = 10 * time.Second
	retryFull  = time.Minute
	// retryStopping is about the time in which another replica takes over.
	retryStopping = 5 * time.Second
	// retryInFlight is about the time of one update.
	retryInFlight = time.Second
	// statusGone is what the log says of a caller that did not wait; nobody gets
	// to see it. The number is nginx's.
	statusGone = 499
)

// problemOf is the one table of errors.
func problemOf(err error) problem {
	var (
		invalid      *invalidError
		limited      *github.RateLimitError
		busy         *inFlightError
		bodies       *bodiesError
		absent       *update.NotReferencedError
		foreign      *update.NoTargetError
		foreignImage *update.NotTakenError
		message      *update.MessageRefusedError
		late         *timeoutError
		doubt        *github.UnknownOutcomeError
		ended        *endedError
		store        *storeError
	)
	switch {
	case errors.As(err, &doubt): // before all that promise that nothing was written
		return upstreamProblem(err)
	case errors.As(err, &invalid):
		return problem{status: invalid.status, code: invalid.code, detail: invalid.detail, fields: invalid.fields}
	case errors.As(err, &ended):
		return ended.problem
	case errors.Is(err, queue.ErrUnknown):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: errStoreUnknown.Error(), retryAfter: retryStore}
	case errors.As(err, &store):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: errStore.Error(), retryAfter: retryStore}
	case errors.Is(err, errNoRoute):
		return problem{status: http.StatusNotFound, code: ProblemCodeNotFound, detail: errNoRoute.Error()}
	case errors.Is(err, errNoSource):
		return problem{status: http.StatusNotFound, code: ProblemCodeNotFound, detail: errNoSource.Error()}
	case errors.Is(err, errNoMethod):
		return problem{status: http.StatusMethodNotAllowed, code: ProblemCodeMethodNotAllowed, detail: errNoMethod.Error()}
	case errors.Is(err, errUnauthenticated):
		return problem{status: http.StatusUnauthorized, code: ProblemCodeUnauthenticated, detail: errUnauthenticated.Error()}
	case errors.Is(err, errKeys):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: errKeys.Error(), retryAfter: retryStore}
	case errors.Is(err, errNotAuthentic):
		return problem{status: http.StatusUnauthorized, code: ProblemCodeUnauthenticated, detail: errNotAuthentic.Error()}
	case errors.As(err, &message):
		return problemOf(wrongFields([]FieldError{{Pointer: "/message", Detail: message.Error()}}, 0))
	case errors.As(err, &foreignImage):
		return problem{status: http.StatusNotFound, code: ProblemCodeImageNotReferenced, detail: foreignImage.Error()}
	case errors.As(err, &busy):
		return problem{status: http.StatusTooManyRequests, code: ProblemCodeRateLimited, detail: busy.Error(), retryAfter: retryInFlight}
	case errors.As(err, &bodies):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: bodies.Error(), retryAfter: retryInFlight}
	case errors.As(err, &absent):
		return problem{status: http.StatusNotFound, code: ProblemCodeImageNotReferenced, detail: absent.Error()}
	case errors.As(err, &foreign):
		return problem{status: http.StatusNotFound, code: foreignCode(foreign), detail: foreign.Error()}
	case errors.As(err, &limited):
		return problem{
			status: http.StatusServiceUnavailable, code: ProblemCodeUpstreamRateLimited, retryAfter: limited.RetryAfter,
			detail: fmt.Sprintf("%s; nothing was written", limited),
		}
	case errors.Is(err, update.ErrLedger):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: update.ErrLedger.Error(), retryAfter: retryStore}
	case errors.Is(err, update.ErrStopping):
		return problem{
			status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, retryAfter: retryStopping,
			detail: "the service is stopping; nothing was written, send the request again",
		}
	case errors.As(err, &late):
		return problem{status: http.StatusGatewayTimeout, code: ProblemCodeTimeout, detail: late.Error()}
	case errors.Is(err, context.Canceled):
		return problem{status: statusGone, code: ProblemCodeTimeout, detail: "the caller is gone; nothing was written"}
	}
	if p, ok := queueProblem(err); ok {
		return p
	}
	return upstreamProblem(err)
}

// queueProblem is the part of the table for what the queue says of an update.
func queueProblem(err error) (problem, bool) {
	table := []struct {
		fact error
		problem
	}{
		{queue.ErrNotFound, problem{
			status: http.StatusNotFound, code: ProblemCodeNotFound,
			detail: "there is no such update, or none any more; GET /v1/updates lists them",
		}},
		{queue.ErrNotFailed, problem{
			status: http.StatusConflict, code: ProblemCodeNotFailed,
			detail: "the update has not failed; only a failed one can be tried again",
		}},
		{queue.ErrFull, problem{
			status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, retryAfter: retryFull,
			detail: "too many updates are waiting; nothing was stored, send the request again later",
		}},
		{queue.ErrTooMany, problem{
			status: http.StatusRequestEntityTooLarge, code: ProblemCodeTooLarge,
			detail: "this is more than the store takes at once; nothing was stored, send it in parts or to fewer targets",
		}},
		{queue.ErrKeyReused, problem{
			status: http.StatusUnprocessableEntity, code: ProblemCodeInvalidRequest,
			detail: "Idempotency-Key: came with another body before; use a new key for another update",
			fields: []FieldError{parameterError(openapi3.ParameterInHeader, "Idempotency-Key", "came with another body before; use a new key for another update")},
		}},
		{queue.ErrKeyBusy, problem{
			status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, retryAfter: retryInFlight,
			detail: "the first request with this Idempotency-Key is still under way; send it again to get its answer",
		}},
	}
	for _, row := range table {
		if errors.Is(err, row.fact) {
			return row.problem, true
		}
	}
	return problem{}, false
}

func foreignCode(e *update.NoTargetError) ProblemCode {
	if e.Repo.IsZero() && e.Target == "" {
		return ProblemCodeBranchNotFound
	}
	return ProblemCodeRepositoryNotFound
}

// upstreamProblem is the part of the table for what GitHub said.
func upstreamProblem(err error) problem {
	kinds := []struct {
		kind   error
		status int
		code   ProblemCode
	}{
		{github.ErrRepositoryNotFound, http.StatusNotFound, ProblemCodeRepositoryNotFound},
		{github.ErrBranchNotFound, http.StatusNotFound, ProblemCodeBranchNotFound},
		{github.ErrBranchMoved, http.StatusConflict, ProblemCodeBranchMoved},
		{github.ErrBranchProtected, http.StatusConflict, ProblemCodeBranchProtected},
		{github.ErrUnauthorized, http.StatusBadGateway, ProblemCodeUpstreamUnauthorized},
		{github.ErrForbidden, http.StatusBadGateway, ProblemCodeUpstreamForbidden},
		{github.ErrUpstream, http.StatusBadGateway, ProblemCodeUpstreamError},
	}
	fact := err
	var upstream *github.Error
	if errors.As(err, &upstream) {
		fact = upstream.Kind // its cause may be an error of another kind
	}
	for _, k := range kinds {
		if errors.Is(fact, k.kind) {
			return problem{status: k.status, code: k.code, detail: upstreamDetail(err, k.kind)}
		}
	}
	return problem{
		status: http.StatusInternalServerError, code: ProblemCodeInternal,
		detail: "the service failed; its log has more under this request_id",
	}
}

// upstreamDetail prefers what was made for people to the kind of the error.
func upstreamDetail(err, kind error) string {
	var moved *update.MovedError
	if errors.As(err, &moved) {
		return moved.Error()
	}
	detail := kind.Error()
	var upstream *github.Error
	if errors.As(err, &upstream) {
		if upstream.Detail != "" {
			detail = upstream.Detail
		}
		if upstream.Status >= http.StatusInternalServerError {
			detail = fmt.Sprintf("%s (status %d)", detail, upstream.Status)
		}
	}
	var target *targetError
	if errors.As(err, &target) {
		detail = target.name + ": " + detail
	}
	return detail
}

// targetError says on which target an update failed.
type targetError struct {
	name string
	err  error
}

// Error is for the log.
func (e *targetError) Error() string { return e.name + ": " + e.err.Error() }

// Unwrap returns what went wrong.
func (e *targetError) Unwrap() error { return e.err }

// writeErrors answers the request with the problem of its last error.
func writeErrors(c *gin.Context) {
	c.Next()
	last := c.Errors.Last()
	if last == nil || c.Writer.Written() {
		return
	}
	p := problemOf(last.Err)
	noteProblem(c, p)
	if p.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(max(1, (p.retryAfter+time.Second-1)/time.Second))))
	}
	if p.status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", "Bearer")
	}
	a, err := newAnswer(p.status, "", problemBody(c, p))
	if err == nil {
		err = a.send(c.Writer)
	}
	if err != nil {
		note(c, slog.String("not_sent", err.Error()))
	}
}

// problemBody tells of the problem of this request.
func problemBody(c *gin.Context, p problem) Problem {
	body := Problem{
		Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Detail: p.detail,
		Instance: c.Request.URL.Path, Code: p.code, RequestId: requestID(c),
	}
	if len(p.fields) > 0 {
		body.Errors = &p.fields
	}
	return body
}

// recoverPanics makes an error of a panic.
func recoverPanics(c *gin.Context) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			panic(cause)
		default:
			abort(c, &update.PanicError{Value: cause, Stack: debug.Stack()})
		}
	}()
	c.Next()
}
