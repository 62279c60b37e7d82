package update

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Code names a kind of failure. Codes are stored and do not change.
type Code string

// The codes.
const (
	CodeImageNotReferenced   Code = "image_not_referenced"
	CodeRepositoryNotFound   Code = "repository_not_found"
	CodeBranchNotFound       Code = "branch_not_found"
	CodeBranchMoved          Code = "branch_moved"
	CodeBranchProtected      Code = "branch_protected"
	CodePullRequestChanged   Code = "pull_request_changed"
	CodeUpstreamUnauthorized Code = "upstream_unauthorized"
	CodeUpstreamForbidden    Code = "upstream_forbidden"
	CodeUpstreamError        Code = "upstream_error"
	CodeUpstreamRateLimited  Code = "upstream_rate_limited"
	CodeUnavailable          Code = "unavailable" // this service, or its store
	CodePolicyDenied         Code = "policy_denied"
	CodeTargetFrozen         Code = "target_frozen"
	CodeImageNotFound        Code = "image_not_found" // in its registry
	CodeDigestUnknown        Code = "digest_unknown"
	CodeTimeout              Code = "timeout"
	CodeCanceled             Code = "canceled" // nobody waits for the end any more
	CodeInternal             Code = "internal"
)

// Codes returns every code.
func Codes() []Code {
	return []Code{
		CodeImageNotReferenced, CodeRepositoryNotFound, CodeBranchNotFound, CodeBranchMoved, CodeBranchProtected, CodePullRequestChanged,
		CodeUpstreamUnauthorized, CodeUpstreamForbidden, CodeUpstreamError, CodeUpstreamRateLimited,
		CodePolicyDenied, CodeTargetFrozen, CodeImageNotFound, CodeDigestUnknown, CodeUnavailable, CodeTimeout, CodeCanceled, CodeInternal,
	}
}

// Passing reports whether the same request, as it is, may well succeed later.
func (c Code) Passing() bool {
	switch c {
	case CodeTargetFrozen, CodeImageNotFound, CodeBranchMoved, CodeUpstreamUnauthorized, CodeUpstreamError, CodeUpstreamRateLimited,
		CodeUnavailable, CodeTimeout, CodeCanceled, CodeInternal:
		return true
	}
	return false
}

// Failure is why a request came to nothing on a target, as a value that can be
// stored and shown.
type Failure struct {
	Code Code
	// Detail is a sentence for the caller; it shows nothing of the inside.
	Detail string
	// RetryAfter is how long to wait before another try; zero when that is not known.
	RetryAfter time.Duration
	// NotBefore is when a target that is frozen takes requests again; zero when that is
	// not known.
	NotBefore time.Time
	// Since is when an image was first missing in its registry; zero when nobody has
	// kept that.
	Since time.Time
	// Rule and Reasons are those of a rule, or of a target's keys, that refuse the request.
	Rule    string
	Reasons []string
	// InDoubt reports that a commit for the request may be on the branch.
	InDoubt bool
	// Absent reports that the target has nothing to do with the request, which is no
	// fault of either.
	Absent bool
}

const (
	// retryStopping is about the time in which another replica takes over.
	retryStopping = 5 * time.Second
	// retryLedger is about the time in which a database comes back.
	retryLedger = 10 * time.Second
)

// FailureOf is the one table of what the errors of this package, of github and of a
// context mean. err is not nil. One that is in none of its rows is CodeInternal.
func FailureOf(err error) Failure {
	var (
		doubt    *github.UnknownOutcomeError
		stored   *storedError
		notTaken *NotTakenError
		unnamed  *NotReferencedError
		foreign  *NoTargetError
		limited  *github.RateLimitError
		late     *TimeoutError
		changed  *PullChangedError
		full     *PullFullError
		unmerged *MergeFailedError
		paced    *PacedError
		internal = Failure{Code: CodeInternal, Detail: "the service failed; its log has more under the id of this update"}
	)
	switch {
	case errors.As(err, &stored):
		return stored.failure
	case errors.As(err, &doubt): // before all that promise that nothing was written
		f := upstreamFailure(err, internal)
		f.InDoubt = true
		return f
	}
	if f, ok := gateFailure(err); ok {
		return f
	}
	switch {
	case errors.As(err, &notTaken):
		return Failure{Code: CodeImageNotReferenced, Detail: notTaken.Error(), Absent: true}
	case errors.As(err, &unnamed):
		return Failure{Code: CodeImageNotReferenced, Detail: unnamed.Error(), Absent: !unnamed.Partly}
	case errors.As(err, &foreign):
		return Failure{Code: foreign.code(), Detail: foreign.Error(), Absent: foreign.Target == ""}
	case errors.As(err, &limited):
		return Failure{Code: CodeUpstreamRateLimited, Detail: fmt.Sprintf("%s; nothing was written", limited), RetryAfter: limited.RetryAfter}
	case errors.As(err, &paced):
		return Failure{Code: CodeUpstreamRateLimited, Detail: paced.Error(), RetryAfter: time.Minute}
	case errors.Is(err, ErrStopping):
		return Failure{Code: CodeUnavailable, Detail: "the service is stopping; nothing was written, send the request again", RetryAfter: retryStopping}
	case errors.Is(err, ErrLedger):
		return Failure{Code: CodeUnavailable, Detail: ErrLedger.Error(), RetryAfter: retryLedger}
	case errors.As(err, &changed):
		return Failure{Code: CodePullRequestChanged, Detail: changed.Error()}
	case errors.As(err, &full):
		return Failure{Code: CodePullRequestChanged, Detail: full.Error()}
	case errors.As(err, &unmerged):
		return Failure{Code: CodeBranchProtected, Detail: unmerged.Error()}
	case errors.As(err, &late):
		return Failure{Code: CodeTimeout, Detail: late.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return Failure{Code: CodeTimeout, Detail: (&TimeoutError{}).Error()}
	case errors.Is(err, context.Canceled):
		return Failure{Code: CodeCanceled, Detail: "the caller is gone; nothing was written"}
	}
	return upstreamFailure(err, internal)
}

// upstreamFailure is the part of the table for what GitHub said.
func upstreamFailure(err error, otherwise Failure) Failure {
	kinds := []struct {
		kind error
		code Code
	}{
		{github.ErrRepositoryNotFound, CodeRepositoryNotFound},
		{github.ErrBranchNotFound, CodeBranchNotFound},
		{github.ErrBranchMoved, CodeBranchMoved},
		{github.ErrBranchProtected, CodeBranchProtected},
		{github.ErrUnauthorized, CodeUpstreamUnauthorized},
		{github.ErrForbidden, CodeUpstreamForbidden},
		{github.ErrUpstream, CodeUpstreamError},
	}
	fact := err
	var upstream *github.Error
	if errors.As(err, &upstream) {
		fact = upstream.Kind // its cause may be an error of another kind
	}
	for _, k := range kinds {
		if errors.Is(fact, k.kind) {
			return Failure{Code: k.code, Detail: upstreamDetail(err, k.kind)}
		}
	}
	return otherwise
}

// upstreamDetail tells what GitHub said, in the words that are made for people where
// there are some, with the status. A fault of GitHub or of a proxy is followed by what
// it means for the request: nothing was written, unless the outcome is unknown.
func upstreamDetail(err, kind error) string {
	var moved *MovedError
	if errors.As(err, &moved) {
		return moved.Error()
	}
	detail := kind.Error()
	var upstream *github.Error
	if errors.As(err, &upstream) {
		if upstream.Detail != "" {
			detail = upstream.Detail
		}
		if upstream.Status >= 500 || upstream.Status > 0 && errors.Is(kind, github.ErrUpstream) {
			detail = fmt.Sprintf("%s (status %d)", detail, upstream.Status)
		}
	}
	if errors.Is(kind, github.ErrUpstream) {
		detail += meaning(err)
	}
	var on *targetError
	if errors.As(err, &on) {
		detail = on.place.String() + ": " + detail
	}
	return detail
}

// meaning is what a fault of GitHub's means for the request, and what to do.
func meaning(err error) string {
	var doubt *github.UnknownOutcomeError
	if errors.As(err, &doubt) {
		return "; the commit may have been written: look before you send the request again"
	}
	return "; nothing was written, send the request again"
}

// Failure returns why the request came to nothing, and whether it did.
func (r Result) Failure() (f Failure, failed bool) {
	if r.Err == nil {
		return Failure{}, false
	}
	return FailureOf(&targetError{place: r.Place, err: r.Err}), true
}

// OnTarget adds to an error on which target it happened.
func OnTarget(p Place, err error) error { return &targetError{place: p, err: err} }

// Since returns the result with the time since when its failure has stood, and the
// failure.
func (r Result) Since(at time.Time) (Result, Failure) {
	f, _ := r.Failure()
	f.Since = at
	r.Err = &storedError{failure: f}
	return r, f
}

// targetError adds to an error on which target it ended a request.
type targetError struct {
	place Place
	err   error
}

// Error is for the log.
func (e *targetError) Error() string { return e.place.String() + ": " + e.err.Error() }

// Unwrap returns what went wrong.
func (e *targetError) Unwrap() error { return e.err }

// storedError is a failure that was read from the store.
type storedError struct{ failure Failure }

// Error returns the failure's sentence.
func (e *storedError) Error() string { return e.failure.Detail }
