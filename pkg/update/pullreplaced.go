package update

import (
	"context"
	"fmt"
	"slices"
)

// leaveReplaced takes out of an open pull request that is followed what newer requests have
// brought or proposed elsewhere: on the newest base it would take their versions back. It
// closes one of which nothing is left, and reports whether there is nothing else to do.
func (s *Service) leaveReplaced(ctx context.Context, d *draft) (done bool, err error) {
	if s.ledger == nil || !d.isOpen {
		return false, nil
	}
	replaced, err := s.ledger.Replaced(ctx, d.t.place().ID, d.before.ids())
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	left := d.before.without(replaced)
	if left == nil {
		return false, nil
	}
	end := Result{Place: d.t.placeIn(d.snapshot), Status: Superseded}
	if len(left) == 0 {
		switch owned, err := d.owned(ctx); {
		case err != nil:
			return false, err
		case !owned: // what somebody has pushed to it is theirs
			return true, s.end(ctx, d, end)
		}
		return true, s.closePull(ctx, d, replacedComment, end)
	}
	if gone := minus(d.before.parts(), proposal{Entries: left}.parts()); len(gone) > 0 {
		if err := s.proposals.End(ctx, d.t.place().ID, gone, end); err != nil {
			return false, fmt.Errorf("%w: %w", ErrLedger, err)
		}
	}
	d.before.Entries, d.before.Base = left, "" // so that it is rebuilt
	d.requests = followed(d.before, d.branch)
	return false, nil
}

// followed are the requests of a pull request that is followed.
func followed(p proposal, branch string) []Request {
	requests := p.requests()
	for i := range requests {
		requests[i].proposal = branch
		requests[i].Targets = nil
	}
	return requests
}

// without returns the entries without the images that are replaced in all of their
// requests, as far as those are known, and nil when that is all of them.
func (p proposal) without(replaced map[string][]string) []entry {
	out := []entry{}
	changed := false
	for _, e := range p.Entries {
		r, err := e.request()
		left := slices.DeleteFunc(slices.Clone(r.Images), func(m Image) bool { return e.isReplaced(m, replaced) })
		switch {
		case err != nil || len(left) == len(r.Images):
			out = append(out, e)
			continue
		case len(left) > 0:
			next := newEntry(r.with(left))
			next.IDs = e.IDs
			out = append(out, next)
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return out
}

// isReplaced reports whether the image is replaced in each known request of the entry.
func (e entry) isReplaced(m Image, replaced map[string][]string) bool {
	known := false
	for _, id := range e.all() {
		images, ok := replaced[id]
		if ok && !slices.Contains(images, m.Repository.Name()) {
			return false
		}
		known = known || ok
	}
	return known
}
