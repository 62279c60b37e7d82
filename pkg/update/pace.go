package update

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// Targets are asked only to confirm that they do not name an image at confirmRate a second
// at most, and in the long run at no more than the 900 points that GitHub allows in a
// minute, of which a read takes one.
const (
	confirmRate   = 40
	pointsMinute  = 900
	confirmLonger = time.Minute / pointsMinute
)

// PacedError reports that the pace leaves no time to ask all targets. Nothing was written.
type PacedError struct{}

// Error is a sentence for the caller.
func (*PacedError) Error() string {
	return "no target that was asked names the image, and asking the others takes longer than a request may; " +
		"nothing was written: name the repository, or send the request again"
}

// pace bounds how often targets are asked; its zero value does not. It is safe for
// concurrent use.
type pace struct{ second, minute *rate.Limiter }

func newPace(unpaced bool) pace {
	if unpaced {
		return pace{}
	}
	return pace{
		second: rate.NewLimiter(confirmRate, confirmRate),
		minute: rate.NewLimiter(rate.Every(confirmLonger), pointsMinute),
	}
}

// wait returns when another target may be asked. It returns a *PacedError at once when that
// is after ctx's deadline.
func (p pace) wait(ctx context.Context) error {
	if p.second == nil {
		return context.Cause(ctx)
	}
	for _, limiter := range []*rate.Limiter{p.minute, p.second} {
		if err := limiter.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &PacedError{}
		}
	}
	return nil
}
