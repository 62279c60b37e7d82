package api

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// refusalsEvery is the shortest time between two warnings about one source.
const refusalsEvery = time.Minute

// refusals logs deliveries with a wrong secret or signature, once a minute for each
// source. It is safe for concurrent use.
type refusals struct {
	now func() time.Time

	mu    sync.Mutex
	since map[string]*refused
}

type refused struct {
	warned time.Time
	count  int // since the last warning
}

func newRefusals() *refusals {
	return &refusals{now: time.Now, since: map[string]*refused{}}
}

// warn counts one refused delivery, and logs all of them since the last warning
// unless that is less than a minute ago.
func (r *refusals) warn(ctx context.Context, logger *slog.Logger, source string, cause error) {
	if n := r.due(source); n > 0 {
		logger.LogAttrs(ctx, slog.LevelWarn, "webhook deliveries refused; compare the secret with the registry's",
			slog.String("source", source), slog.Int("deliveries", n), slog.String("error", cause.Error()))
	}
}

// due returns the number of refusals since the last warning, or 0 while no further
// warning is due.
func (r *refusals) due(source string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.since[source]
	if s == nil {
		s = &refused{}
		r.since[source] = s
	}
	s.count++
	now := r.now()
	if !s.warned.IsZero() && now.Sub(s.warned) < refusalsEvery {
		return 0
	}
	n := s.count
	s.warned, s.count = now, 0
	return n
}
