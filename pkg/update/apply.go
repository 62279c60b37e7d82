package update

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

const (
	// maxAttempts is how often a plan is made anew because the branch moved. Each
	// costs up to five requests; a branch where so many races are lost needs
	// another remedy.
	maxAttempts = 16
	// hurry is how many attempts follow each other at once: who waits after a lost
	// race has an old head when it goes on.
	hurry = 3
	// firstPause and longestPause bound the jittered waits after these. They part
	// replicas that lose to each other again and again; against a steady competitor
	// waiting does not help, so they are short.
	firstPause   = 20 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// apply is the one door to a target's branch, and one at a time goes through it:
// it puts the requests, which are in order of arrival, into one commit, or as few
// as can hold them, and returns a Result for each.
func (s *Service) apply(ctx context.Context, t *target, requests []Request) []Result {
	results := make([]Result, len(requests))
	for _, round := range arrange(requests) {
		ctx, spending := github.WithSpending(ctx)
		outcomes, err := s.commit(ctx, t, round.winners)
		for _, place := range round.places {
			result := &results[place.request]
			switch {
			case err != nil:
				*result = t.failed(err)
			case place.superseded && outcomes[place.winner].Err == nil:
				*result = Result{Repo: t.Repo, Branch: outcomes[place.winner].Branch, Status: Superseded}
			default:
				*result = outcomes[place.winner]
			}
			result.Spent = int(spending.Requests())
		}
	}
	return results
}

// commit plans the requests, which do not contradict each other, and commits
// the plan; on a branch that moved it does so again. An error is everybody's.
func (s *Service) commit(ctx context.Context, t *target, requests []Request) ([]Result, error) {
	pause := &backoff.ExponentialBackOff{
		InitialInterval: firstPause, MaxInterval: longestPause, Multiplier: 2, RandomizationFactor: 0.5,
	}
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		results, err := s.attempt(ctx, t, requests)
		if !errors.Is(err, github.ErrBranchMoved) {
			return results, err
		}
		if attempt%hurry == 0 {
			if err := wait(ctx, pause.NextBackOff()); err != nil {
				return nil, err
			}
		}
	}
	whole := t.failed(nil)
	return nil, &MovedError{Target: whole.Target(), Attempts: maxAttempts}
}

// attempt plans on the newest snapshot that is known and commits. A plan that
// fails or writes nothing there proves nothing about the branch as it is now, so
// it is made again on what GitHub shows.
func (s *Service) attempt(ctx context.Context, t *target, requests []Request) ([]Result, error) {
	if known, ok := t.Repository.Remembered(); ok {
		p, err := s.plan(ctx, t.Repository, known, requests)
		if err == nil && p.writes() {
			return p.commit(ctx, t.Repository)
		}
	}
	snapshot, err := t.Repository.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, t.Repository, snapshot, requests)
	if err != nil {
		return nil, err
	}
	return p.commit(ctx, t.Repository)
}

// dryRun plans one request on the branch as it is now.
func (s *Service) dryRun(ctx context.Context, t *target, r Request) (result Result) {
	ctx, spending := github.WithSpending(ctx)
	defer func() { result.Spent = int(spending.Requests()) }()
	select {
	case s.dryRuns <- struct{}{}:
		defer func() { <-s.dryRuns }()
	case <-ctx.Done():
		return t.failed(context.Cause(ctx))
	}
	var p *plan
	err := guard(func() error {
		snapshot, err := t.Repository.Snapshot(ctx)
		if err == nil {
			p, err = s.plan(ctx, t.Repository, snapshot, []Request{r})
		}
		return err
	})
	if err != nil {
		return t.failed(err)
	}
	result = p.results(nil)[0]
	if result.Err == nil {
		result.Status = Planned
		result.Diff = p.diff()
	}
	return result
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
