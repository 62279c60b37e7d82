package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue/queuetest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// newStore is a queue on SQLite that holds nothing yet.
func newStore(t *testing.T) *queue.Queue {
	t.Helper()
	store, err := queue.Open(t.Context(), queue.Options{URL: queuetest.SQLite(t, filepath.Join(t.TempDir(), "queue.db"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

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
	store := newStore(t)
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

// What a pull request held of a set ends image by image. All that the set came to stays with
// an image that has not ended, or ended last.
func TestPartsOfASetEnd(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	r := request(t, "nginx", "2")
	r.ID, r.Listed = "set", true
	r.Images = append(r.Images, request(t, "octo-org/web", "3").Images...)
	files := []update.File{{Path: "a.yaml", Changes: []update.Change{{Image: "nginx"}, {Image: "octo-org/web"}}}, {Path: "b.yaml", Changes: []update.Change{{Image: "nginx"}}}}
	if err := store.Record(t.Context(), worker.Ended(r, []update.Result{{
		Place: infra, Status: update.Proposed, Images: r.Images, Files: files, Pull: &update.Pull{Number: 7},
	}})); err != nil {
		t.Fatal(err)
	}
	proposals := worker.NewProposals(store)
	end := func(part update.Part, result update.Result) (told []string) {
		result.Place = infra
		if err := proposals.End(t.Context(), infra.ID, []update.Part{part, {ID: "of no history"}}, result); err != nil {
			t.Fatal(err)
		}
		u, err := store.Get(t.Context(), "set")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range u.Tasks {
			result, err := update.DecodeResult(task.Result)
			if err != nil {
				t.Fatal(err)
			}
			line := fmt.Sprint(task.Image, " ", task.Status)
			if result.Pull != nil {
				line += fmt.Sprintf(" by #%d, %d files", result.Pull.Number, len(result.Files))
			}
			told = append(told, line)
		}
		return told
	}

	if diff := cmp.Diff([]string{"docker.io/library/nginx superseded", "docker.io/octo-org/web proposed by #7, 1 files"},
		end(update.Part{ID: "set", Images: r.Images[:1]}, update.Result{Status: update.Superseded})); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"docker.io/library/nginx superseded", "docker.io/octo-org/web committed by #7, 1 files"},
		end(update.Part{ID: "set"}, update.Result{Status: update.Committed})); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}
