package github

import (
	"errors"
	"fmt"
	"time"
)

// Facts about a repository that a caller acts on. Every error of this package
// that comes from GitHub is an *Error that wraps one of them, or a
// *RateLimitError.
var (
	// ErrRepositoryNotFound: no such repository, or the credential may not see it.
	ErrRepositoryNotFound = errors.New("repository not found")
	// ErrBranchNotFound: the repository is there, the branch is not; also for an empty repository.
	ErrBranchNotFound = errors.New("branch not found")
	// ErrBranchMoved: the branch is no longer at the snapshot's commit; plan again.
	ErrBranchMoved = errors.New("branch moved")
	// ErrBranchProtected: a protection rule or a ruleset refuses the commit.
	ErrBranchProtected = errors.New("branch protected")
	// ErrUnauthorized: GitHub does not accept the credential (401).
	ErrUnauthorized = errors.New("GitHub refused the credential")
	// ErrForbidden: the credential lacks a permission, or the repository is read-only.
	ErrForbidden = errors.New("GitHub refused the operation")
	// ErrUpstream: GitHub failed, answered nonsense, or could not be reached.
	ErrUpstream = errors.New("GitHub failed")
)

// Error is an answer of GitHub that ended an operation, or the lack of one.
type Error struct {
	// Kind is one of the sentinel errors of this package.
	Kind error
	// Op is what was asked of GitHub, as a method and an endpoint template.
	Op string
	// Status is the HTTP status, 0 when no answer came.
	Status int
	// Detail is one sentence for the operator: the likely cause and what to
	// do. It holds no secret and no text longer than a line.
	Detail string
	// Permission is what the credential lacks, in GitHub's own form such as
	// "contents=write"; empty when that is not the matter.
	Permission string
	// AuthorizeURL is where the owner of a token authorises it for an
	// organization with SAML single sign-on; empty when that is not the matter.
	AuthorizeURL string
	// NotGitHub reports that a proxy or a website answered instead of GitHub's API.
	NotGitHub bool
	// Err is the cause, if there is one: the context's error for an operation that its
	// caller cancelled.
	Err error

	// text is GitHub's own message in lower case, which distinguishes errors of one
	// status.
	text string
	// words are GitHub's own words, as a colon and a quotation to append to a Detail.
	words string
}

// Error returns the operation, the detail and the status.
func (e *Error) Error() string {
	msg := fmt.Sprintf("%s: %s", e.Op, e.Kind)
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	if e.Status != 0 {
		msg += fmt.Sprintf(" (status %d)", e.Status)
	}
	return msg
}

// InDoubt reports whether the commit may be on the branch despite the error. After every
// other error, nothing was written to the branch.
func (e *Error) InDoubt() bool {
	var unknown *UnknownOutcomeError
	return errors.As(e.Err, &unknown)
}

// Unwrap gives the kind and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// RateLimitError means that GitHub's primary or secondary rate limit is reached, or that
// another commit now would exceed it.
type RateLimitError struct {
	// RetryAfter is how long to wait; at least a second.
	RetryAfter time.Duration
	// Secondary reports a secondary (abuse) limit; otherwise it is the hourly budget.
	Secondary bool
	// Paced reports that GitHub has refused nothing yet: the commit would exceed its
	// published limits.
	Paced bool
}

// Error names the limit and the wait.
func (e *RateLimitError) Error() string {
	if e.Paced {
		return fmt.Sprintf("more commits at once than GitHub's published limits allow, retry after %s", e.RetryAfter.Round(time.Second))
	}
	kind := "primary"
	if e.Secondary {
		kind = "secondary"
	}
	return fmt.Sprintf("GitHub's %s rate limit is reached, retry after %s", kind, e.RetryAfter.Round(time.Second))
}

// UnknownOutcomeError is the cause inside an *Error of kind ErrUpstream when a
// ref update was sent, its response was lost, and the branch does not show the outcome.
// The commit may be on the branch, as its head or below it.
type UnknownOutcomeError struct {
	Commit Commit
}

// Error names the commit in doubt.
func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("it is not known whether commit %.12s is on the branch", e.Commit.SHA)
}
