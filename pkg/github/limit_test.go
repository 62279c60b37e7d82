package github_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func wantLimited(t *testing.T, err error, secondary bool, least, most time.Duration) {
	t.Helper()
	var limited *github.RateLimitError
	if !errors.As(err, &limited) {
		t.Fatalf("error %v (%T), want a *RateLimitError", err, err)
	}
	if limited.Secondary != secondary || limited.RetryAfter < least || limited.RetryAfter > most {
		t.Fatalf("secondary %v, retry after %s; want %v within [%s, %s]", limited.Secondary, limited.RetryAfter, secondary, least, most)
	}
}

// impatient is a context that ends long before a limit does.
func impatient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestLimitsAreRecognised(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		fault       sandbox.Fault
		secondary   bool
		least, most time.Duration
	}{
		{"primary, 403", sandbox.PrimaryLimit(403, 30*time.Minute), false, 29 * time.Minute, 30 * time.Minute},
		{"primary, 429", sandbox.PrimaryLimit(429, 30*time.Minute), false, 29 * time.Minute, 30 * time.Minute},
		{"secondary, 403", sandbox.SecondaryLimit(403, 45*time.Second), true, 40 * time.Second, 45 * time.Second},
		{"secondary, 429", sandbox.SecondaryLimit(429, 45*time.Second), true, 40 * time.Second, 45 * time.Second},
		{"secondary, 403 without a time", sandbox.SecondaryLimit(403, 0), true, 59 * time.Second, time.Minute},
		{"secondary, 429 without a time", sandbox.SecondaryLimit(429, 0), true, 59 * time.Second, time.Minute},
		{"429 without a word", sandbox.Refuse(429, ""), true, 59 * time.Second, time.Minute},
		{"abuse", sandbox.Refuse(403, "You have triggered an abuse detection mechanism."), true, 59 * time.Second, time.Minute},
		{"content creation", sandbox.Refuse(403, "You have exceeded a secondary rate limit and have been temporarily blocked from content creation."), true, 59 * time.Second, time.Minute},
	} {
		for _, at := range []struct{ method, endpoint string }{
			{"GET", "branches"},
			{"GET", "git/trees"},
			{"GET", "git/blobs"},
			{"GET", "tarball"},
			{"POST", "git/trees"},
			{"POST", "git/commits"},
			{"PATCH", "git/refs"},
		} {
			t.Run(test.name+" at "+at.method+" "+at.endpoint, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				files := 1 // so that nothing is asked for side by side
				if at.endpoint == "tarball" {
					files = 50
				}
				w.push(many(files))
				w.sb.Inject(test.fault.On(at.method, at.endpoint).Once())
				before := w.head()
				err := update(impatient(t), w.branch())
				wantLimited(t, err, test.secondary, test.least, test.most)
				if w.head() != before {
					t.Error("something was written")
				}

				// Nothing is sent into a limit that is known.
				w.spent()
				wantLimited(t, update(impatient(t), w.branch()), test.secondary, test.least-time.Second, test.most)
				w.wantSpent()
				if until := w.client.RateLimit(parse(t, repoName)).LimitedUntil; until.Before(w.clock.Now()) {
					t.Errorf("limited until %s", until)
				}

				w.clock.advance(test.most)
				w.must(update(impatient(t), w.branch()))
			})
		}
	}
}

// update reads the branch and sets its first application's version.
func update(ctx context.Context, b *github.Branch) error {
	s, err := b.Snapshot(ctx)
	if err != nil {
		return err
	}
	if _, err := readYAML(ctx, b, s); err != nil {
		return err
	}
	_, err = b.Commit(ctx, s, set(s, "apps/team-0/app-0000.yaml", fmt.Sprintf("image: x:%d\n", time.Now().UnixNano())))
	return err
}

// A limit that ends before the caller's deadline is waited for.
func TestShortLimitsAreWaitedFor(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"primary":   sandbox.PrimaryLimit(403, 5*time.Second),
		"secondary": sandbox.SecondaryLimit(429, 5*time.Second),
	} {
		for _, at := range []struct{ method, endpoint string }{{"GET", "branches"}, {"POST", "git/trees"}, {"PATCH", "git/refs"}} {
			t.Run(name+" at "+at.method+" "+at.endpoint, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.push(many(2))
				w.sb.Inject(fault.On(at.method, at.endpoint).Once())
				w.must(update(impatient(t), w.branch()))
				var slept time.Duration
				for _, d := range w.clock.slept {
					slept += d
				}
				if slept < 3*time.Second || slept > 7*time.Second {
					t.Errorf("slept %v, want the limit's 5 seconds", w.clock.slept)
				}
			})
		}
	}
}

func TestSecondaryLimitWithoutATimeGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(2))
	w.sb.Inject(sandbox.SecondaryLimit(403, 0).On("GET", "branches").For(3))
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		wantLimited(t, update(impatient(t), w.branch()), true, want-time.Second, want)
		w.clock.advance(want)
	}
	w.must(update(impatient(t), w.branch()))
}

// The last request of the hour says so, and the next one is not sent.
func TestUsedUpBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(2))
	w.sb.Configure(func(s *sandbox.Settings) { s.Limiter.On, s.Limiter.PerHour = true, 4 })
	wantLimited(t, update(impatient(t), w.branch()), false, 50*time.Minute, time.Hour)
	if got := w.spent(); len(got) != 4 {
		t.Errorf("spent %v of a budget of 4", got)
	}
	limit := w.client.RateLimit(parse(t, repoName))
	if limit.Limit != 4 || limit.Remaining != 0 || limit.Reset.Before(w.clock.Now()) {
		t.Errorf("the budget is told as %+v", limit)
	}
}

// The last permitted request may be refused for a reason of its own.
func TestPermissionAtTheEndOfTheBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(_ *http.Request, resp *http.Response) {
			resp.StatusCode = http.StatusForbidden
			resp.Header.Set("X-RateLimit-Remaining", "0")
			setBody(resp, `{"message":"Resource not accessible by integration"}`)
		}}
	})
	_, err := client.Branch(parse(t, repoName), "main").Snapshot(t.Context())
	wantKind(t, err, github.ErrForbidden, http.StatusForbidden)
}

func TestRetryAfterMayBeADate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(_ *http.Request, resp *http.Response) {
			resp.StatusCode = http.StatusTooManyRequests
			resp.Header.Set("Retry-After", w.clock.Now().Add(90*time.Second).UTC().Format(http.TimeFormat))
		}}
	})
	_, err := client.Branch(parse(t, repoName), "main").Snapshot(impatient(t))
	wantLimited(t, err, true, 80*time.Second, 90*time.Second)
}

// The budget of another resource is none of the REST API's.
func TestBudgetOfAnotherResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(_ *http.Request, resp *http.Response) {
			resp.Header.Set("X-RateLimit-Resource", "search")
			resp.Header.Set("X-RateLimit-Remaining", "0")
			resp.Header.Set("X-RateLimit-Reset", strconv.FormatInt(w.clock.Now().Add(time.Hour).Unix(), 10))
		}}
	})
	w.snapshot(client.Branch(parse(t, repoName), "main"))
}

// A burst goes out at once; a load that goes on is held to GitHub's published
// limits, here those of the embedded one.
func TestWritesArePaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(2))
	w.sb.Configure(func(s *sandbox.Settings) { s.Limiter.On, s.Limiter.OnlyRefs = true, true })
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	start := w.clock.Now()
	const commits = 80
	for i := range commits {
		w.must(update(ctx, w.branch()))
		if elapsed := w.clock.Now().Sub(start); i == 39 && elapsed > 20*time.Second {
			t.Errorf("a burst of 40 commits took %s", elapsed)
		}
	}
	if elapsed := w.clock.Now().Sub(start); elapsed < time.Minute || elapsed > 5*time.Minute {
		t.Errorf("%d commits took %s", commits, elapsed)
	}
	for _, r := range w.requests() {
		if r.Status == http.StatusForbidden || r.Status == http.StatusTooManyRequests {
			t.Fatalf("%s ran into a limit", r.Endpoint)
		}
	}
}

func TestPaceIsNotWaitedForBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(2))
	const burst = 40
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		err := update(ctx, w.branch())
		cancel()
		if err != nil {
			wantLimited(t, err, true, 2400*time.Millisecond, 4*time.Second)
			if i < burst {
				t.Errorf("commit %d of a burst of %d is held", i+1, burst)
			}
			return
		}
		if i == 10*burst {
			t.Fatal("nothing is held")
		}
	}
}

func TestUnpaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *github.Options) { o.Unpaced = true })
	w.push(many(2))
	for range 40 {
		w.must(update(t.Context(), w.branch()))
	}
	if len(w.clock.slept) != 0 {
		t.Errorf("slept %v", w.clock.slept)
	}
}

// Answers overtake each other: the smallest budget of an hour counts.
func TestSmallestBudgetCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := []string{"7", "4", "6"}
	reset := strconv.FormatInt(w.clock.Now().Add(time.Hour).Unix(), 10)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(_ *http.Request, resp *http.Response) {
			resp.Header.Set("X-RateLimit-Reset", reset)
			resp.Header.Set("X-RateLimit-Remaining", told[0])
			told = told[1:]
		}}
	})
	for range 3 {
		_, err := client.Check(t.Context(), parse(t, repoName))
		w.must(err)
	}
	if got := client.RateLimit(parse(t, repoName)).Remaining; got != 4 {
		t.Errorf("%d are told to remain, want 4", got)
	}
}

// In no minute more commits than 900 points allow, in no hour more than 500,
// however long it goes on.
func TestPaceStaysWithinThePublishedLimits(t *testing.T) {
	t.Parallel()
	var now clock
	commit := github.NewPace(now.Now, now.Sleep)
	var at []time.Time
	for range 1500 {
		if err := commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		at = append(at, now.Now())
	}
	for i := range at {
		if j := i + 900/16 + 1; j < len(at) && at[j].Sub(at[i]) < time.Minute-time.Second {
			t.Fatalf("commits %d to %d are made within %s", i, j, at[j].Sub(at[i]))
		}
		if j := i + 501; j < len(at) && at[j].Sub(at[i]) < time.Hour-time.Second {
			t.Fatalf("commits %d to %d are made within %s", i, j, at[j].Sub(at[i]))
		}
	}
	if took := at[len(at)-1].Sub(at[0]); took < 5*time.Hour || took > 7*time.Hour {
		t.Errorf("%d commits took %s", len(at), took)
	}
}

// A primary limit whose hour is over by our clock is tried again soon.
func TestPrimaryLimitThatIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sb.Inject(sandbox.PrimaryLimit(http.StatusForbidden, -time.Second).Once())
	w.snapshot(w.branch())
	if len(w.clock.slept) != 1 || w.clock.slept[0] > 2*time.Second {
		t.Errorf("slept %v", w.clock.slept)
	}
}

func TestPaceIsToldFromALimit(t *testing.T) {
	t.Parallel()
	own := &github.RateLimitError{RetryAfter: 3 * time.Second, Secondary: true, Paced: true}
	theirs := &github.RateLimitError{RetryAfter: 3 * time.Second, Secondary: true}
	if own.Error() == theirs.Error() || !strings.Contains(own.Error(), "retry after 3s") {
		t.Errorf("%q and %q", own, theirs)
	}
}
