package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Follow looks at the pull request of a branch that is kept in Options.Proposals, takes the
// next step with it, and tells there what became of its updates. The error is for the log;
// the branch is looked at again in any case.
func (s *Service) Follow(ctx context.Context, id, branch string) error {
	at := slices.IndexFunc(s.targets, func(t *target) bool { return t.place().ID == id })
	if at < 0 || s.targets[at].Propose == nil {
		return nil
	}
	t := s.targets[at]
	var err error
	t.branch.run(ctx, t, func(ctx context.Context) {
		err = guard(func() error { return s.follow(ctx, t, branch) })
	})
	return err
}

func (s *Service) follow(ctx context.Context, t *target, branch string) error {
	data, err := s.proposals.Recall(ctx, t.place().ID, branch)
	if err != nil || data == nil {
		return err
	}
	var known proposal
	if err := json.Unmarshal(data, &known); err != nil {
		return fmt.Errorf("read what is known of %s: %w", branch, err)
	}
	requests := known.requests()
	if len(requests) == 0 {
		return s.proposals.Forget(ctx, t.place().ID, branch)
	}
	for i := range requests {
		requests[i].proposal = branch
		requests[i].Targets = nil
	}
	for attempt := 1; ; attempt++ {
		_, err = s.attemptProposal(ctx, t, requests, true)
		if attempt == hurry || !errors.Is(err, github.ErrBranchMoved) {
			break
		}
	}
	var changed *PullChangedError
	var refused *refusedError
	if errors.As(err, &changed) || errors.As(err, &refused) {
		return s.keep(ctx, t, branch, known, followLater)
	}
	return err
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
		if err := s.proposals.End(ctx, d.t.place().ID, d.before.ids(), result); err != nil {
			return false, err
		}
		d.before.Merge.Never = true
		return true, s.keep(ctx, d.t, d.branch, d.before, followLater)
	case len(d.sight.Pulls) == 0 && d.sight.Head == "": // nothing came of it
		return true, s.proposals.Forget(ctx, d.t.place().ID, d.branch)
	case len(d.sight.Pulls) > 0 && d.sight.Pulls[0].Merged && d.sight.Pulls[0].Number == d.before.Number:
		return true, s.endMerged(ctx, d, d.sight.Pulls[0])
	case len(d.sight.Pulls) > 0 && d.before.Closed:
		return true, s.proposals.Forget(ctx, d.t.place().ID, d.branch)
	}
	return false, nil
}
