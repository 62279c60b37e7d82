package backoff

import (
	"context"
	"math/bits"
	"time"
)

// Policy is an exponential back-off. It is immutable and safe for concurrent use.
type Policy struct {
	// First is the wait after the first try; it doubles with each further one.
	First time.Duration
	// Most bounds the waits, jitter included. It is at least First.
	Most time.Duration
	// Spread is the part of a wait, from 0 to 1, by which it is shorter or longer
	// at random: 0.25 gives or takes a quarter.
	Spread float64
}

// After returns the wait after a number of tries, which counts from 1. random is in
// [0, 1) and does not matter without Spread.
func (p Policy) After(tries int, random float64) time.Duration {
	wait := p.Most
	doublings := max(tries-1, 0)
	if doublings < bits.LeadingZeros64(uint64(p.First)) { //nolint:gosec // a wait is not negative
		if doubled := p.First << doublings; doubled > 0 {
			wait = min(doubled, p.Most)
		}
	}
	return min(time.Duration((1-p.Spread+2*p.Spread*random)*float64(wait)), p.Most)
}

// Sleep waits for d. It returns the cause of ctx's end if that comes first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
