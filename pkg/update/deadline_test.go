package update_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestDeadlineIsNoDeparture has flights end at the moment in which their only
// caller's time is over: that is a deadline, and not a caller who is gone. Which
// of the two is noticed first is chance, so that there are many of them.
func TestDeadlineIsNoDeparture(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 40 {
				b := &branch{files: map[string]string{"a.yaml": "image: octo-org/a:1\n"}}
				b.onCommit = func(ctx context.Context, _ int) error {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
				results, err := newService(b, true).Update(ctx, request(t, "octo-org/a", "2"))
				cancel()
				if err != nil || len(results) != 1 || results[0].Status == update.Committed || !errors.Is(results[0].Err, context.DeadlineExceeded) {
					t.Errorf("results %+v, error %v, want the deadline", results, err)
				}
			}
		})
	}
	all.Wait()
}
