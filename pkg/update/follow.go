package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Follow looks at the pull request of a branch that is kept in Options.Proposals, takes the
// next step with it, and tells there what became of its updates. It returns what GitHub
// refused of the labels, reviewers and the like of a pull request that it opened. The error
// is for the log; the branch is looked at again in any case.
func (s *Service) Follow(ctx context.Context, id, branch string) (refused []string, err error) {
	t := s.byID[id]
	if t == nil || t.Propose == nil {
		return nil, nil
	}
	t.branch.run(ctx, t, func(ctx context.Context) {
		err = guard(func() (err error) {
			refused, err = s.follow(ctx, t, branch)
			return err
		})
	})
	return refused, err
}

func (s *Service) follow(ctx context.Context, t *target, branch string) (refused []string, err error) {
	data, err := s.proposals.Recall(ctx, t.place().ID, branch)
	if err != nil || data == nil {
		return nil, err
	}
	var known proposal
	if err := json.Unmarshal(data, &known); err != nil {
		return nil, fmt.Errorf("read what is known of %s: %w", branch, err)
	}
	requests := followed(known, branch)
	if len(requests) == 0 {
		return nil, s.proposals.Forget(ctx, t.place().ID, branch)
	}
	var results []Result
	for attempt := 1; ; attempt++ {
		results, err = s.attemptProposal(ctx, t, requests, true)
		if attempt == hurry || !errors.Is(err, github.ErrBranchMoved) {
			break
		}
	}
	var changed *PullChangedError
	var denied *refusedError
	if errors.As(err, &changed) || errors.As(err, &denied) {
		return nil, s.keep(ctx, t, branch, known, followLater)
	}
	if len(results) > 0 {
		refused = results[0].Refused
	}
	return refused, err
}

// settleFollowed takes the steps that nobody's request takes, and reports whether there is
// nothing else to do.
func (s *Service) settleFollowed(ctx context.Context, d *draft) (done bool, err error) {
	switch {
	case d.isOpen:
		result, ok := s.gaveUp(d)
		if !ok {
			return false, nil
		}
		if err := s.proposals.End(ctx, d.t.place().ID, d.before.parts(), result); err != nil {
			return false, err
		}
		d.before.Merge.GaveUp = true
		return true, s.keep(ctx, d.t, d.branch, d.before, followLater)
	case len(d.sight.Pulls) == 0 && d.sight.Head == "": // nothing came of it
		return true, s.proposals.Forget(ctx, d.t.place().ID, d.branch)
	case len(d.sight.Pulls) > 0 && d.sight.Pulls[0].Merged && d.sight.Pulls[0].Number == d.before.Number:
		return true, s.endMerged(ctx, d, d.sight.Pulls[0])
	case len(d.sight.Pulls) > 0 && d.before.Closed: // by an earlier try, which was cut short
		if !d.before.owns(d.sight.Head) {
			d.sight.Head = ""
		}
		return true, s.endWithdrawn(ctx, d, Result{Place: d.t.place(), Status: Unchanged})
	}
	return false, nil
}
