package github_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// outcome is what a replica was told of one change.
type outcome int

const (
	landed outcome = iota
	failed
	unknown
)

// Several replicas and a competitor write to one branch of a GitHub that fails in
// every way: what is said to have landed is there once, what is said to have
// failed is not, and nothing of the competitor's is lost.
func TestChaos(t *testing.T) {
	t.Parallel()
	const replicas, changes = 5, 12
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newWorld(t)
	w.options.Unpaced = true
	w.options.Sleep = func(ctx context.Context, d time.Duration) error { // a hundredth of it passes for real
		<-time.After(d / 100)
		return w.clock.Sleep(ctx, d)
	}
	w.push(many(replicas))
	w.sb.Configure(func(s *sandbox.Settings) {
		s.StaleReads = sandbox.StaleReads{Reads: 1, Window: sandbox.Duration(5 * time.Millisecond)}
	})
	for _, f := range []sandbox.Fault{
		sandbox.BadGateway(), sandbox.BadGatewayAfter(), sandbox.Drop(), sandbox.DropAfter(), sandbox.Cut(),
		sandbox.DropAfter().On(http.MethodPatch, ""), sandbox.BadGatewayAfter().On(http.MethodPatch, ""),
		sandbox.LostRace(), sandbox.TreeNotReplicated(), sandbox.SecondaryLimit(http.StatusTooManyRequests, time.Second),
	} {
		w.sb.Inject(f.WithProbability(0.03))
	}

	var mu sync.Mutex
	var theirs []string
	w.sb.Inject(sandbox.Call(func() {
		mu.Lock()
		defer mu.Unlock()
		sha, err := w.repo.Commit("main", sandbox.Files{"theirs.txt": {Content: fmt.Append(nil, len(theirs))}}, "theirs")
		if err != nil {
			t.Error(err)
		}
		theirs = append(theirs, sha)
	}).WithProbability(0.05))
	told := make([]map[string]outcome, replicas)
	var all sync.WaitGroup
	for i := range replicas {
		told[i] = map[string]outcome{}
		b := w.another().Branch(parse(t, repoName), "main")
		all.Go(func() {
			for n := range changes {
				message := fmt.Sprintf("replica %d change %d", i, n)
				told[i][message] = insist(t, b, fmt.Sprintf("apps/team-%d/app-%04d.yaml", i, i), message)
			}
		})
	}
	all.Wait()
	w.sb.ClearFaults()

	log, err := w.repo.Log("main")
	w.must(err)
	times, there := map[string]int{}, map[string]bool{}
	for _, c := range log {
		times[c.Message]++
		there[c.SHA] = true
	}
	counts := map[outcome]int{}
	for _, each := range told {
		for message, o := range each {
			counts[o]++
			if n := times[message]; o == landed && n != 1 || o == failed && n != 0 || n > 1 {
				t.Errorf("%s was told as %d and is there %d times", message, o, n)
			}
		}
	}
	for _, sha := range theirs {
		if !there[sha] {
			t.Errorf("the competitor's %s is lost", sha)
		}
	}
	t.Logf("%d landed, %d failed, %d unknown, %d of the competitor's", counts[landed], counts[failed], counts[unknown], len(theirs))
	if counts[landed] < replicas*changes/2 {
		t.Errorf("only %d of %d landed", counts[landed], replicas*changes)
	}
}

// insist makes one change as a caller does: again on the new head when it lost
// the race.
func insist(t *testing.T, b *github.Branch, path, message string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	for range 30 {
		s, ok := b.Remembered()
		if !ok {
			if s, err = b.Snapshot(ctx); err != nil {
				break
			}
		}
		c := set(s, path, message)
		if c.Message = message; len(c.Edits) == 0 { // from before the file was there
			err = github.ErrBranchMoved
			if _, again := b.Snapshot(ctx); again != nil {
				err = again
				break
			}
			continue
		}
		if _, err = b.Commit(ctx, s, c); !errors.Is(err, github.ErrBranchMoved) {
			break
		}
	}
	var doubt *github.UnknownOutcomeError
	var limited *github.RateLimitError
	switch {
	case err == nil:
		return landed
	case errors.As(err, &doubt):
		return unknown
	case !errors.Is(err, github.ErrUpstream) && !errors.Is(err, github.ErrBranchMoved) && !errors.As(err, &limited):
		t.Errorf("%s: error %v", message, err)
	case strings.Contains(err.Error(), "could not be reached: context"):
		t.Errorf("%s: an error that explains nothing: %v", message, err)
	}
	return failed
}
