package update

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/batch"
)

// branch serialises the commits on a branch, which several targets may share: one call
// of write at a time. A call carries out the first ticket that waits and, if requests
// may share commits, all other tickets of its target. It is safe for concurrent use.
type branch struct {
	write   func(context.Context, *target, []Request) []Result
	tickets *batch.Batcher[*ticket]
	read    atomic.Pointer[reading] // the last one; nil before the first

	mu      sync.Mutex // of stopped, and of Add with it
	stopped bool
}

// ticket is what one caller wants written to a target.
type ticket struct {
	ctx      context.Context // the caller's
	target   *target
	requests []Request
	// stored reports whether the requests come from the store, which grouped them and
	// waits for all of them: they share no call with others, and Stop does not end them.
	stored bool
	// work, when it is set, is what the ticket wants done in place of requests.
	work func(context.Context)
	done chan []Result // takes one value without blocking
}

func newBranch(share bool, write func(context.Context, *target, []Request) []Result) *branch {
	b := &branch{write: write}
	b.tickets = batch.New(math.MaxInt, func(first, other *ticket) bool {
		return share && first.target == other.target && !first.stored && !other.stored
	}, b.carryOut)
	return b
}

// do carries out requests for a target and returns their results. Requests whose ctx
// ends while they wait are withdrawn. Once a call of write has begun with them, do
// returns when that call does, which ctx's deadline bounds.
func (b *branch) do(ctx context.Context, t *target, requests []Request, stored bool) []Result {
	tk := &ticket{ctx: ctx, target: t, requests: requests, stored: stored, done: make(chan []Result, 1)}
	if !b.join(tk) {
		return repeat(t.failed(ErrStopping), len(requests))
	}
	select {
	case results := <-tk.done:
		return results
	case <-ctx.Done():
	}
	if b.tickets.Withdraw(tk) {
		return repeat(t.failed(context.Cause(ctx)), len(requests))
	}
	return <-tk.done
}

// run calls work when nothing else is done to the branch.
func (b *branch) run(ctx context.Context, t *target, work func(context.Context)) {
	tk := &ticket{ctx: ctx, target: t, stored: true, work: work, done: make(chan []Result, 1)}
	if b.join(tk) {
		<-tk.done
	}
}

func (b *branch) join(tk *ticket) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped && !tk.stored {
		return false
	}
	b.tickets.Add(tk)
	return true
}

// stop ends all requests that wait, and later ones, with ErrStopping; stored ones go
// on.
func (b *branch) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, tk := range b.tickets.WithdrawAll(func(tk *ticket) bool { return !tk.stored }) {
		tk.done <- repeat(tk.target.failed(ErrStopping), len(tk.requests))
	}
}

// carryOut writes the requests of the tickets, which are for one target, together. The
// earliest deadline among the tickets bounds a call of write. When it ends the call and
// nothing was written, its tickets get the error, and the others are written again
// without them. So are those whose own deadlines are after the end of a rate limit that
// the earliest one could not wait for.
func (b *branch) carryOut(group []*ticket) {
	if first := group[0]; first.work != nil { // it shares with nobody
		first.work(first.ctx)
		first.done <- nil
		return
	}
	for len(group) > 0 {
		first, bounded := firstDeadline(group)
		ctx, cancel := together(group)
		results := b.write(ctx, group[0].target, requests(group))
		cutShort := ctx.Err() != nil
		cancel()

		var again []*ticket
		for _, tk := range group {
			mine := results[:len(tk.requests)]
			results = results[len(tk.requests):]
			err := mine[0].Err // who shares a call has one request
			switch {
			case cutShort && endedByContext(err) && !tk.expired(),
				bounded && tk.outlasts(first) && tk.waitsFor(err):
				again = append(again, tk)
			default:
				tk.done <- mine
			}
		}
		group = again
	}
}

// requests returns the requests of all tickets of the group.
func requests(group []*ticket) []Request {
	var all []Request
	for _, tk := range group {
		all = append(all, tk.requests...)
	}
	return all
}

// outlasts reports whether the caller has more time than until first.
func (t *ticket) outlasts(first time.Time) bool {
	deadline, ok := t.ctx.Deadline()
	return t.ctx.Err() == nil && (!ok || deadline.After(first))
}

// waitsFor reports whether err is a limit that ends before the caller's deadline.
func (t *ticket) waitsFor(err error) bool {
	var limited *github.RateLimitError
	if !errors.As(err, &limited) || inDoubt(err) {
		return false
	}
	deadline, ok := t.ctx.Deadline()
	return !ok || time.Until(deadline) > limited.RetryAfter
}

// expired reports whether the caller has stopped waiting.
func (t *ticket) expired() bool {
	deadline, ok := t.ctx.Deadline()
	return t.ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// endedByContext reports whether a context's end caused the error and nothing was
// written. It is false when a commit may be on the branch.
func endedByContext(err error) bool {
	return !inDoubt(err) && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
}

// inDoubt reports whether a commit may be on the branch in spite of the error.
func inDoubt(err error) bool {
	var doubt *github.UnknownOutcomeError
	return errors.As(err, &doubt)
}

// together returns a context that ends at the group's earliest deadline, or when the
// contexts of all callers have ended, with the cause of the last one.
func together(group []*ticket) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(group[0].ctx))
	stops := []func(){func() { cancel(nil) }}
	if first, ok := firstDeadline(group); ok {
		var expire context.CancelFunc
		ctx, expire = context.WithDeadline(ctx, first)
		stops = append(stops, expire)
	}
	go func() {
		for _, t := range group {
			select {
			case <-t.ctx.Done():
			case <-ctx.Done():
				return
			}
		}
		cancel(context.Cause(group[len(group)-1].ctx))
	}()
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func firstDeadline(group []*ticket) (first time.Time, ok bool) {
	for _, t := range group {
		if d, has := t.ctx.Deadline(); has && (!ok || d.Before(first)) {
			first, ok = d, true
		}
	}
	return first, ok
}
