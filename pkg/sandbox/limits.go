package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The texts of the limits and where they lead.
const (
	secondaryText = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	contentText   = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. " +
		"Please retry your request again later."
	primaryDoc   = docsRoot + "/overview/resources-in-the-rest-api#rate-limiting"
	secondaryDoc = "https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
)

// anonymousPerHour is the primary limit of callers without a credential.
const anonymousPerHour = 60

// limiter counts what each user and installation spends. It always counts, and
// refuses only when the settings switch it on. It is safe for concurrent use.
type limiter struct {
	mu      sync.Mutex
	budgets map[string]*budget
}

// budget is what one user or installation has spent.
type budget struct {
	reset    time.Time // end of the primary window
	used     int
	running  int
	spent    []spending  // of the last minute
	contents []time.Time // of the last hour
}

type spending struct {
	at     time.Time
	points int
}

func (l *limiter) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budgets = nil
}

// of returns the budget under the lock, with what is past forgotten.
func (l *limiter) of(key string, now time.Time) *budget {
	if l.budgets == nil {
		l.budgets = map[string]*budget{}
	}
	b := l.budgets[key]
	if b == nil {
		b = &budget{}
		l.budgets[key] = b
	}
	if !now.Before(b.reset) {
		b.reset, b.used = now.Add(time.Hour), 0
	}
	for len(b.spent) > 0 && now.Sub(b.spent[0].at) >= time.Minute {
		b.spent = b.spent[1:]
	}
	for len(b.contents) > 0 && now.Sub(b.contents[0]) >= time.Hour {
		b.contents = b.contents[1:]
	}
	return b
}

// budgetKey is whose budget the caller spends: all tokens of a user share one.
func (c *call) budgetKey() string {
	switch t := c.caller.token; {
	case t != nil && t.installation != nil:
		return fmt.Sprintf("installation ID %d", t.installation.ID)
	case t != nil:
		return fmt.Sprintf("user ID %d", userID(t.Login))
	case c.caller.app != nil:
		return fmt.Sprintf("app ID %d", c.caller.app.ID)
	}
	return "anonymous"
}

func (c *call) perHour() int {
	if c.caller.token == nil && c.caller.app == nil {
		return anonymousPerHour
	}
	return c.set.Limiter.PerHour
}

// admit charges the request, or refuses it. done ends its share of the
// concurrent ones.
func (c *call) admit() (done func(), refused *refusal) {
	l := &c.Server.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(c.budgetKey(), c.start)
	if c.set.Limiter.On && !c.route.free {
		if r := c.over(b); r != nil {
			return func() {}, r
		}
	}
	b.running++
	if !c.route.free {
		b.charge(c)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		b.running--
	}, nil
}

func (b *budget) charge(c *call) {
	b.used++
	b.spent = append(b.spent, spending{c.start, c.points()})
	if c.createsContent() {
		b.contents = append(b.contents, c.start)
	}
}

func (c *call) points() int {
	if c.writes() {
		return 5
	}
	return 1
}

func (c *call) createsContent() bool {
	return c.writes() && !c.route.app && (!c.set.Limiter.OnlyRefs || strings.Contains(c.route.path, "/git/refs"))
}

// over returns the refusal of the limit that the request would exceed, or nil.
func (c *call) over(b *budget) *refusal {
	set := c.set.Limiter
	exceeds := func(limit, now int) bool { return limit > 0 && now > limit }
	if exceeds(c.perHour(), b.used+1) {
		return c.primaryRefusal(set.Status, b.reset)
	}
	secondary := func(text string, oldest time.Time, window time.Duration) *refusal {
		wait := window - c.start.Sub(oldest)
		if set.NoRetryAfter {
			wait = 0
		}
		return secondaryRefusal(set.Status, text, Duration(wait))
	}
	points := c.points()
	for _, s := range b.spent {
		points += s.points
	}
	if exceeds(set.PointsPerMinute, points) {
		return secondary(secondaryText, b.spent[0].at, time.Minute)
	}
	if exceeds(set.Concurrent, b.running+1) {
		return secondary(secondaryText, c.start, time.Minute)
	}
	if !c.createsContent() {
		return nil
	}
	if exceeds(set.ContentPerHour, len(b.contents)+1) {
		return secondary(contentText, b.contents[0], time.Hour)
	}
	lastMinute := slices.IndexFunc(b.contents, func(at time.Time) bool { return c.start.Sub(at) < time.Minute })
	if lastMinute >= 0 && exceeds(set.ContentPerMinute, len(b.contents)-lastMinute+1) {
		return secondary(contentText, b.contents[lastMinute], time.Minute)
	}
	return nil
}

// refund takes back what a 304 does not cost.
func (c *call) refund() {
	if c.route.free {
		return
	}
	l := &c.Server.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.of(c.budgetKey(), c.start); b.used > 0 {
		b.used--
	}
}

// setLimitHeaders shows the primary budget. With the limiter off the remainder
// never goes below 1, because clients rightly stop at 0.
func (c *call) setLimitHeaders(h http.Header) {
	limit, used, reset := c.budget()
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(limit-used))
	h.Set("X-RateLimit-Used", strconv.Itoa(used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

func (c *call) budget() (limit, used int, reset time.Time) {
	l := &c.Server.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(c.budgetKey(), c.start)
	limit, used = c.perHour(), b.used
	if limit <= 0 {
		limit = DefaultSettings().Limiter.PerHour
	}
	if floor := limit - 1; !c.set.Limiter.On && used > floor {
		used = floor
	}
	return limit, min(used, limit), b.reset
}

func (c *call) primaryRefusal(status int, reset time.Time) *refusal {
	message := "API rate limit exceeded for " + c.budgetKey() + "."
	if c.caller.token == nil && c.caller.app == nil {
		host, _, _ := strings.Cut(c.r.RemoteAddr, ":")
		message = "API rate limit exceeded for " + host + ". (But here's the good news: " +
			"Authenticated requests get a higher rate limit. Check out the documentation for more details.)"
	}
	return &refusal{
		status: orForbidden(status), doc: primaryDoc, message: message,
		header: map[string]string{
			"X-RateLimit-Remaining": "0",
			"X-RateLimit-Used":      strconv.Itoa(c.perHour()),
			"X-RateLimit-Reset":     strconv.FormatInt(reset.Unix(), 10),
		},
	}
}

func secondaryRefusal(status int, text string, retryAfter Duration) *refusal {
	r := &refusal{status: orForbidden(status), doc: secondaryDoc, message: text}
	if retryAfter > 0 {
		seconds := int((time.Duration(retryAfter) + time.Second - 1) / time.Second)
		r.header = map[string]string{"Retry-After": strconv.Itoa(seconds)}
	}
	return r
}

func orForbidden(status int) int {
	if status == 0 {
		return http.StatusForbidden
	}
	return status
}

func orSecond(d Duration) time.Duration { return max(time.Duration(d), time.Second) }
