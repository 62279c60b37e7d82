package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/render"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// Facts about a request that the server itself finds.
var (
	errNoRoute         = errors.New("no such path; GET /docs shows what there is")
	errNoMethod        = errors.New("the path does not know this method")
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

// problem is what an error looks like from outside.
type problem struct {
	status     int
	code       ProblemCode
	detail     string
	fields     []FieldError
	retryAfter time.Duration // zero: no header
}

const (
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
		invalid *invalidError
		limited *github.RateLimitError
		busy    *inFlightError
		absent  *update.NotReferencedError
		foreign *update.NoTargetError
		late    *timeoutError
		doubt   *github.UnknownOutcomeError
	)
	switch {
	case errors.As(err, &doubt): // before all that promise that nothing was written
		return upstreamProblem(err)
	case errors.As(err, &invalid):
		return problem{status: invalid.status, code: invalid.code, detail: invalid.detail, fields: invalid.fields}
	case errors.Is(err, errNoRoute):
		return problem{status: http.StatusNotFound, code: ProblemCodeNotFound, detail: errNoRoute.Error()}
	case errors.Is(err, errNoMethod):
		return problem{status: http.StatusMethodNotAllowed, code: ProblemCodeMethodNotAllowed, detail: errNoMethod.Error()}
	case errors.Is(err, errUnauthenticated):
		return problem{status: http.StatusUnauthorized, code: ProblemCodeUnauthenticated, detail: errUnauthenticated.Error()}
	case errors.As(err, &busy):
		return problem{status: http.StatusTooManyRequests, code: ProblemCodeRateLimited, detail: busy.Error(), retryAfter: retryInFlight}
	case errors.As(err, &absent):
		return problem{status: http.StatusNotFound, code: ProblemCodeImageNotReferenced, detail: absent.Error()}
	case errors.As(err, &foreign):
		return problem{status: http.StatusNotFound, code: foreignCode(foreign), detail: foreign.Error()}
	case errors.As(err, &limited):
		return problem{
			status: http.StatusServiceUnavailable, code: ProblemCodeUpstreamRateLimited, retryAfter: limited.RetryAfter,
			detail: fmt.Sprintf("%s; nothing was written", limited),
		}
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
	return upstreamProblem(err)
}

func foreignCode(e *update.NoTargetError) ProblemCode {
	if e.Repo.IsZero() {
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
	body := Problem{
		Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Detail: p.detail,
		Instance: c.Request.URL.Path, Code: p.code, RequestId: requestID(c),
	}
	if len(p.fields) > 0 {
		body.Errors = &p.fields
	}
	c.Header("Content-Type", "application/problem+json")
	c.Render(p.status, render.JSON{Data: body})
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
