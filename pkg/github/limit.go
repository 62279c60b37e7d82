package github

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
)

// GitHub's published limits are 900 points a minute, of which a write takes five
// and a read one, and for what creates content 80 requests a minute and 500 an hour
// (https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
// It is not published what creates content: here a ref update does, which is one
// commit. Both paces are counted in commits, which are three writes and a read each
// (very large ones are more), and each burst and its refill together stay within
// what is published for such a period. A load that goes on for hours is held to 200
// commits an hour, not far above the 166 that were allowed if all three writes of a
// commit counted; beyond that GitHub's own answers decide.
const (
	minuteBurst  = 40
	minuteRefill = 16 // a minute
	hourBurst    = 300
	hourRefill   = 200 // an hour
)

const (
	// patience is how long a caller without a deadline waits for a limit to end.
	patience = time.Minute
	// shortestWait is the least that a RateLimitError asks for.
	shortestWait = time.Second
)

// secondaryWaits follow secondary limits that tell no time (GitHub asks for at
// least a minute).
var secondaryWaits = backoff.Policy{First: time.Minute, Most: 15 * time.Minute}

// The headers that tell the hourly budget.
const (
	headerLimit     = "X-RateLimit-Limit"
	headerRemaining = "X-RateLimit-Remaining"
	headerReset     = "X-RateLimit-Reset"
	headerUsed      = "X-RateLimit-Used"
	headerResource  = "X-RateLimit-Resource"
)

// RateLimit is the credential's budget as GitHub last reported it.
type RateLimit struct {
	// Limit is the number of requests per hour, 0 while it is unknown.
	Limit     int
	Remaining int
	Reset     time.Time
	// LimitedUntil is the end of the limit that GitHub last reported; zero or in the
	// past when no limit is in force.
	LimitedUntil time.Time
	// Secondary reports that this limit is a secondary one.
	Secondary bool
}

// limiter keeps the limits of one credential, or of an App for one account. It is safe for concurrent use.
type limiter struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	reads        chan struct{} // one place for each read in flight
	readings     places        // for trees and sets of files
	minute, hour *rate.Limiter // nil: not paced

	mu      sync.Mutex
	last    RateLimit
	strikes int // secondary limits without a time since the last success
}

func newLimiter(now func() time.Time, sleep func(context.Context, time.Duration) error, paced bool) *limiter {
	l := &limiter{now: now, sleep: sleep, reads: make(chan struct{}, parallelReads), readings: places{free: parallelReadings}}
	if paced {
		l.minute = rate.NewLimiter(rate.Every(time.Minute/minuteRefill), minuteBurst)
		l.hour = rate.NewLimiter(rate.Every(time.Hour/hourRefill), hourBurst)
	}
	return l
}

// admit returns when no limit is known that a request would run into. It waits at
// most until ctx's deadline; when that is not enough it returns a
// *RateLimitError at once.
func (l *limiter) admit(ctx context.Context) error {
	for {
		refusal := l.refusal()
		if refusal == nil {
			return nil
		}
		if err := l.wait(ctx, *refusal); err != nil {
			return err
		}
	}
}

// enter waits for a place to read something. leave gives it back.
func (l *limiter) enter(ctx context.Context, what placeKind, op string) (leave func(), err error) {
	if err := l.readings.enter(ctx, what); err != nil {
		return nil, translate(ctx, op, nil, err)
	}
	return l.readings.leave, nil
}

// admitCommit is admit for a whole commit, which also keeps to the pace, and is
// asked before the commit's first write, so that nothing is waited for between the
// writes. A draft's two writes do not ask it: they may come to nothing, and the pace
// counts ref updates. What becomes of a draft's commit asks before that.
func (l *limiter) admitCommit(ctx context.Context) error {
	if err := l.admit(ctx); err != nil {
		return err
	}
	for _, bucket := range []*rate.Limiter{l.minute, l.hour} {
		if bucket == nil {
			continue
		}
		if err := l.pace(ctx, bucket); err != nil {
			return err
		}
	}
	return nil
}

// pace takes a place in the bucket and waits for it, or gives it back.
func (l *limiter) pace(ctx context.Context, bucket *rate.Limiter) error {
	now := l.now()
	place := bucket.ReserveN(now, 1)
	delay := place.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	if err := l.wait(ctx, RateLimitError{RetryAfter: delay, Secondary: true, Paced: true}); err != nil {
		place.CancelAt(now)
		return err
	}
	return nil
}

// wait sleeps for as long as the refusal asks for, or returns it when ctx would
// end before.
func (l *limiter) wait(ctx context.Context, refusal RateLimitError) error {
	budget := patience
	if deadline, ok := ctx.Deadline(); ok {
		budget = time.Until(deadline)
	}
	if refusal.RetryAfter >= budget {
		refusal.RetryAfter = max(refusal.RetryAfter, shortestWait)
		return &refusal
	}
	return l.sleep(ctx, refusal.RetryAfter)
}

// refusal returns the error of a request now, nil when no limit is known.
func (l *limiter) refusal() *RateLimitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if wait := l.last.LimitedUntil.Sub(now); wait > 0 {
		return &RateLimitError{RetryAfter: wait, Secondary: l.last.Secondary}
	}
	if wait := l.last.Reset.Sub(now); l.last.Limit > 0 && l.last.Remaining == 0 && wait > 0 {
		return &RateLimitError{RetryAfter: wait}
	}
	return nil
}

// forget takes in that the limits are another credential's from now on.
func (l *limiter) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.strikes = RateLimit{}, 0
}

// known returns the budget.
func (l *limiter) known() RateLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// learn takes in an answer's status and headers, and its message where it is an
// error. It returns a *RateLimitError when the answer is a limit's.
func (l *limiter) learn(resp *http.Response, message string) *RateLimitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.budget(resp.Header)
	if !isLimit(resp, message) {
		if resp.StatusCode < 300 {
			l.strikes = 0
		}
		return nil
	}
	wait, secondary := l.waitOf(resp.Header, strings.ToLower(message), now)
	wait = max(wait, shortestWait)
	if until := now.Add(wait); until.After(l.last.LimitedUntil) {
		l.last.LimitedUntil, l.last.Secondary = until, secondary
	}
	return &RateLimitError{RetryAfter: wait, Secondary: secondary}
}

// budget records the hourly budget from a response of the REST API.
func (l *limiter) budget(h http.Header) {
	if resource := h.Get(headerResource); resource != "" && resource != "core" {
		return
	}
	limit, err := strconv.Atoi(h.Get(headerLimit))
	if err != nil {
		return
	}
	remaining, err := strconv.Atoi(h.Get(headerRemaining))
	if err != nil {
		return
	}
	seconds, err := strconv.ParseInt(h.Get(headerReset), 10, 64)
	if err != nil {
		return
	}
	reset := time.Unix(seconds, 0)
	if limit == l.last.Limit && reset.Equal(l.last.Reset) {
		remaining = min(remaining, l.last.Remaining) // answers overtake each other
	}
	l.last.Limit, l.last.Remaining, l.last.Reset = limit, remaining, reset
}

// waitOf returns how long to wait after a rate-limit response: its Retry-After, otherwise
// until the hourly budget resets, otherwise a minute and longer each time.
func (l *limiter) waitOf(h http.Header, message string, now time.Time) (wait time.Duration, secondary bool) {
	exhausted := h.Get(headerRemaining) == "0"
	secondary = mentionsSecondary(message) || !exhausted && !mentionsPrimary(message)
	if wait, ok := retryAfter(h, now); ok {
		return wait, secondary
	}
	if (exhausted || !secondary) && !l.last.Reset.IsZero() {
		return l.last.Reset.Sub(now), secondary // over already when the clocks differ
	}
	l.strikes++
	return secondaryWaits.After(l.strikes, 0), secondary
}

// isLimit reports whether a response is a primary or secondary limit. GitHub uses
// 403 and 429 for both.
func isLimit(resp *http.Response, message string) bool {
	if resp.StatusCode == http.StatusTooManyRequests {
		return true
	}
	if resp.StatusCode != http.StatusForbidden {
		return false
	}
	message = strings.ToLower(message)
	if resp.Header.Get("Retry-After") != "" || mentionsSecondary(message) || mentionsPrimary(message) {
		return true
	}
	// The last request of an hour may be refused for another reason.
	return resp.Header.Get(headerRemaining) == "0" && !isPermission(message)
}

func mentionsSecondary(message string) bool {
	return strings.Contains(message, "secondary rate") || strings.Contains(message, "abuse detection")
}

func mentionsPrimary(message string) bool {
	return strings.Contains(message, "api rate limit exceeded") || strings.Contains(message, "rate limit of")
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, 24*time.Hour), true
	}
	if date, err := http.ParseTime(value); err == nil {
		return date.Sub(now), true
	}
	return 0, false
}

// watch is the layer that keeps limiters informed. It turns an answer that is a
// limit's into a *RateLimitError, and hides the budget from the layers above,
// which would keep limits of their own.
type watch struct {
	next   http.RoundTripper
	limits func(Repo) *limiter
}

// RoundTrip implements http.RoundTripper. No request is sent into a known limit.
func (w *watch) RoundTrip(req *http.Request) (*http.Response, error) {
	limits := w.limits(repoOf(req.Context()))
	if refusal := limits.refusal(); refusal != nil {
		closeBody(req.Body)
		refusal.RetryAfter = max(refusal.RetryAfter, shortestWait)
		return nil, refusal
	}
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	message := ""
	if resp.StatusCode >= 400 {
		message = peekAnswer(resp).message
	}
	if refusal := limits.learn(resp, message); refusal != nil {
		closeBody(resp.Body)
		return nil, refusal
	}
	for _, name := range []string{headerLimit, headerRemaining, headerReset, headerUsed, headerResource} {
		resp.Header.Del(name)
	}
	return resp, nil
}
