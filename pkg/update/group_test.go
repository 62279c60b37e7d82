package update_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestMessageNamesEverybody has two callers ask for the same: they share a commit
// in which both can be found.
func TestMessageNamesEverybody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := held(release)
		s := newService(b, true)
		later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		var results []<-chan update.Result
		for _, id := range []string{"one", "two"} {
			r := request(t, "octo-org/b", "2")
			r.ID, r.Caller = id, "caller-"+id
			results = append(results, later(t.Context(), t, s, r))
		}
		close(release)
		for _, r := range results {
			<-r
		}
		message := b.commits[len(b.commits)-1].Message
		for _, part := range []string{"Update-Id: one", "Update-Id: two", "Requested-By: caller-one", "Requested-By: caller-two"} {
			if strings.Count(message, part) != 1 {
				t.Errorf("message %q does not say %q once", message, part)
			}
		}
	})
}

// TestMessageOfSharedCommit has 5 and 50 requests share a commit: what each is told of it
// does not grow with the others.
func TestMessageOfSharedCommit(t *testing.T) {
	t.Parallel()
	longest := func(t *testing.T, requests int) (longest int) {
		t.Helper()
		release := make(chan struct{})
		b := held(release)
		app := func(n int) string { return fmt.Sprintf("octo-org/app-%03d", n) }
		for n := range requests {
			b.files[app(n)+".yaml"] = "image: " + app(n) + ":1\n"
		}
		s := newService(b, true)
		later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		var results []<-chan update.Result
		for n := range requests {
			r := request(t, app(n), "2")
			r.ID = fmt.Sprintf("id-%03d", n)
			results = append(results, later(t.Context(), t, s, r))
		}
		close(release)
		for n, result := range results {
			own := fmt.Sprintf("Update %d images\n\n- Update octo-org/app-%03[2]d to 2\n\nImage: octo-org/app-%03[2]d\nVersion: 2\nUpdate-Id: id-%03[2]d", requests, n)
			message := (<-result).Commit.Message
			if message != own {
				t.Errorf("message %q, want %q", message, own)
			}
			longest = max(longest, len(message))
		}
		if whole := b.commits[len(b.commits)-1].Message; strings.Count(whole, "Update-Id: ") != requests {
			t.Errorf("the commit's message: %q", whole)
		}
		return longest
	}
	synctest.Test(t, func(t *testing.T) {
		if few, many := longest(t, 5), longest(t, 50); many > few+len("0") {
			t.Errorf("%d bytes for 5 requests, %d for 50", few, many)
		}
	})
}

// TestPanicIsAnError lets a fault of this program end an update and nothing else.
func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	for _, dry := range []bool{false, true} {
		b := &branch{files: map[string]string{"a.yaml": "image: octo-org/a:1\n"}}
		broken := true
		b.onSnapshot = func() {
			if broken {
				panic("broken")
			}
		}
		s := newService(b, true)
		r := request(t, "octo-org/a", "2")
		r.DryRun = dry
		var fault *update.PanicError
		if got := one(t.Context(), t, s, r); !errors.As(got.Err, &fault) || !strings.Contains(string(fault.Stack), "group_test.go") {
			t.Errorf("dry run %v: %v", dry, got.Err)
		}
		broken = false
		if got := one(t.Context(), t, s, r); got.Err != nil {
			t.Errorf("dry run %v: the next: %v", dry, got.Err)
		}
	}
}

// TestLimitIsWaitedForByThoseWhoCan has a limit end before the time of one of
// two callers that share a call.
func TestLimitIsWaitedForByThoseWhoCan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := held(release)
		first := b.onCommit
		limit := time.Now().Add(20 * time.Second)
		b.onCommit = func(ctx context.Context, n int) error {
			if n == 1 {
				return first(ctx, n)
			}
			wait := time.Until(limit)
			if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
				return &github.RateLimitError{RetryAfter: wait}
			}
			<-time.After(wait)
			return nil
		}
		s := newService(b, true)
		later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		hurried, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		patient, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		second := later(hurried, t, s, request(t, "octo-org/b", "2"))
		third := later(patient, t, s, request(t, "octo-org/b", "2"))
		close(release)
		var limited *github.RateLimitError
		if r := <-second; !errors.As(r.Err, &limited) {
			t.Errorf("second: %+v", r)
		}
		if r := <-third; r.Status != update.Committed {
			t.Errorf("third: %+v", r)
		}
	})
}

// TestWholeFileIsListedForThoseItConcerns has a file that cannot be read name one
// of two images.
func TestWholeFileIsListedForThoseItConcerns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := held(release)
		b.files["many.yaml"] = strings.Repeat("- image: octo-org/c:1\n", 20_000)
		b.files["c.yaml"] = "image: octo-org/c:1\n"
		s := newService(b, true)
		later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		second := later(t.Context(), t, s, request(t, "octo-org/b", "2"))
		third := later(t.Context(), t, s, request(t, "octo-org/c", "2"))
		close(release)
		if r := <-second; len(r.Skipped) != 0 {
			t.Errorf("skipped: %v", r.Skipped)
		}
		if r := <-third; len(r.Skipped) != 1 || r.Skipped[0].Path != "many.yaml" {
			t.Errorf("skipped: %v", r.Skipped)
		}
	})
}

func TestRenamedTargetGoesByBothNames(t *testing.T) {
	t.Parallel()
	b := &branch{files: map[string]string{"a.yaml": "image: octo-org/a:1\n"}, known: true}
	s := update.New(update.Options{Targets: []update.Target{{
		Repo: github.Repo{Owner: "refty-yapi", Name: "old-name"}, Branch: "main", Repository: b,
	}}})
	for _, name := range []string{"old-name", "refty-infra-test"} {
		r := request(t, "octo-org/a", "2")
		r.Repo = github.Repo{Owner: "refty-yapi", Name: name}
		if _, err := s.Update(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
