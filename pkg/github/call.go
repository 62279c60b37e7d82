package github

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	gh "github.com/google/go-github/v62/github"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
)

const (
	// attemptTimeout bounds one request; GitHub itself gives up after 10 s of work,
	// the rest is for a large listing on a slow line.
	attemptTimeout = 30 * time.Second
	// maxAttempts is how often a request that can be repeated is sent.
	maxAttempts = 4
	// parallelReads bounds the reads in flight for one credential; GitHub's own
	// limit is 100 of any kind.
	parallelReads = 16
	// parallelReadings bounds the trees and sets of files that are read at the same time
	// for one credential, however many branches are asked for: each is held in memory
	// until it is read, and may have parallelReads requests of its own.
	parallelReadings = 16
)

// pauses part the attempts of one request: anything up to a quarter of a second
// after the first, and up to twice as long after each further one.
var pauses = backoff.Policy{First: 125 * time.Millisecond, Most: 4 * time.Second, Spread: 1}

// request is one thing asked of GitHub.
type request struct {
	op    string // method and endpoint template
	repo  Repo   // a GitHub App takes the token of this repository's installation
	write bool   // reads share a number of places
	once  bool   // it is not repeated
	// again reports whether a refusal may go away by itself; nil: none does.
	again func(*Error) bool
}

// ask sends an idempotent request, and repeats it while GitHub fails, is unreachable or
// limits the rate and ctx leaves time for it. The error is one of this package's.
func (c *Client) ask(ctx context.Context, r request, send func(context.Context) (*gh.Response, error)) error {
	var previous error // the error of the attempt before
	for attempt := 1; ; attempt++ {
		refused := c.budgets.of(r.repo).admit(ctx)
		err := translate(ctx, r.op, nil, refused)
		if refused == nil {
			err = c.send(ctx, r, attemptTimeout, send)
		}
		if err != nil && previous != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return previous // more informative than the deadline
		}
		if refused != nil {
			return err
		}
		previous = err
		if err == nil || attempt == maxAttempts || r.once || ctx.Err() != nil || !worthRepeating(r, err) {
			c.note(r, err)
			return err
		}
		if !isLimited(err) && c.pause(ctx, attempt) != nil {
			return err
		}
	}
}

func isLimited(err error) bool {
	var limited *RateLimitError
	return errors.As(err, &limited)
}

// send makes one attempt that was admitted before.
func (c *Client) send(ctx context.Context, r request, timeout time.Duration, send func(context.Context) (*gh.Response, error)) error {
	if !r.write {
		reads := c.budgets.of(r.repo).reads
		select {
		case reads <- struct{}{}:
			defer func() { <-reads }()
		case <-ctx.Done():
			return translate(ctx, r.op, nil, ctx.Err())
		}
	}
	ctx = withRepo(ctx, r.repo)
	if strings.Contains(r.op, "/pulls") || strings.Contains(r.op, "/issues/") {
		ctx = context.WithValue(ctx, pullsKey{}, true)
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begun := c.now()
	resp, err := send(attempt)
	if err == nil && (r.op == opBlob || r.op == opBranch) {
		c.trip.add(c.now().Sub(begun))
	}
	return translate(ctx, r.op, resp, err)
}

// roundTrip is how long a small answer takes, of late. It is safe for concurrent use.
type roundTrip struct{ nanoseconds atomic.Int64 }

// firstTrip is taken for the round trip before any is known.
const firstTrip = 100 * time.Millisecond

func (t *roundTrip) get() time.Duration {
	if known := t.nanoseconds.Load(); known > 0 {
		return time.Duration(known)
	}
	return firstTrip
}

func (t *roundTrip) add(took time.Duration) {
	known := t.nanoseconds.Load()
	if known == 0 {
		known = int64(took)
	}
	t.nanoseconds.Store(max(known+(int64(took)-known)/8, 1)) // of two at once, one may not count
}

// worthRepeating reports whether the same request may succeed soon.
func worthRepeating(r request, err error) bool {
	if isLimited(err) {
		return true
	}
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch {
	case r.again != nil && r.again(e):
		return true
	case errors.Is(err, errTooLarge) || errors.Is(err, errTooMuch):
		return false
	case errors.Is(e.Kind, ErrUpstream):
		return e.Status < 300 || transient(e.Status)
	}
	return false
}

func transient(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pause sleeps before the attempt after this one.
func (c *Client) pause(ctx context.Context, attempt int) error {
	return c.sleep(ctx, pauses.After(attempt, c.random()))
}

type repoKey struct{}

// withRepo passes the request's repository to the credential's layer.
func withRepo(ctx context.Context, repo Repo) context.Context {
	return context.WithValue(ctx, repoKey{}, repo)
}

type pullsKey struct{}

// forPulls reports whether a request is about pull requests, which take a permission of
// their own.
func forPulls(ctx context.Context) bool { return ctx.Value(pullsKey{}) != nil }

func repoOf(ctx context.Context) Repo {
	repo, _ := ctx.Value(repoKey{}).(Repo)
	return repo
}
