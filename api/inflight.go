package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/gin-gonic/gin"
)

// maxInFlight bounds the updates of one caller that are under way, so that a
// runaway pipeline slows down itself and no other caller. It leaves room for a
// release of a few hundred services at once.
const maxInFlight = 256

// inFlightError is the refusal of a caller that has maxInFlight updates under way.
type inFlightError struct {
	limit int
}

// Error is a sentence for the caller.
func (e *inFlightError) Error() string {
	return fmt.Sprintf("%d updates of this caller are under way already; send the next one when some are answered", e.limit)
}

// inFlight counts updates by caller. It is safe for concurrent use.
type inFlight struct {
	limit int

	mu     sync.Mutex
	counts map[string]int
	empty  chan struct{} // closed when no update is under way
}

func newInFlight(limit int) *inFlight {
	f := &inFlight{limit: limit, counts: map[string]int{}, empty: make(chan struct{})}
	close(f.empty)
	return f
}

// begin counts one update of the caller, until end. The error is an *inFlightError.
func (f *inFlight) begin(caller string) (end func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts[caller] >= f.limit {
		return nil, &inFlightError{limit: f.limit}
	}
	if len(f.counts) == 0 {
		f.empty = make(chan struct{})
	}
	f.counts[caller]++
	return func() { f.end(caller) }, nil
}

// limitInFlight counts a request that posts an update from before its body is read
// until it is answered.
func (s *server) limitInFlight(c *gin.Context) {
	if c.Request.Method != http.MethodPost || !slices.Contains([]string{updatesRoute, rollbacksRoute, promotionsRoute}, c.FullPath()) {
		return
	}
	end, err := s.inFlight.begin(identityOf(c))
	if err != nil {
		abort(c, err)
		return
	}
	defer end()
	c.Next()
}

func (f *inFlight) end(caller string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts[caller]--; f.counts[caller] == 0 {
		delete(f.counts, caller)
		if len(f.counts) == 0 {
			close(f.empty)
		}
	}
}

// idle returns when no update is under way, or with ctx's cause if ctx ends first.
func (f *inFlight) idle(ctx context.Context) error {
	f.mu.Lock()
	empty := f.empty
	f.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
