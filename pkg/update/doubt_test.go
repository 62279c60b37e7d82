package update_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestDoubtIsNotPlannedAgain has a commit of which nobody knows whether it is on
// the branch when the group's first deadline is over. The others of the group must
// not fly again: what they find may be their own commit.
func TestDoubtIsNotPlannedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := held(release)
		first := b.onCommit
		b.onCommit = func(ctx context.Context, n int) error {
			if n == 1 {
				return first(ctx, n)
			}
			<-ctx.Done()
			doubt := &github.UnknownOutcomeError{Commit: github.Commit{SHA: "42a252d"}}
			return &github.Error{Kind: github.ErrUpstream, Err: errors.Join(doubt, context.DeadlineExceeded)}
		}
		s := newService(b, true)
		a := later(t.Context(), t, s, request(t, "octo-org/a", "2"))
		hurried, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		second := later(hurried, t, s, request(t, "octo-org/b", "2"))
		patient, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		third := later(patient, t, s, request(t, "octo-org/b", "2"))
		close(release)

		<-a
		for _, each := range []<-chan update.Result{second, third} {
			var doubt *github.UnknownOutcomeError
			if r := <-each; !errors.As(r.Err, &doubt) {
				t.Errorf("result: %+v, want the doubt", r)
			}
		}
		if b.tried != 2 {
			t.Errorf("%d commits were tried, want 2", b.tried)
		}
	})
}
