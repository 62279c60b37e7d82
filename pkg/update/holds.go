package update

import (
	"context"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// Holds tells which images must stay where they are. It is safe for concurrent use.
type Holds interface {
	// Standing returns the holds that stand, the oldest first.
	Standing(ctx context.Context) []Hold
}

// Hold keeps an image in a target from being moved.
type Hold struct {
	ID     string
	Image  string // normalised name
	Target string // id
	// Version is what the image is held at; "" for a hold of whatever is there.
	Version string
	Reason  string
	By      string    // who made it
	At      time.Time // when
	Until   time.Time // zero when it has no end
}

// heldError ends a commit of which an image was put on hold since the plan was made.
type heldError struct {
	holds []Hold // on the target
}

// Error is for the log.
func (e *heldError) Error() string { return "an image was put on hold meanwhile" }

// UnderHold returns the id of the hold that the request leaves its images under, "" for
// none.
func (r *Request) UnderHold() string {
	if r.Hold == "" && len(r.Passes) > 0 {
		return r.Passes[0]
	}
	return r.Hold
}

// standing returns the holds on a target.
func (s *Service) standing(ctx context.Context, t *target) []Hold {
	if s.holds == nil {
		return nil
	}
	id := t.place().ID
	return slices.DeleteFunc(s.holds.Standing(ctx), func(h Hold) bool { return h.Target != id })
}

// met returns those of the holds that are on an image of the request and that it does
// not pass.
func (r *Request) met(holds []Hold) []Hold {
	var met []Hold
	for _, h := range holds {
		if h.ID != r.Hold && !slices.Contains(r.Passes, h.ID) && slices.ContainsFunc(r.Images, h.covers) {
			met = append(met, h)
		}
	}
	return met
}

func (h *Hold) covers(m Image) bool { return h.Image == m.Repository.Name() }

// free returns the request without the images that are held.
func (r Request) free(met []Hold) Request {
	if len(met) == 0 {
		return r
	}
	return r.with(slices.DeleteFunc(slices.Clone(r.Images), func(m Image) bool {
		return slices.ContainsFunc(met, func(h Hold) bool { return h.covers(m) })
	}))
}

// leaveHeld notes in a result the holds because of which images were left out. One that
// nothing is left of, or only what newer requests have replaced, is Held.
func (t *target) leaveHeld(r *Result, met []Hold) {
	if r.Err != nil || len(met) == 0 {
		return
	}
	if r.Holds = met; r.Status != Superseded {
		return
	}
	r.Status = Held
	if snapshot, ok := t.Repository.Remembered(); ok {
		r.Repo, r.Branch = snapshot.Repo, snapshot.Branch
	}
}

// checkHolds returns a *heldError when a hold is on an image of the requests.
func (s *Service) checkHolds(ctx context.Context, t *target, requests []Request) error {
	holds := s.standing(ctx, t)
	if slices.ContainsFunc(requests, func(r Request) bool { return len(r.met(holds)) > 0 }) {
		return &heldError{holds: holds}
	}
	return nil
}

// allHeld reports whether a comment holds every reference to the images of a request.
func (p *plan) allHeld(request int) bool {
	return !slices.ContainsFunc(p.parts[request], func(part int) bool {
		f := &p.findings[part]
		return f.current > 0 || len(f.files) > 0 ||
			slices.ContainsFunc(f.skipped, func(s Skip) bool { return s.Reason != manifest.Held })
	})
}
