package update

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// queue hands the requests for one target to apply: at once when none is in
// flight, else when the one before is done, and then, if they may share, all
// that wait in one call. It is safe for concurrent use.
type queue struct {
	share bool
	apply func(context.Context, []Request) []Result

	mu      sync.Mutex
	waiting []*ticket // in order of arrival
	running bool      // a goroutine drains waiting
	stopped bool
}

// ticket is a request on its way through the queue.
type ticket struct {
	ctx     context.Context // the caller's
	request Request
	done    chan Result // takes one Result without blocking
}

// do applies one request and returns its result. A request whose ctx ends while
// it waits is withdrawn; later its result comes when the call that it is part
// of returns, which ends with its deadline.
func (q *queue) do(ctx context.Context, r Request) Result {
	t := &ticket{ctx: ctx, request: r, done: make(chan Result, 1)}
	if !q.join(t) {
		return Result{Err: ErrStopping}
	}
	select {
	case result := <-t.done:
		return result
	case <-ctx.Done():
	}
	if q.withdraw(t) {
		return Result{Err: context.Cause(ctx)}
	}
	return <-t.done
}

func (q *queue) join(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return false
	}
	q.waiting = append(q.waiting, t)
	if !q.running {
		q.running = true
		go q.drain()
	}
	return true
}

func (q *queue) withdraw(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, t)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// stop ends every waiting request, and every later one, with ErrStopping.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	for _, t := range q.waiting {
		t.done <- Result{Err: ErrStopping}
	}
	q.waiting = nil
}

func (q *queue) drain() {
	for group := q.next(); len(group) > 0; group = q.next() {
		q.fly(group)
	}
}

// next takes the tickets that fly together; none ends the drain.
func (q *queue) next() []*ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting)
	if n > 1 && !q.share {
		n = 1
	}
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.running = n > 0
	return group
}

// fly applies the tickets' requests together until each has its result. The
// first deadline among them bounds a call: those that it ends are told so, and
// the others, for whom nothing was written then, fly again without them.
func (q *queue) fly(group []*ticket) {
	for len(group) > 0 {
		first, bounded := firstDeadline(group)
		ctx, cancel := together(group)
		results := q.apply(ctx, requests(group))
		cutShort := ctx.Err() != nil
		cancel()

		var again []*ticket
		for i, t := range group {
			err := results[i].Err
			switch {
			case cutShort && endedByContext(err) && !t.expired(),
				bounded && t.outlasts(first) && t.waitsFor(err):
				again = append(again, t)
			default:
				t.done <- results[i]
			}
		}
		group = again
	}
}

// requests are those of the tickets.
func requests(group []*ticket) []Request {
	out := make([]Request, len(group))
	for i, t := range group {
		out[i] = t.request
	}
	return out
}

// outlasts tells whether the caller has more time than until first.
func (t *ticket) outlasts(first time.Time) bool {
	deadline, ok := t.ctx.Deadline()
	return t.ctx.Err() == nil && (!ok || deadline.After(first))
}

// waitsFor tells whether err is a limit that ends before the caller's own time.
func (t *ticket) waitsFor(err error) bool {
	var limited *github.RateLimitError
	if !errors.As(err, &limited) || inDoubt(err) {
		return false
	}
	deadline, ok := t.ctx.Deadline()
	return !ok || time.Until(deadline) > limited.RetryAfter
}

// expired tells whether the caller waits no longer.
func (t *ticket) expired() bool {
	deadline, ok := t.ctx.Deadline()
	return t.ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// endedByContext tells that nothing was written because the time was over. What
// may have been written is another matter.
func endedByContext(err error) bool {
	return !inDoubt(err) && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
}

// inDoubt tells that a commit may be on the branch.
func inDoubt(err error) bool {
	var doubt *github.UnknownOutcomeError
	return errors.As(err, &doubt)
}

// together returns a context that ends with the group's first deadline, or when
// every caller is gone; its cause is then the last one's.
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
