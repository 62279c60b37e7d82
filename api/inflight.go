package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"
)

// maxInFlight bounds the updates of one caller that are under way: a pipeline
// that runs wild then waits for itself, not the others for it. A release of a
// few hundred services at once still passes.
const maxInFlight = 256

// inFlightError says that a caller has its share of updates under way.
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

// begin takes a place for one update of the caller, which end gives back. The
// error is an *inFlightError.
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

// limitInFlight takes a place for a request that posts an update before anything is
// spent on its body, until it is answered.
func (s *server) limitInFlight(c *gin.Context) {
	if c.FullPath() != updatesRoute || c.Request.Method != http.MethodPost {
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

// idle returns when no update is under way, or with the cause of ctx when that
// ends before.
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
