package update

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// stop is why a pull request is neither rebuilt nor merged by the service; its zero value
// is that nothing is in the way.
type stop struct {
	why   string    // a clause for the caller
	until time.Time // zero when that is not known
}

// sentence is what the updates of the pull request are told.
func (s stop) sentence() string { return "this service does not merge it now: " + s.why }

// whatStops looks for a hold on an image of the pull request, and whether the target is
// frozen for one of its requests or, since the base has changed, refuses one.
func (s *Service) whatStops(ctx context.Context, d *draft) stop {
	holds := s.standing(ctx, d.t)
	for _, r := range d.plan.requests {
		if met := r.met(holds); len(met) > 0 {
			return stop{why: met[0].sentence(), until: met[0].Until}
		}
	}
	now := s.clock()
	if frozen, ok := d.t.Gate.Freeze.At(now); ok &&
		slices.ContainsFunc(d.plan.requests, func(r Request) bool { return r.OverrideReason == "" }) {
		e := &FrozenError{Target: d.plan.place().String(), Frozen: frozen}
		return stop{why: e.Error(), until: frozen.Until}
	}
	var refused *refusedError
	if d.follow && errors.As(d.frozen, &refused) {
		first := slices.Min(slices.Collect(maps.Keys(refused.of)))
		return stop{why: refused.of[first].Err.Error()}
	}
	return stop{}
}

// sentence says of a hold that it stands.
func (h *Hold) sentence() string {
	text := fmt.Sprintf("%s is on hold (%s)", h.Image, h.ID)
	if h.By != "" {
		text += " by " + h.By
	}
	if !h.Until.IsZero() {
		text += " until " + h.Until.UTC().Format(time.RFC3339)
	}
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}

// halt leaves a pull request that is followed as it is while something is in the way. A
// merge that GitHub was asked for before is taken back: a new commit on the branch ends it,
// in a queue as well.
func (s *Service) halt(ctx context.Context, d *draft) ([]Result, error) {
	if d.isOpen && d.before.Merge.underWay() {
		return s.bring(ctx, d)
	}
	d.after = d.before
	if m := d.after.Merge; d.settings.Merge && m != nil && !m.Never && !m.GaveUp {
		m.Stopped = true
		s.tell(ctx, d, outcome{said: said{Error: d.stop.sentence()}})
	}
	return nil, s.keep(ctx, d.t, d.branch, d.after, s.next(d))
}

// underWay reports whether GitHub may carry the merge out by itself.
func (m *merge) underWay() bool {
	return m != nil && (m.Status == github.MergePending || m.Status == github.MergeEnqueued)
}
