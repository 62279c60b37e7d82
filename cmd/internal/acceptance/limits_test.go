package acceptance_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// Every form of a limit, at a read and at each write, is answered 503 with the
// time to come back, is told by /readyz and the metrics, and no further request is
// sent into it.
func TestLimits(t *testing.T) {
	t.Parallel()
	const long = 30 * time.Minute
	forms := []struct {
		name        string
		fault       sandbox.Fault
		least, most time.Duration
	}{
		{"primary 403", sandbox.PrimaryLimit(403, long), long - time.Minute, long},
		{"primary 429", sandbox.PrimaryLimit(429, long), long - time.Minute, long},
		{"secondary 403", sandbox.SecondaryLimit(403, long), long - time.Minute, long},
		{"secondary 429", sandbox.SecondaryLimit(429, long), long - time.Minute, long},
		{"secondary 403 without a time", sandbox.SecondaryLimit(403, 0), 50 * time.Second, time.Minute},
		{"secondary 429 without a time", sandbox.SecondaryLimit(429, 0), 50 * time.Second, time.Minute},
	}
	places := []struct{ method, endpoint string }{
		{http.MethodGet, "branches"}, {http.MethodPost, "git/trees"}, {http.MethodPatch, "git/refs"},
	}
	for _, form := range forms {
		for _, at := range places {
			t.Run(form.name+" at "+at.method, func(t *testing.T) {
				t.Parallel()
				w := start(t, onMain, withEnv("UPDATE_TIMEOUT", "20s"))
				before := w.head()
				w.hub.Inject(form.fault.On(at.method, at.endpoint).Once())
				w.wantLimited(w.post(mission), form.least, form.most)

				mark := w.mark()
				w.wantLimited(w.post(mission), form.least-time.Minute, form.most)
				w.wantSpent(mark)
				if w.head() != before {
					t.Error("the branch moved")
				}
				w.wantLimitTold()
			})
		}
	}
}

// wantLimited fails unless the answer asks for a wait within the bounds.
func (w *world) wantLimited(r reply, least, most time.Duration) {
	w.t.Helper()
	if r.status != http.StatusServiceUnavailable || r.problem.Code != api.ProblemCodeUpstreamRateLimited {
		w.t.Fatalf("status %d: %s", r.status, r.body)
	}
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if wait := time.Duration(seconds) * time.Second; err != nil || seconds < 1 || wait < least || wait > most {
		w.t.Errorf("Retry-After %q, want from %s to %s", r.header.Get("Retry-After"), least, most)
	}
}

// wantLimitTold fails unless /readyz is 200 and tells the limit, and the metrics
// count the refusals.
func (w *world) wantLimitTold() {
	w.t.Helper()
	r := w.get("/readyz")
	var ready api.Readiness
	if err := json.Unmarshal([]byte(r.body), &ready); err != nil {
		w.t.Fatal(err)
	}
	got := ready.Github[0]
	if r.status != http.StatusOK || got.State != api.GitHubReadinessStateLimited || got.Detail == nil || got.RateLimit == nil {
		w.t.Errorf("/readyz: %d %s", r.status, r.body)
	}
	metrics := w.get("/metrics").body
	if want := `versions_service_updates_total{outcome="upstream_rate_limited"} 2`; !strings.Contains(metrics, want) {
		w.t.Errorf("the metrics lack %s", want)
	}
}

// A limit that is over before the caller's deadline is waited for.
func TestShortLimitIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault sandbox.Fault
	}{
		{"primary", sandbox.PrimaryLimit(http.StatusForbidden, time.Second)},
		{"secondary", sandbox.SecondaryLimit(http.StatusTooManyRequests, time.Second)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain)
			w.hub.Inject(tt.fault.On(http.MethodPost, "git/commits").Once())
			wantCommitted(t, w.post(mission))
		})
	}
}

// The budget that GitHub tells is in the metrics and in /readyz.
func TestBudgetIsTold(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	w.hub.Configure(func(s *sandbox.Settings) { s.Limiter.On, s.Limiter.PerHour = true, 100 })
	wantCommitted(t, w.post(mission))
	spent := w.mark()
	metrics := w.get("/metrics").body
	for _, want := range []string{
		"versions_service_github_rate_limit 100\n",
		"versions_service_github_rate_limit_remaining " + strconv.Itoa(100-spent) + "\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	var ready api.Readiness
	w.must(json.Unmarshal([]byte(w.get("/readyz").body), &ready))
	if limit := ready.Github[0].RateLimit; limit == nil || limit.Limit != 100 || limit.Remaining > 100-spent {
		t.Errorf("/readyz: %+v", limit)
	}
}

// A burst goes out at once under GitHub's own limiter with its published numbers,
// and is never refused.
func TestBurstStaysWithinThePublishedLimits(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	w.hub.Configure(func(s *sandbox.Settings) { s.Limiter.On, s.Limiter.OnlyRefs = true, true })
	for i := range 20 {
		wantCommitted(t, w.post(setTo(node, "v"+strconv.Itoa(i))))
	}
	for _, r := range w.calls() {
		if r.Status == http.StatusForbidden || r.Status == http.StatusTooManyRequests {
			t.Errorf("%s was answered %d", r.Endpoint, r.Status)
		}
	}
}
