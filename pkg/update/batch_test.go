package update_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// held is a branch with two images whose first commit waits for release.
func held(release <-chan struct{}) *branch {
	return &branch{
		files: map[string]string{"a.yaml": "image: octo-org/a:1\n", "b.yaml": "image: octo-org/b:1\n"},
		onCommit: func(ctx context.Context, n int) error {
			if n > 1 {
				return nil
			}
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

// later applies a request in the background.
func later(ctx context.Context, t *testing.T, s *update.Service, r update.Request) <-chan update.Result {
	t.Helper()
	result := make(chan update.Result, 1)
	go func() { result <- one(ctx, t, s, r) }()
	synctest.Wait()
	return result
}

func TestWaitingRequestIsWithdrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := held(release)
		s := newService(b, true)
		first := later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := later(ctx, t, s, request(t, "octo-org/b", "2"))

		if r := <-second; !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("second: %+v", r)
		}
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
		close(release)
		if r := <-first; r.Status != update.Committed {
			t.Errorf("first: %+v", r)
		}
		if b.files["b.yaml"] != "image: octo-org/b:1\n" {
			t.Error("a withdrawn request was written")
		}
	})
}

// TestDeadlineOfOneIsNotTheOthers has two requests share a flight of which one
// has less time than the flight takes.
func TestDeadlineOfOneIsNotTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := held(release)
		slow := func(ctx context.Context) error {
			select {
			case <-time.After(10 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		first := b.onCommit
		b.onCommit = func(ctx context.Context, n int) error {
			if n == 1 {
				return first(ctx, n)
			}
			return slow(ctx)
		}
		b.files["c.yaml"] = "image: octo-org/c:1\n"
		s := newService(b, true)
		a := later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		hurried, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		second := later(hurried, t, s, request(t, "octo-org/b", "2"))
		patient, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		third := later(patient, t, s, request(t, "octo-org/c", "2"))
		close(release)

		if r := <-a; r.Status != update.Committed {
			t.Errorf("first: %+v", r)
		}
		if r := <-second; !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("second: %+v", r)
		}
		if r := <-third; r.Status != update.Committed {
			t.Errorf("third: %+v", r)
		}
		if b.files["b.yaml"] != "image: octo-org/b:1\n" || b.files["c.yaml"] != "image: octo-org/c:2\n" {
			t.Errorf("files: %q", b.files)
		}
	})
}

func TestFlightEndsWhenEveryCallerIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := held(nil)
		s := newService(b, true)
		ctx, leave := context.WithCancel(t.Context())
		gone := later(ctx, t, s, request(t, "octo-org/a", "2"))
		leave()
		if r := <-gone; !errors.Is(r.Err, context.Canceled) {
			t.Errorf("result: %+v", r)
		}
		if r := one(t.Context(), t, s, request(t, "octo-org/b", "2")); r.Status != update.Committed {
			t.Errorf("the next: %+v", r)
		}
	})
}

func TestStopSendsTheWaitingAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newService(held(release), true)
		running := later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		waiting := later(t.Context(), t, s, request(t, "octo-org/b", "2"))
		s.Stop()
		if r := <-waiting; !errors.Is(r.Err, update.ErrStopping) {
			t.Errorf("waiting: %+v", r)
		}
		if r := one(t.Context(), t, s, request(t, "octo-org/b", "2")); !errors.Is(r.Err, update.ErrStopping) {
			t.Errorf("late: %+v", r)
		}
		close(release)
		if r := <-running; r.Status != update.Committed {
			t.Errorf("running: %+v", r)
		}
	})
}

func TestGroup(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		share    bool
		fail     error // of every commit after the first
		requests []update.Request
		want     []string // a status, or a part of the error's text
		commits  int      // after the first
		files    string
	}{
		{
			name: "the last version wins", share: true,
			requests: []update.Request{request(t, "octo-org/b", "2"), request(t, "octo-org/b", "3"), request(t, "octo-org/b", "4")},
			want:     []string{"superseded", "superseded", "committed"}, commits: 1, files: "octo-org/b:4",
		},
		{
			name: "the same version is everybody's", share: true,
			requests: []update.Request{request(t, "octo-org/b", "2"), request(t, "octo-org/b", "2")},
			want:     []string{"committed", "committed"}, commits: 1, files: "octo-org/b:2",
		},
		{
			name: "nobody is superseded by a failure", share: true, fail: github.ErrForbidden,
			requests: []update.Request{request(t, "octo-org/b", "2"), request(t, "octo-org/b", "3")},
			want:     []string{"refused the operation", "refused the operation"}, files: "octo-org/b:1",
		},
		{
			name: "different paths take a commit each", share: true,
			requests: []update.Request{request(t, "octo-org/b", "2", "b.yaml"), request(t, "octo-org/b", "3", "other/*")},
			want:     []string{"committed", "names the image"}, commits: 1, files: "octo-org/b:2",
		},
		{
			name: "one refusal is not the others'", share: true,
			requests: []update.Request{request(t, "octo-org/none", "2"), request(t, "octo-org/b", "1"), request(t, "octo-org/b", "2", "b.yaml")},
			want:     []string{"names the image", "unchanged", "committed"}, commits: 1, files: "octo-org/b:2",
		},
		{
			name: "the last to arrive wins across paths", share: true,
			requests: []update.Request{request(t, "octo-org/b", "2"), request(t, "octo-org/b", "3", "b.yaml"), request(t, "octo-org/b", "4")},
			want:     []string{"superseded", "committed", "committed"}, commits: 2, files: "octo-org/b:4",
		},
		{
			name: "a commit each when they do not share", share: false,
			requests: []update.Request{request(t, "octo-org/b", "2"), request(t, "octo-org/b", "3")},
			want:     []string{"committed", "committed"}, commits: 2, files: "octo-org/b:3",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				b := held(release)
				first := b.onCommit
				b.onCommit = func(ctx context.Context, n int) error {
					if n > 1 {
						return tt.fail
					}
					return first(ctx, n)
				}
				s := newService(b, tt.share)
				running := later(t.Context(), t, s, request(t, "octo-org/a", "2"))
				var results []<-chan update.Result
				for _, r := range tt.requests {
					results = append(results, later(t.Context(), t, s, r))
				}
				close(release)
				<-running
				for i, c := range results {
					r := <-c
					got := string(r.Status)
					if r.Err != nil {
						got = r.Err.Error()
					}
					if !strings.Contains(got, tt.want[i]) {
						t.Errorf("request %d: %s, want %s", i, got, tt.want[i])
					}
				}
				if got := len(b.commits) - 1; got != tt.commits {
					t.Errorf("%d commits, want %d", got, tt.commits)
				}
				if got := b.files["b.yaml"]; !strings.Contains(got, tt.files+"\n") {
					t.Errorf("b.yaml: %q", got)
				}
			})
		})
	}
}

// TestBranchHasOneSerialiser has two targets on one branch: the commit for the second
// waits for the one for the first, and who waits can leave.
func TestBranchHasOneSerialiser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := held(release)
		s := update.New(update.Options{Share: true, Targets: []update.Target{
			{Name: "a", Repo: target, Branch: "main", Repository: b, Include: []string{"a.yaml"}},
			{Name: "b", Repo: target, Branch: "main", Repository: b, Include: []string{"b.yaml"}},
		}})
		to := func(name, image string) update.Request {
			r := request(t, image, "2")
			r.Targets = []string{name}
			return r
		}
		first := later(t.Context(), t, s, to("a", "octo-org/a"))
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := later(hurried, t, s, to("b", "octo-org/b"))
		stored := make(chan []update.Result, 1)
		go func() { stored <- s.Apply(t.Context(), "b", []update.Request{to("b", "octo-org/b")}) }()
		synctest.Wait()
		if n := s.Waiting(); n != 2 || b.tried != 1 {
			t.Errorf("%d wait, %d commits were tried; want 2 and 1", n, b.tried)
		}
		if r := <-second; !errors.Is(r.Err, context.DeadlineExceeded) || r.Name != "b" {
			t.Errorf("who left: %+v", r)
		}
		s.Stop() // leaves what is stored alone
		close(release)
		if r := <-first; r.Status != update.Committed {
			t.Errorf("first: %+v", r)
		}
		if r := <-stored; r[0].Status != update.Committed || b.tried != 2 {
			t.Errorf("stored: %+v after %d commits", r, b.tried)
		}
	})
}
