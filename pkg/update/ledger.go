package update

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Ledger is the record that all replicas share: the order of the requests and their
// outcomes. *queue.Queue implements it. It is safe for concurrent use.
type Ledger interface {
	// Announce is called with a commit that exists and is on no branch yet, and with
	// the ids of the requests that it carries out on the target. It returns those
	// among them that a newer request has replaced, and reports whether a newer one
	// is on its way to the branch elsewhere and has not ended: in both cases the
	// commit must not reach the branch. An id that it does not know is not replaced.
	// An error means that the commit is not recorded.
	Announce(ctx context.Context, target, commit string, ids []string) (replaced []string, undecided bool, err error)
}

// ErrLedger is wrapped by the error of stored requests whose commit could not be
// announced. Nothing was written.
var ErrLedger = errors.New("the store did not take the commit's name, so the branch was left alone")

// errUndecided ends a commit while a newer request for its image is on its way to
// the branch: the plan is made again when that has ended.
var errUndecided = errors.New("a newer request for the image is on its way to the branch")

// replacedError ends a commit of which some requests are replaced by newer ones.
type replacedError struct{ ids []string }

func (e *replacedError) Error() string { return fmt.Sprintf("%d requests are superseded", len(e.ids)) }

// announce records a commit in the ledger before the branch moves to it. When the ledger
// is unavailable, only requests that are not stored go on.
func (s *Service) announce(ctx context.Context, t *target, commit github.SHA, requests []Request) error {
	if s.ledger == nil {
		return nil
	}
	var ids []string
	stored := false
	for _, r := range requests {
		stored = stored || r.stored
		for _, one := range append(r.alike, r) {
			ids = append(ids, one.ID)
		}
	}
	replaced, undecided, err := s.ledger.Announce(ctx, t.place().ID, string(commit), ids)
	switch {
	case err != nil && stored:
		return fmt.Errorf("%w: %w", ErrLedger, err)
	case err != nil:
		return nil //nolint:nilerr // requests that are not stored go on in this process's own order
	case undecided:
		return errUndecided
	case slices.ContainsFunc(requests, func(r Request) bool { return slices.Contains(replaced, r.ID) }):
		return &replacedError{ids: replaced}
	}
	return nil
}

// writeWanted is writeOnHead without the requests that turn out to be replaced by newer
// ones, which end as Superseded.
func (s *Service) writeWanted(ctx context.Context, t *target, requests []Request) ([]Result, error) {
	results := repeat(Result{Place: t.place(), Status: Superseded}, len(requests))
	wanted := make([]int, len(requests))
	for i := range wanted {
		wanted[i] = i
	}
	for len(wanted) > 0 {
		outcomes, err := s.writeOnHead(ctx, t, pick(requests, wanted))
		var replaced *replacedError
		if errors.As(err, &replaced) {
			wanted = slices.DeleteFunc(wanted, func(i int) bool { return slices.Contains(replaced.ids, requests[i].ID) })
			continue
		}
		if err != nil {
			return nil, err
		}
		for n, i := range wanted {
			results[i] = outcomes[n]
		}
		break
	}
	return results, nil
}

// landed looks for the commit that an earlier try of the request announced. One
// that is on the branch is the request's end, whatever came after it.
func (t *target) landed(ctx context.Context, r Request) (Result, bool, error) {
	if r.Sent == "" {
		return Result{}, false, nil
	}
	found, err := t.Repository.Landed(ctx, r.Sent)
	if err != nil || found == nil {
		return Result{}, false, err
	}
	result := Result{Place: t.place(), Status: Committed, Commit: &found.Commit}
	result.Repo, result.Branch = found.Repo, found.Branch
	return result, true, nil
}
