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
	// the ids of the requests that it carries out on the target. It returns the images,
	// by their normalised names, that newer requests have replaced of each, by its id,
	// and reports whether a newer one is on its way to the branch elsewhere and has not
	// ended: in both cases the commit must not reach the branch. Of an id that it does
	// not know nothing is replaced. An error means that the commit is not recorded.
	Announce(ctx context.Context, target, commit string, ids []string) (replaced map[string][]string, undecided bool, err error)
	// Replaced returns the images, by their normalised names, for which newer requests have
	// brought or proposed another version on the target, of each of the requests that it
	// knows, by its id.
	Replaced(ctx context.Context, target string, ids []string) (map[string][]string, error)
}

// ErrLedger is wrapped by the error of stored requests whose commit could not be
// announced. Nothing was written.
var ErrLedger = errors.New("the store did not take the commit's name, so the branch was left alone")

// errUndecided ends a commit while a newer request for its image is on its way to
// the branch: the plan is made again when that has ended.
var errUndecided = errors.New("a newer request for the image is on its way to the branch")

// replacedError ends a commit of which newer requests have replaced some images.
type replacedError struct {
	images map[string][]string // their normalised names, by the id of the request
}

// Error is for the log.
func (e *replacedError) Error() string {
	return fmt.Sprintf("images of %d requests are superseded", len(e.images))
}

// isReplaced reports whether the image is replaced in a request.
func (e *replacedError) isReplaced(r Request, m Image) bool {
	return slices.Contains(e.images[r.ID], m.Repository.Name())
}

// announce records a commit in the ledger before the branch moves to it. When the ledger
// is unavailable, only requests that are not stored go on.
func (s *Service) announce(ctx context.Context, t *target, commit github.SHA, requests []Request) error {
	if err := s.checkHolds(ctx, t, requests); err != nil {
		return err
	}
	if s.ledger == nil {
		return nil
	}
	var ids []string
	stored := false
	for _, r := range requests {
		stored = stored || r.stored
		ids = append(ids, r.ID)
	}
	replaced, undecided, err := s.ledger.Announce(ctx, t.place().ID, string(commit), ids)
	switch {
	case err != nil && stored:
		return fmt.Errorf("%w: %w", ErrLedger, err)
	case err != nil:
		return nil //nolint:nilerr // requests that are not stored go on in this process's own order
	case undecided:
		return errUndecided
	}
	found := &replacedError{images: replaced}
	for _, r := range requests {
		if slices.ContainsFunc(r.Images, func(m Image) bool { return found.isReplaced(r, m) }) {
			return found
		}
	}
	return nil
}

// writeWanted is writeOnHead without what turns out not to be wanted: requests that are
// refused, which end with their error, and images that newer requests have replaced or
// that were put on hold. A request whose images are all replaced ends as Superseded, and
// one that has none left because of holds as Held.
func (s *Service) writeWanted(ctx context.Context, t *target, requests []Request) ([]Result, error) {
	results := repeat(Result{Place: t.place(), Status: Superseded}, len(requests))
	requests = slices.Clone(requests)
	left := make([]int, len(requests))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		outcomes, err := s.writeOnHead(ctx, t, pick(requests, left))
		var replaced *replacedError
		var refused *refusedError
		var held *heldError
		switch {
		case errors.As(err, &held):
			left = slices.DeleteFunc(left, func(i int) bool {
				met := requests[i].met(held.holds)
				requests[i] = requests[i].free(met)
				t.leaveHeld(&results[i], append(results[i].Holds, met...))
				return len(requests[i].Images) == 0
			})
		case errors.As(err, &replaced):
			left = slices.DeleteFunc(left, func(i int) bool {
				r := &requests[i]
				r.Images = slices.DeleteFunc(slices.Clone(r.Images), func(m Image) bool { return replaced.isReplaced(*r, m) })
				return len(r.Images) == 0
			})
		case errors.As(err, &refused):
			var others []int
			for n, i := range left {
				if result, ok := refused.of[n]; ok {
					results[i] = result
				} else {
					others = append(others, i)
				}
			}
			left = others
		case err != nil:
			return nil, err
		default:
			for n, i := range left {
				met := results[i].Holds
				results[i] = outcomes[n]
				t.leaveHeld(&results[i], met)
			}
			return results, nil
		}
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
	result := Result{Place: t.place(), Status: Committed, Commit: &found.Commit, planned: r.Images}
	result.Repo, result.Branch = found.Repo, found.Branch
	return result, true, nil
}
