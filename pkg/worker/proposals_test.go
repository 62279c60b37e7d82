package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue/queuetest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// followers says what is looked at, and does not come back from a target that hangs.
type followers struct{ looked chan string }

const hangs = "hangs"

func (f followers) Follow(ctx context.Context, target, branch string) ([]string, error) {
	f.looked <- target + " " + branch
	if target == hangs {
		<-ctx.Done()
	}
	return nil, nil
}

// A target that does not answer keeps nobody from looking at the pull requests of others,
// and no pull request is looked at twice meanwhile.
func TestPullRequestsAreFollowedSideBySide(t *testing.T) {
	t.Parallel()
	store, err := queue.Open(t.Context(), queue.Options{URL: queuetest.SQLite(t, filepath.Join(t.TempDir(), "queue.db"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	proposals := worker.NewProposals(store)
	keep := func(target string, n int) {
		if err := proposals.Keep(t.Context(), target, fmt.Sprint(n), []byte("{}"), time.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		keep(hangs, n)
	}
	const others = 12 // more than are looked at side by side
	for n := range others {
		keep("works", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	f := followers{looked: make(chan string)}
	following.Go(func() {
		proposals.Follow(ctx, func() worker.Follower { return f }, slog.New(slog.DiscardHandler))
	})
	seen := map[string]bool{}
	for range 3 + others {
		select {
		case name := <-f.looked:
			if seen[name] {
				t.Errorf("%s is looked at twice", name)
			}
			seen[name] = true
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d are looked at: %v", len(seen), seen)
		}
	}
	cancel()
	following.Wait()
}
