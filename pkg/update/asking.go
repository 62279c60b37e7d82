package update

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

const (
	// alwaysAsked is how many branches a request may go to that are all asked, whatever
	// is remembered of them: that takes one request to GitHub for each, side by side.
	alwaysAsked = 16
	// maxRest is for how long after it was read a branch may rest.
	maxRest = 5 * time.Minute
	// present is for how long a head that GitHub gave counts as the present one, before
	// an answer that no target names an image.
	present = 10 * time.Second
)

// errNamed ends a look for names once one is found.
var errNamed = errors.New("an image is named")

// Marks are notices that branches may have moved, which all replicas share. They are safe
// for concurrent use.
type Marks interface {
	// Look finds the marks that were set until now. After an error it is not known
	// which are.
	Look(ctx context.Context) error
	// Marked reports whether Look has found a mark of a branch, by its Place.Key, whose
	// number is later than since.
	Marked(branch string, since int64) bool
	// Settled returns the number of the last mark of which it is certain that a read from
	// now on shows what it is about.
	Settled() int64
}

// reading is what is remembered of the last time at which a branch was read, or
// committed to.
type reading struct {
	commit github.SHA // the head
	at     time.Time  // before GitHub was asked
	marks  int64      // the last mark that it settles
}

// readBranch returns the branch of a target as GitHub has it now.
func (s *Service) readBranch(ctx context.Context, t *target) (*github.Snapshot, error) {
	before := s.beforeRead()
	snapshot, err := t.Repository.Snapshot(ctx)
	if err == nil {
		t.branch.note(before, snapshot.Commit)
	}
	return snapshot, err
}

// beforeRead returns a reading that begins now.
func (s *Service) beforeRead() reading {
	r := reading{at: s.clock()}
	if s.marks != nil {
		r.marks = s.marks.Settled()
	}
	return r
}

// note remembers what a reading came to.
func (b *branch) note(r reading, head github.SHA) {
	r.commit = head
	b.read.Store(&r)
}

// width returns the number of different branches.
func width[T any](all []T, branchOf func(T) *branch) int {
	distinct := map[*branch]bool{}
	for _, one := range all {
		distinct[branchOf(one)] = true
	}
	return len(distinct)
}

// widthOf returns to about how many branches a stored request goes: it is known of one of
// its targets alone.
func (s *Service) widthOf(r *Request) int {
	if !r.Repo.IsZero() {
		return 1
	}
	if n := len(r.Targets); n > 0 {
		return min(n, s.width)
	}
	return s.width
}

// memory answers in place of branches that rest: those that were read lately, have no
// mark since, and whose files, as they were read, name no image that is asked for. Its zero
// value answers for none.
type memory struct{ service *Service }

// recollect returns the memory for a request that goes to so many branches.
func (s *Service) recollect(ctx context.Context, width int) memory {
	if width <= alwaysAsked || s.marks != nil && s.marks.Look(ctx) != nil {
		return memory{}
	}
	return memory{service: s}
}

// of returns the memory for a request that goes to fewer branches.
func (m memory) of(width int) memory {
	if width <= alwaysAsked {
		return memory{}
	}
	return m
}

// rests reports whether the target's branch need not be asked for the request.
func (m memory) rests(ctx context.Context, t *target, r Request) bool {
	known, ok := m.standing(t, maxRest)
	if !ok {
		return false
	}
	if fits, known := t.isBranch(r.Branch); !fits || !known {
		return false
	}
	named, err := m.service.namesOne(ctx, t, known, r)
	return err == nil && !named
}

// standing returns the snapshot of a target's branch that was read, or committed, less
// than age ago and has no mark since.
func (m memory) standing(t *target, age time.Duration) (*github.Snapshot, bool) {
	if m.service == nil {
		return nil, false
	}
	read := t.branch.read.Load()
	if read == nil || m.service.clock().Sub(read.at) >= age {
		return nil, false
	}
	if marks := m.service.marks; marks != nil && marks.Marked(t.place().Key, read.marks) {
		return nil, false
	}
	known, ok := t.Repository.Remembered()
	return known, ok && known.Commit == read.commit
}

// namesOne reports whether a file of the snapshot names an image of the request.
func (s *Service) namesOne(ctx context.Context, t *target, snapshot *github.Snapshot, r Request) (bool, error) {
	p := newPlan(t, snapshot, []Request{r})
	editors, err := newEditors(&t.Target, p.wanted)
	if err != nil {
		return false, err
	}
	err = guard(func() error {
		return s.editFiles(ctx, p, editors, func() error {
			if p.anyNamed() {
				return errNamed
			}
			return nil
		})
	})
	if errors.Is(err, errNamed) {
		return true, nil
	}
	return false, err
}

// absent is the result of a request on a target that rests.
func (t *target) absent(r Request) Result {
	e := &NotReferencedError{Images: names(r.Images), Repo: t.Repo, Branch: t.Branch, Narrowed: len(r.Paths) > 0 || t.narrowed()}
	if known, ok := t.Repository.Remembered(); ok {
		e.Repo, e.Branch = known.Repo, known.Branch
	}
	result := t.failed(e)
	result.Repo, result.Branch = e.Repo, e.Branch
	return result
}

// leavesOut reports whether a stored request need not be carried out on a target that
// rests: when nobody minds that the image is named nowhere, or others name each image.
func (s *Service) leavesOut(ctx context.Context, t *target, r Request) bool {
	return (r.Heedless || s.roster.others(r.Images, t.place().ID)) && r.Sent == "" && r.census.memory.rests(ctx, t, r)
}

// ask carries a request out on targets, side by side, and returns a Result for each. Those
// that rest are left out, unless none of the others has anything to do with the request:
// before the answer that no target names an image, each of them is asked. The error is a
// *PacedError, and nothing was written.
func (s *Service) ask(ctx context.Context, m memory, targets []chosen, r Request) ([]Result, error) {
	results := make([]Result, len(targets))
	resting := make([]bool, len(targets))
	var all sync.WaitGroup
	for i, c := range targets {
		all.Go(func() {
			of := r.with(c.images)
			if resting[i] = m.rests(ctx, c.target, of); resting[i] {
				results[i] = c.absent(of)
			} else {
				results[i] = s.updateTarget(ctx, c.target, of)
			}
			results[i].Images = c.images
		})
	}
	all.Wait()
	if slices.ContainsFunc(results, func(r Result) bool { return !isForeign(r) && !isAbsent(r) }) {
		return results, nil
	}
	for i, c := range targets {
		if resting[i] {
			all.Go(func() {
				results[i] = s.confirm(ctx, m, c.target, r.with(c.images))
				results[i].Images = c.images
			})
		}
	}
	all.Wait()
	return confirmed(results)
}

// confirmed leaves out the targets whose turn did not come, when another one has to do with
// the request. Else that they were not asked is the error.
func confirmed(results []Result) ([]Result, error) {
	late := func(r Result) bool { var e *PacedError; return errors.As(r.Err, &e) }
	beside := func(r Result) bool { return isForeign(r) || isAbsent(r) || late(r) || endedByContext(r.Err) }
	switch {
	case !slices.ContainsFunc(results, late):
		return results, nil
	case slices.ContainsFunc(results, func(r Result) bool { return !beside(r) }):
		return slices.DeleteFunc(results, late), nil
	default:
		return nil, &PacedError{}
	}
}

// shorten leaves a few of the results of many targets that do not name the image: those
// with suggestions before others. The last one tells how many there are more.
func shorten(results []Result) []Result {
	if len(results) <= alwaysAsked {
		return results
	}
	slices.SortStableFunc(results, func(a, b Result) int { return cmp.Compare(suggestions(b), suggestions(a)) })
	more := len(results) - maxListed
	results = results[:maxListed]
	last := &results[maxListed-1]
	var e *NotReferencedError
	if errors.As(last.Err, &e) {
		with := *e
		with.More = more
		last.Err = &with
	}
	return results
}

// suggestions returns the number of the images that may be meant.
func suggestions(r Result) int {
	var e *NotReferencedError
	if !errors.As(r.Err, &e) {
		return 0
	}
	return len(e.Near)
}

// confirm asks a target that rests, when its turn comes. One that was read just now is not
// asked again.
func (s *Service) confirm(ctx context.Context, m memory, t *target, r Request) Result {
	if known, ok := m.standing(t, present); ok {
		if p, err := s.plan(ctx, t, known, []Request{r}); err == nil {
			if result := p.results(nil)[0]; isAbsent(result) {
				return result
			}
		}
	}
	if err := s.pace.wait(ctx); err != nil {
		return t.failed(err)
	}
	return s.updateTarget(ctx, t, r)
}
