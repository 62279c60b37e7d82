package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

// Gate says what a target takes, and when. Its zero value takes everything at any time.
type Gate struct {
	// Versions narrows the versions.
	Versions policy.Versions
	// RefuseDowngrade refuses versions that are lower than a present one.
	RefuseDowngrade bool
	// Freeze holds the times at which nothing is written.
	Freeze policy.Freeze
	// Registry has versions checked before they are written.
	Registry RegistryCheck
}

// RegistryCheck says how a version is checked; its zero value is not at all.
type RegistryCheck struct {
	Registry Registry
	// TakeDigest has the registry's digest written where a request has none.
	TakeDigest bool
	// AllowAway has versions written though the registry does not answer.
	AllowAway bool
}

// Registry knows the versions of images. It is safe for concurrent use.
type Registry interface {
	// Digest returns the digest of an image's version, and reports whether the registry
	// has it. The error is a *RegistryError, or that of a context.
	Digest(ctx context.Context, repository image.Repository, version image.Tag) (image.Digest, bool, error)
}

// maxQuestions bounds the questions to registries of one plan at once.
const maxQuestions = 8

// answer is a registry's answer about an image; zero where it was not asked.
type answer struct {
	asked  bool
	digest image.Digest
	found  bool
	err    error
}

// verdict is what a target's gate says of a request.
type verdict struct {
	// notes are for the answer, and watched are what rules that are only watched refuse.
	notes   []string
	watched []Denial
}

// checked returns the plan with the answers of registries about the images that it
// changes, and made anew with their digests where the target takes them. Nothing is
// asked about an image that no file names, so that no caller has a host asked that the
// branch does not name.
func (s *Service) checked(ctx context.Context, p *plan) (*plan, error) {
	check := p.target.Gate.Registry
	if check.Registry == nil {
		return p, nil
	}
	p.answers = make([]answer, len(p.wanted))
	var all sync.WaitGroup
	slots := make(chan struct{}, maxQuestions)
	for i, w := range p.wanted {
		if !p.asks(i) {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			a := answer{asked: true}
			a.digest, a.found, a.err = check.Registry.Digest(ctx, w.Repository, w.Version)
			p.answers[i] = a
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	again := newPlan(p.target, p.snapshot, p.requests)
	again.answers, again.judged = p.answers, p.judged
	changed := false
	for i, a := range p.answers {
		if check.TakeDigest && a.found && again.wanted[i].Digest.IsZero() {
			again.wanted[i].Digest, changed = a.digest, true
		}
	}
	if !changed {
		return p, nil
	}
	if err := s.fill(ctx, again); err != nil {
		return nil, err
	}
	return again, nil
}

// asks reports whether an image's registry is asked.
func (p *plan) asks(wanted int) bool {
	if !slices.ContainsFunc(p.parts[:p.judged], func(parts []int) bool { return slices.Contains(parts, wanted) }) {
		return false
	}
	return len(p.findings[wanted].files) > 0 || p.target.Gate.Registry.TakeDigest && p.isNamed(wanted)
}

// gate judges the requests of the plan by the target's gate. It returns a *refusedError
// with those that are not taken.
func (s *Service) gate(p *plan) error {
	p.verdicts = make([]verdict, len(p.requests))
	refused := map[int]Result{}
	for i := range p.judged {
		if err := s.pass(p, i); err != nil {
			refused[i] = Result{Place: p.place(), Err: err}
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return &refusedError{of: refused}
}

// pass returns why the target does not take a request as it is planned, or nil.
func (s *Service) pass(p *plan, request int) error {
	verdict := &p.verdicts[request]
	writes := slices.DeleteFunc(slices.Clone(p.parts[request]), func(part int) bool { return len(p.findings[part].files) == 0 })
	if len(writes) > 0 {
		if err := s.thaw(p, request); err != nil {
			return err
		}
	}
	for _, part := range writes {
		switch denied := p.downgrade(request, part); {
		case denied == nil:
		case denied.watched:
			verdict.watched = append(verdict.watched, Denial{Image: denied.Image, Rule: denied.Rule, Reasons: denied.Reasons, OnBranch: true})
		default:
			return denied
		}
	}
	for _, part := range p.parts[request] {
		if permit := p.permit(request, part); len(permit.WouldDeny) > 0 {
			verdict.watched = append(verdict.watched, Denial{Image: p.wanted[part].Repository.String(), Rule: permit.Closest, Reasons: permit.WouldDeny})
		}
		err, unpinned := p.absent(part), p.unpinned(part)
		var away *RegistryError
		if errors.As(err, &away) && p.target.Gate.Registry.AllowAway && unpinned == nil {
			verdict.notes = append(verdict.notes, away.Detail+", so the version was not checked")
			continue
		}
		if err := cmp.Or(err, unpinned); err != nil {
			return err
		}
	}
	return nil
}

// thaw returns a *FrozenError if the target is frozen and the request does not override
// that. A dry run gets a note.
func (s *Service) thaw(p *plan, request int) error {
	now := s.clock()
	frozen, ok := p.target.Gate.Freeze.At(now)
	if !ok || p.requests[request].OverrideReason != "" {
		return nil
	}
	e := &FrozenError{Target: p.place().String(), Frozen: frozen, Wait: frozen.Until.Sub(now)}
	if p.requests[request].DryRun {
		p.verdicts[request].notes = append(p.verdicts[request].notes, e.Error())
		return nil
	}
	return e
}

// downgrade returns a *DeniedError when a reference would get a lower version, and the
// target or the rule that permits the request refuses that.
func (p *plan) downgrade(request, part int) *DeniedError {
	m := p.wanted[part].Image
	permit := p.permit(request, part)
	if !p.target.Gate.RefuseDowngrade && !permit.RefuseDowngrade {
		return nil
	}
	if p.requests[request].Rollback && permit.goesBack() {
		return nil
	}
	for _, f := range p.findings[part].files {
		for _, c := range f.Changes {
			if !policy.IsDowngrade(m.Version, c.From) {
				continue
			}
			reason := fmt.Sprintf("%s:%d has %s, of which %s is a downgrade", f.Path, c.Line, c.From, m.Version)
			if p.requests[request].Rollback {
				reason += "; only a rule with rollback: true allows it"
			}
			e := &DeniedError{Image: m.Repository.String(), ID: p.place().ID, Target: p.place().String(), Reasons: []string{reason}}
			if !p.target.Gate.RefuseDowngrade {
				e.Rule, e.watched = permit.Rule, permit.Watched
			}
			return e
		}
	}
	return nil
}

// permit returns that of a request's image on the plan's target; zero where no rule
// permits it, since there are none.
func (p *plan) permit(request, part int) Permit {
	n := slices.Index(p.parts[request], part)
	return p.requests[request].Images[n].permit(p.target.place().ID)
}

// absent returns why an image may not be written by what its registry answered.
func (p *plan) absent(part int) error {
	if len(p.answers) == 0 || !p.answers[part].asked {
		return nil
	}
	a, m := p.answers[part], p.wanted[part].Image
	switch {
	case a.err != nil:
		return a.err
	case !a.found:
		return &ImageNotFoundError{Image: m.Repository.String(), Version: m.Version.String(), Registry: m.Repository.Domain()}
	case !m.Digest.IsZero() && m.Digest != a.digest:
		return &ImageNotFoundError{
			Image: m.Repository.String(), Version: m.Version.String(), Registry: m.Repository.Domain(), Digest: m.Digest.String(), Has: a.digest.String(),
		}
	}
	return nil
}

// unpinned returns a *DigestUnknownError when references of the image are to be pinned, and
// nobody knows the digest.
func (p *plan) unpinned(part int) error {
	for _, skip := range p.findings[part].skipped {
		if skip.Reason == manifest.DigestUnknown {
			m := p.wanted[part].Image
			return &DigestUnknownError{
				Image: m.Repository.String(), Version: m.Version.String(), Target: p.place().String(), Path: skip.Path, Line: skip.Line,
			}
		}
	}
	return nil
}

// denied returns what the target refuses of the request's images that it is for.
func (t *Target) denied(r Request) (all []*DeniedError) {
	for _, m := range r.Images {
		if t.isFor(m) {
			if e := t.refuses(r, m); e != nil {
				all = append(all, e)
			}
		}
	}
	return all
}

// refuses returns a *DeniedError for a version that the target does not take, whatever
// its branch holds.
func (t *Target) refuses(r Request, m Image) *DeniedError {
	if m.Version.IsZero() { // it is not chosen yet
		return nil
	}
	err := t.Gate.Versions.Check(m.Version)
	if err == nil && t.Gate.RefuseDowngrade && (!r.Rollback || !m.permit(t.place().ID).goesBack()) {
		err = policy.CheckComparable(m.Version)
	}
	if err == nil {
		return nil
	}
	return &DeniedError{Image: m.Repository.String(), ID: t.place().ID, Target: t.place().String(), Reasons: []string{err.Error()}}
}

// isRefused reports whether the error is about the version that was asked for.
func isRefused(err error) bool {
	var denied *DeniedError
	var absent *ImageNotFoundError
	var unpinned *DigestUnknownError
	return errors.As(err, &denied) || errors.As(err, &absent) || errors.As(err, &unpinned)
}

// onlyFrozen reports whether the error of gate is that the target is frozen, for each of
// the requests that it refuses.
func onlyFrozen(err error) bool {
	var refused *refusedError
	if !errors.As(err, &refused) {
		return false
	}
	for _, r := range refused.of {
		var frozen *FrozenError
		if !errors.As(r.Err, &frozen) {
			return false
		}
	}
	return true
}
