package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// Errors that the server itself finds in a request.
var (
	errNoRoute         = errors.New("no such path; GET /docs shows all of them")
	errNoSource        = errors.New("no webhook source of this name is configured; add it to CONFIG_FILE, or set the secret of its kind")
	errNoMethod        = errors.New("the path does not have this method; Allow names those it has")
	errKeys            = errors.New("the keys of the sender are unavailable now; send the delivery again")
	errNotAuthentic    = errors.New("the delivery is not authentic")
	errUnauthenticated = errors.New("send a caller's token as Authorization: Bearer TOKEN")
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

// wrongParameter returns the error of a query parameter.
func wrongParameter(name, detail string) error {
	return wrongFields([]FieldError{parameterError(openapi3.ParameterInQuery, name, detail)}, 0)
}

// problem is an error as the client sees it.
type problem struct {
	status     int
	code       ProblemCode
	detail     string
	fields     []FieldError
	retryAfter time.Duration // zero: no header
	decision   policy.Decision
}

// again reports whether the same request may succeed later.
func (p problem) again() bool {
	for code, row := range failures {
		if row.code == p.code {
			return code.Passing()
		}
	}
	return p.code == ProblemCodeRateLimited
}

const (
	// retryStore is about how long a database takes to come back, and retryFull how
	// long until a full queue has room.
	retryStore = 10 * time.Second
	retryFull  = time.Minute
	// retryInFlight is about the time of one update.
	retryInFlight = time.Second
	// statusGone is the logged status of a request whose caller hung up, as in nginx.
	// It is never sent.
	statusGone = 499
)

// problemOf returns the problem of an error; it is the one table of errors.
func problemOf(err error) problem {
	var (
		invalid   *invalidError
		busy      *inFlightError
		slowed    *slowedError
		bodies    *bodiesError
		message   *update.MessageRefusedError
		mode      *update.ModeRefusedError
		ended     *endedError
		store     *storeError
		failed    *failedError
		refused   *caller.RefusedError
		forbidden *caller.ForbiddenError
		denied    *deniedError
		look      *lookError
		ambiguous *ambiguousError
	)
	switch {
	case errors.As(err, &look):
		return lookProblem(look)
	case errors.As(err, &failed): // before its cause
		return ofThisRequest(problemOfFailure(failed.failure))
	case errors.As(err, &invalid):
		return problem{status: invalid.status, code: invalid.code, detail: invalid.detail, fields: invalid.fields}
	case errors.As(err, &ended):
		return ended.problem
	case errors.As(err, &ambiguous):
		return problem{
			status: http.StatusUnprocessableEntity, code: ProblemCodeAmbiguousVersion, detail: ambiguous.Error(),
			fields: []FieldError{{Pointer: ambiguous.pointer, Detail: ambiguous.Error()}},
		}
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
	case errors.As(err, &refused):
		return problem{status: http.StatusUnauthorized, code: ProblemCodeUnauthenticated, detail: refused.Reason}
	case errors.As(err, &forbidden):
		return problem{status: http.StatusForbidden, code: ProblemCodeForbidden, detail: forbidden.Reason}
	case errors.As(err, &denied):
		return problem{status: http.StatusForbidden, code: ProblemCodePolicyDenied, detail: denied.Error(), decision: denied.decision}
	case errors.Is(err, caller.ErrUnavailable):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: caller.ErrUnavailable.Error() + "; nothing was written, send the request again", retryAfter: retryStore}
	case errors.Is(err, errUnauthenticated):
		return problem{status: http.StatusUnauthorized, code: ProblemCodeUnauthenticated, detail: errUnauthenticated.Error()}
	case errors.Is(err, errKeys):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: errKeys.Error(), retryAfter: retryStore}
	case errors.Is(err, errNotAuthentic):
		return problem{status: http.StatusUnauthorized, code: ProblemCodeUnauthenticated, detail: errNotAuthentic.Error()}
	case errors.As(err, &message):
		return problemOf(wrongFields([]FieldError{{Pointer: "/message", Detail: message.Error()}}, 0))
	case errors.As(err, &mode):
		return problemOf(wrongFields([]FieldError{{Pointer: "/mode", Detail: mode.Error()}}, 0))
	case errors.As(err, &busy):
		return problem{status: http.StatusTooManyRequests, code: ProblemCodeRateLimited, detail: busy.Error(), retryAfter: retryInFlight}
	case errors.As(err, &slowed):
		return problem{status: http.StatusTooManyRequests, code: ProblemCodeRateLimited, detail: slowed.Error(), retryAfter: slowed.after}
	case errors.Is(err, errForeignHost), errors.Is(err, errCrossSite):
		return problem{status: http.StatusForbidden, code: ProblemCodeForbidden, detail: err.Error()}
	case errors.As(err, &bodies):
		return problem{status: http.StatusServiceUnavailable, code: ProblemCodeUnavailable, detail: bodies.Error(), retryAfter: retryInFlight}
	}
	if p, ok := queueProblem(err); ok {
		return p
	}
	return ofThisRequest(problemOfFailure(update.FailureOf(err)))
}

// ofThisRequest completes a fault of the service with the request's id, which leads
// to its log lines.
func ofThisRequest(p problem) problem {
	if p.code == ProblemCodeInternal {
		p.detail = "the service failed; its log has more under this request_id"
	}
	return p
}

// failures maps the code of an update's failure to the status and code of a problem.
var failures = map[update.Code]struct {
	status int
	code   ProblemCode
}{
	update.CodeImageNotReferenced:   {http.StatusNotFound, ProblemCodeImageNotReferenced},
	update.CodeRepositoryNotFound:   {http.StatusNotFound, ProblemCodeRepositoryNotFound},
	update.CodeBranchNotFound:       {http.StatusNotFound, ProblemCodeBranchNotFound},
	update.CodeBranchMoved:          {http.StatusConflict, ProblemCodeBranchMoved},
	update.CodeBranchProtected:      {http.StatusConflict, ProblemCodeBranchProtected},
	update.CodePullRequestChanged:   {http.StatusConflict, ProblemCodePullRequestChanged},
	update.CodeUpstreamUnauthorized: {http.StatusBadGateway, ProblemCodeUpstreamUnauthorized},
	update.CodeUpstreamForbidden:    {http.StatusBadGateway, ProblemCodeUpstreamForbidden},
	update.CodeUpstreamError:        {http.StatusBadGateway, ProblemCodeUpstreamError},
	update.CodeUpstreamRateLimited:  {http.StatusServiceUnavailable, ProblemCodeUpstreamRateLimited},
	update.CodeUnavailable:          {http.StatusServiceUnavailable, ProblemCodeUnavailable},
	update.CodePolicyDenied:         {http.StatusForbidden, ProblemCodePolicyDenied},
	update.CodeTargetFrozen:         {http.StatusConflict, ProblemCodeTargetFrozen},
	update.CodeImageNotFound:        {http.StatusUnprocessableEntity, ProblemCodeImageNotFound},
	update.CodeDigestUnknown:        {http.StatusUnprocessableEntity, ProblemCodeDigestUnknown},
	update.CodeTimeout:              {http.StatusGatewayTimeout, ProblemCodeTimeout},
	update.CodeCanceled:             {statusGone, ProblemCodeTimeout},
	update.CodeInternal:             {http.StatusInternalServerError, ProblemCodeInternal},
}

// problemOfFailure returns a failure as a problem. A code that this version does not
// know becomes internal.
func problemOfFailure(f update.Failure) problem {
	row, ok := failures[f.Code]
	if !ok {
		row = failures[update.CodeInternal]
	}
	return problem{
		status: row.status, code: row.code, detail: f.Detail, retryAfter: f.RetryAfter,
		decision: policy.Decision{Rule: f.Rule, Reasons: f.Reasons},
	}
}

// queueProblem is the part of the table for the queue's errors.
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
			detail: "the update has neither failed nor met a hold, so there is nothing to try again",
		}},
		{queue.ErrNoHold, problem{
			status: http.StatusNotFound, code: ProblemCodeNotFound,
			detail: "no hold has this id, or it is released or over; GET /v1/holds lists those that stand",
		}},
		{queue.ErrTooManyHolds, problem{
			status: http.StatusConflict, code: ProblemCodeTooManyHolds,
			detail: fmt.Sprintf("%d holds stand, or %d of this caller; release some first", queue.MaxHolds, queue.MaxHolds/2),
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

// failedError is the error of a request that failed on its only target.
type failedError struct {
	failure update.Failure
	place   update.Place
	err     error
}

// Error is for the log.
func (e *failedError) Error() string { return e.place.String() + ": " + e.err.Error() }

// Unwrap returns the cause.
func (e *failedError) Unwrap() error { return e.err }

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
	a, err := newResponse(p.status, "", problemBody(c, p))
	if err == nil {
		err = a.send(c.Writer)
	}
	if err != nil {
		note(c, slog.String("not_sent", err.Error()))
	}
}

// problemBody returns the body for the problem of this request.
func problemBody(c *gin.Context, p problem) Problem {
	body := Problem{
		Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Detail: p.detail,
		Instance: c.Request.URL.Path, Code: p.code, RequestId: requestID(c),
	}
	if len(p.fields) > 0 {
		body.Errors = &p.fields
	}
	if len(p.decision.Reasons) > 0 {
		body.Rule, body.Reasons = present(p.decision.Rule), &p.decision.Reasons
	}
	return body
}

// recoverPanics turns a panic into an error.
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
