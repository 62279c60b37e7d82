package api

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"
)

const (
	// strangerBurst and strangerEvery are how many requests without a right token an
	// address may send: so many at once, and one more each time.
	strangerBurst = 20
	strangerEvery = time.Second
	// maxStrangers bounds the addresses that are remembered. Those beyond share a place.
	maxStrangers = 4096
	// sweepEvery is how often places are looked for that are free again.
	sweepEvery = time.Second
)

// slowedError is the answer to a request without a right token from an address that
// has sent many of them.
type slowedError struct {
	after time.Duration
}

// Error is a sentence for the caller.
func (e *slowedError) Error() string {
	return fmt.Sprintf("too many requests without a right token come from this address; send the next one in %s, or a right token now", e.after)
}

// strangers remember addresses that send requests without a right token. They are safe
// for concurrent use.
type strangers struct {
	now func() time.Time

	mu    sync.Mutex
	known map[netip.Prefix]*stranger
	rest  *stranger // all addresses that have no place of their own
	swept time.Time
}

type stranger struct {
	limiter *rate.Limiter
	warned  time.Time
	count   int // since the last warning
}

func newStranger() *stranger {
	return &stranger{limiter: rate.NewLimiter(rate.Every(strangerEvery), strangerBurst)}
}

func newStrangers() *strangers {
	return &strangers{now: time.Now, known: map[netip.Prefix]*stranger{}, rest: newStranger()}
}

// failed counts a request without a right token. wait is how long the address should
// wait before the next one, zero while it has sent few; due is the number of them since
// the last warning if another warning is due, else zero.
func (s *strangers) failed(address netip.Prefix) (wait time.Duration, due int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	one := s.ofLocked(address, now)
	one.count++
	if one.warned.IsZero() || now.Sub(one.warned) >= refusalsEvery {
		due, one.warned, one.count = one.count, now, 0
	}
	if !one.limiter.AllowN(now, 1) {
		wait = strangerEvery
	}
	return wait, due
}

// ofLocked returns the address's place, or the shared one while none is free.
func (s *strangers) ofLocked(address netip.Prefix, now time.Time) *stranger {
	one := s.known[address]
	if one == nil && len(s.known) == maxStrangers && now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for other, old := range s.known { // those that are as good as new
			if now.Sub(old.warned) >= refusalsEvery && old.limiter.TokensAt(now) >= strangerBurst {
				delete(s.known, other)
			}
		}
	}
	switch {
	case one != nil:
		return one
	case len(s.known) == maxStrangers:
		return s.rest
	}
	one = newStranger()
	s.known[address] = one
	return one
}

// refuse ends a request without a right token: with cause, or with a *slowedError for an
// address that has sent many. The address is warned of once a minute.
func (s *server) refuse(c *gin.Context, cause error) {
	address := s.proxies.client(c.Request)
	wait, due := s.strangers.failed(address)
	verdict := verdictRefused
	factsOf(c).counted = true
	if wait > 0 {
		verdict, cause = verdictSlowed, &slowedError{after: wait}
	}
	s.metrics.wrongTokens.WithLabelValues(verdict).Inc()
	if due > 0 {
		text := address.String()
		if address.IsSingleIP() {
			text = address.Addr().String()
		}
		s.logger.LogAttrs(c.Request.Context(), slog.LevelWarn, "requests without a right token; more of this address are counted for a minute",
			slog.String("address", text), slog.Int("requests", due), slog.String("request_id", requestID(c)),
			slog.String("path", clip(c.Request.URL.Path, maxLogText)), slog.String("error", cause.Error()))
	}
	abort(c, cause)
}

// verdictSlowed is the verdict on a wrong token, in the metrics, that is answered 429.
const verdictSlowed = "slowed"
