package update

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// census remembers which images of a request each target names. It is safe for
// concurrent use.
type census struct {
	targets []*target // of the service that the request came to
	memory  memory

	mu sync.Mutex
	of map[string]map[string]bool // by the target's id, the normalised names
}

func newCensus(targets []*target, m memory) *census {
	return &census{targets: targets, memory: m, of: map[string]map[string]bool{}}
}

// unnamed returns those of the images, which the target does not name, that no other
// target of the request names either: a request is carried out with all its images, or
// not at all. It reads the branches of the others as they are now, those first that
// named an image before, and those last that rest, until each image is named. An error
// of one is returned, because it may have been the one that names an image.
func (s *Service) unnamed(ctx context.Context, t *target, r Request, images []Image) ([]Image, error) {
	r.Images = r.All
	others, _ := choose(r.census.targets, r)
	r.census.mu.Lock()
	defer r.census.mu.Unlock()
	var likely, maybe, resting []*target
	for _, other := range others {
		switch {
		case other.target == t || !slices.ContainsFunc(images, func(m Image) bool { return other.takes(r, m) }):
		case slices.ContainsFunc(images, func(m Image) bool { return s.roster.has(m, other.place().ID) }):
			likely = append(likely, other.target)
		case r.census.memory.rests(ctx, other.target, r.with(other.images)):
			resting = append(resting, other.target)
		default:
			maybe = append(maybe, other.target)
		}
	}
	for i, other := range slices.Concat(likely, maybe, resting) {
		if len(images) == 0 {
			break
		}
		if _, known := r.census.of[other.place().ID]; !known && i >= len(likely)+len(maybe) {
			if err := s.pace.wait(ctx); err != nil {
				return nil, err
			}
		}
		named, err := s.namedIn(ctx, other, r)
		if err != nil {
			return nil, &targetError{place: other.place(), err: err}
		}
		images = slices.DeleteFunc(slices.Clone(images), func(m Image) bool { return named[m.Repository.Name()] })
	}
	return images, nil
}

// namedIn returns which of the request's images a target names. r.census.mu is held.
func (s *Service) namedIn(ctx context.Context, t *target, r Request) (map[string]bool, error) {
	id := t.place().ID
	if named, ok := r.census.of[id]; ok {
		return named, nil
	}
	named := map[string]bool{}
	err := guard(func() error {
		var foreign *NoTargetError
		switch err := t.awaitBranch(ctx, r); {
		case errors.As(err, &foreign):
			return nil
		case err != nil:
			return err
		}
		snapshot, err := s.readBranch(ctx, t)
		if err != nil {
			return err
		}
		p, err := s.plan(ctx, t, snapshot, []Request{r.with(t.taken(r))})
		if err != nil {
			return err
		}
		for i, w := range p.wanted {
			named[w.Repository.Name()] = len(p.findings[i].named) > 0
		}
		return nil
	})
	if err == nil {
		r.census.of[id] = named
	}
	return named, err
}

// refusedError ends a plan of which some requests must not be carried out: the others
// are planned without them.
type refusedError struct {
	of map[int]Result // by the request's index
}

// Error is for the log.
func (e *refusedError) Error() string { return "requests are refused" }

// judge returns a *refusedError when requests of the plan must not be carried out,
// though the target names some of their images: when nobody names the others.
func (s *Service) judge(ctx context.Context, p *plan) error {
	refused := map[int]Result{}
	for i, r := range p.requests {
		missing := p.missing(i)
		if len(missing) == 0 {
			continue
		}
		missing, err := s.unnamed(ctx, p.target, r, missing)
		if err == nil && len(missing) > 0 {
			err = p.notReferenced(i, missing)
		}
		if err != nil {
			refused[i] = Result{Place: p.place(), Err: err}
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return &refusedError{of: refused}
}

// missing returns the images of a request that the target does not name, if it names
// any of them: those that it does not take included.
func (p *plan) missing(i int) []Image {
	r := p.requests[i]
	if len(r.All) == 1 || !slices.ContainsFunc(p.parts[i], p.isNamed) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.All), func(m Image) bool {
		at := slices.IndexFunc(r.Images, func(other Image) bool { return other.Repository.Equal(m.Repository) })
		if at < 0 {
			return p.target.takes(r, m) // it is left to a newer request
		}
		return p.isNamed(p.parts[i][at])
	})
}

// partial reports whether judge has something to decide.
func (p *plan) partial() bool {
	for i := range p.requests {
		if len(p.missing(i)) > 0 {
			return true
		}
	}
	return false
}

func (p *plan) isNamed(wanted int) bool { return len(p.findings[wanted].named) > 0 }
