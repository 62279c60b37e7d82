package sandbox_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	content   = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please retry your request again later."
)

// watch is a clock that tests set.
type watch struct {
	mu  sync.Mutex
	now time.Time
}

func newWatch() *watch { return &watch{now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)} }

func (w *watch) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) Add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func TestLimitFaults(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h := newHub(t, func(o *sandbox.Options) { o.Clock = w.Now })
	reset := fmt.Sprint(w.Now().Add(time.Minute).Unix())
	for _, status := range []int{403, 429} {
		h.Inject(sandbox.PrimaryLimit(status, time.Minute).Once())
		r := h.must(status, h.do("GET", "/branches/main", nil))
		if !strings.HasPrefix(r.text("message"), "API rate limit exceeded for user ID ") ||
			r.header.Get("X-RateLimit-Remaining") != "0" || r.header.Get("X-RateLimit-Reset") != reset || r.header.Get("Retry-After") != "" {
			t.Errorf("primary: %s %v", r.body, r.header)
		}
		h.Inject(sandbox.SecondaryLimit(status, 90*time.Second).Once())
		r = h.must(status, h.do("GET", "/branches/main", nil))
		if r.text("message") != secondary || r.header.Get("Retry-After") != "90" || r.header.Get("X-RateLimit-Remaining") == "0" ||
			!strings.HasSuffix(r.text("documentation_url"), "secondary-rate-limits") {
			t.Errorf("secondary: %s %v", r.body, r.header)
		}
		h.Inject(sandbox.SecondaryLimit(status, 0).Once())
		if r = h.must(status, h.do("GET", "/branches/main", nil)); r.header.Get("Retry-After") != "" {
			t.Errorf("Retry-After %q, want none", r.header.Get("Retry-After"))
		}
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		set     sandbox.Limiter
		method  string
		good    int
		status  int
		message string
		retry   string
		wait    time.Duration // until it is good again
	}{
		{"primary", sandbox.Limiter{PerHour: 3}, "GET", 3, 403, "API rate limit exceeded for user ID ", "", time.Hour},
		{"primary as 429", sandbox.Limiter{PerHour: 3, Status: 429}, "GET", 3, 429, "API rate limit exceeded for user ID ", "", time.Hour},
		{"points", sandbox.Limiter{PointsPerMinute: 12}, "POST", 2, 403, secondary, "60", time.Minute},
		{"content a minute", sandbox.Limiter{ContentPerMinute: 2}, "POST", 2, 403, content, "60", time.Minute},
		{"content an hour", sandbox.Limiter{ContentPerHour: 2}, "POST", 2, 403, content, "3600", time.Hour},
		{"without Retry-After", sandbox.Limiter{ContentPerHour: 2, NoRetryAfter: true}, "POST", 2, 403, content, "", time.Hour},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWatch()
			h := newHub(t, func(o *sandbox.Options) { o.Clock = w.Now })
			tc.set.On = true
			h.Configure(func(s *sandbox.Settings) { s.Limiter = tc.set })
			send := func() reply {
				if tc.method == "GET" {
					return h.do("GET", "/branches/main", nil)
				}
				return h.do("POST", "/git/blobs", map[string]string{"content": "x"})
			}
			for range tc.good {
				if r := send(); r.status >= 300 {
					t.Fatalf("refused too early: %d %s", r.status, r.body)
				}
			}
			r := h.must(tc.status, send())
			if !strings.HasPrefix(r.text("message"), tc.message) || r.header.Get("Retry-After") != tc.retry {
				t.Errorf("%s, Retry-After %q", r.body, r.header.Get("Retry-After"))
			}
			h.must(200, h.do("GET", "//rate_limit", nil))
			w.Add(tc.wait - time.Second)
			h.must(tc.status, send())
			w.Add(time.Second)
			if r := send(); r.status >= 300 {
				t.Errorf("still refused: %d %s", r.status, r.body)
			}
		})
	}
}

func TestConcurrentRequestsAreLimited(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Configure(func(s *sandbox.Settings) { s.Limiter = sandbox.Limiter{On: true, Concurrent: 1} })
	h.AddToken("second", sandbox.Token{Login: "octocat"}) // one user, one budget
	release, entered := make(chan struct{}), make(chan struct{})
	h.Inject(sandbox.Call(func() {
		close(entered)
		<-release
	}).On("GET", "/branches/").Once())
	held := make(chan reply, 1)
	go func() { held <- h.do("GET", "/branches/main", nil) }()
	<-entered
	other := h.do("GET", "/git/ref/heads/main", nil, "Authorization: Bearer second")
	close(release)
	if r := <-held; r.status != 200 || other.status != 403 || other.text("message") != secondary {
		t.Errorf("first %d, second %d %s", r.status, other.status, other.body)
	}
	h.must(200, h.do("GET", "/git/ref/heads/main", nil))
}

func TestHeadersAndConditionalRequests(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.AddToken("second", sandbox.Token{Name: "second"})
	first := h.must(200, h.do("GET", "/branches/main", nil))
	for name, want := range map[string]string{
		"Content-Type":                  "application/json; charset=utf-8",
		"X-Github-Api-Version-Selected": "2022-11-28",
		"X-Github-Media-Type":           "github.v3; format=json",
		"X-Ratelimit-Limit":             "5000",
		"X-Ratelimit-Resource":          "core",
		"X-Accepted-Github-Permissions": "contents=read",
		"Vary":                          "Accept, Authorization, Cookie, X-GitHub-OTP",
	} {
		if got := first.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"Etag", "X-Github-Request-Id", "X-Ratelimit-Reset"} {
		if first.header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	tag := "If-None-Match: " + first.header.Get("ETag")
	same := h.must(304, h.do("GET", "/branches/main", nil, tag))
	if len(same.body) != 0 || same.header.Get("ETag") != first.header.Get("ETag") {
		t.Errorf("304 with %d bytes and ETag %s", len(same.body), same.header.Get("ETag"))
	}
	remaining := []string{first.header.Get("X-RateLimit-Remaining"), same.header.Get("X-RateLimit-Remaining")}
	if diff := cmp.Diff([]string{"4999", "4999"}, remaining); diff != "" {
		t.Errorf("remaining (-want +got):\n%s", diff)
	}
	h.must(200, h.do("GET", "/branches/main", nil, tag, "Authorization: Bearer second"))
	h.must(200, h.do("GET", "/git/ref/heads/main", nil, tag))
	h.commit(sandbox.Files{"a": text("1")})
	h.must(200, h.do("GET", "/branches/main", nil, tag))
	var conditional int
	for _, r := range h.Requests() {
		if r.Conditional {
			conditional++
		}
		if strings.Contains(fmt.Sprint(r), "Bearer") || r.Token == "" {
			t.Errorf("log line %+v", r)
		}
	}
	if conditional != 1 {
		t.Errorf("%d requests logged as conditional, want 1", conditional)
	}
}

func TestOffLimiterNeverSaysZero(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Configure(func(s *sandbox.Settings) { s.Limiter.PerHour = 2 })
	for range 5 {
		if got := h.must(200, h.do("GET", "/branches/main", nil)).header.Get("X-RateLimit-Remaining"); got != "1" {
			t.Fatalf("remaining %s: at 0 clients would stop although nothing is limited", got)
		}
	}
}

// Callers without a credential have a small budget, and their own text.
func TestAnonymousLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Configure(func(s *sandbox.Settings) { s.Limiter.On = true })
	for range 60 {
		h.must(200, h.do("GET", "/branches/main", nil, "Authorization: "))
	}
	r := h.must(403, h.do("GET", "/branches/main", nil, "Authorization: "))
	if !strings.HasPrefix(r.text("message"), "API rate limit exceeded for 127.0.0.1. (But here's the good news") {
		t.Errorf("%s", r.body)
	}
	h.must(200, h.do("GET", "/branches/main", nil))
}
