package cli

import (
	"context"
	"time"
)

// Clock is what commands wait by.
type Clock interface {
	Now() time.Time
	// Sleep waits, and reports whether ctx still goes on.
	Sleep(ctx context.Context, d time.Duration) bool
}

// machine is the clock of this machine.
type machine struct{}

func (machine) Now() time.Time { return time.Now() }

func (machine) Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
