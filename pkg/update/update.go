package update

import (
	"context"
	"sync"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// maxDryRuns bounds the dry runs under way: each may read a whole repository.
const maxDryRuns = 4

// Options say what a Service works on.
type Options struct {
	// Targets are the branches to write to; at least one.
	Targets []Target
	// Share lets requests that wait for the same branch share one commit.
	Share bool
	// IndexBytes bounds the memory for what is remembered of files that were read:
	// a file that cannot name an image is not read again. Zero or less remembers
	// nothing.
	IndexBytes int64
}

// Service applies requests to targets. It is safe for concurrent use.
type Service struct {
	targets []*target
	dryRuns chan struct{} // one place for each that is under way
	words   *wordIndex
}

// New returns a Service.
func New(o Options) *Service {
	s := &Service{dryRuns: make(chan struct{}, maxDryRuns), words: newWordIndex(o.IndexBytes)}
	for _, t := range o.Targets {
		s.targets = append(s.targets, newTarget(t, o.Share, s.apply))
	}
	return s
}

// Update applies the request to every target that it asks for, side by side,
// and returns one Result for each, in the order of Options.Targets. The error
// is a *NoTargetError when it asks for none there is; one of github says that a
// target's default branch could not be looked up.
//
// When ctx ends, a request that waits or is planned ends with its cause and has
// written nothing. One whose commit is on its way is followed to its end.
func (s *Service) Update(ctx context.Context, r Request) ([]Result, error) {
	targets, err := s.choose(ctx, r)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { results[i] = s.updateTarget(ctx, t, r) })
	}
	all.Wait()
	return results, nil
}

func (s *Service) updateTarget(ctx context.Context, t *target, r Request) Result {
	if r.DryRun {
		return s.dryRun(ctx, t, r)
	}
	result := t.queue.do(ctx, r)
	if result.Repo.IsZero() { // it ended before its turn
		return t.failed(result.Err)
	}
	return result
}

// choose returns the targets that r asks for.
func (s *Service) choose(ctx context.Context, r Request) ([]*target, error) {
	var chosen []*target
	missing := NoTargetError{Repo: r.Repo, Branch: r.Branch}
	for _, t := range s.targets {
		whole := t.failed(nil)
		missing.Targets = append(missing.Targets, whole.Target())
		if !t.isRepo(r.Repo) {
			continue
		}
		missing.Repo = github.Repo{}
		fits, err := t.isBranch(ctx, r.Branch)
		if err != nil {
			return nil, err
		}
		if fits {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		return nil, &missing
	}
	return chosen, nil
}

// Stop lets every request that waits for its turn, and every later one, end with
// ErrStopping. Those that are under way go on.
func (s *Service) Stop() {
	for _, t := range s.targets {
		t.queue.stop()
	}
}

// Waiting is the number of requests that wait for the commit before theirs.
func (s *Service) Waiting() int {
	n := 0
	for _, t := range s.targets {
		n += t.queue.length()
	}
	return n
}
