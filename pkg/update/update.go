package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/span"
)

// maxDryRuns bounds the dry runs under way: each may read a whole repository.
const maxDryRuns = 4

// Options say what a Service works on.
type Options struct {
	// Targets are the branches to write to; at least one. Their ids are unique.
	Targets []Target
	// Share lets requests that wait for the same branch share one commit.
	Share bool
	// Memory is what is remembered of files that were read a part of: a file that cannot
	// name an image is not read again. Nil remembers nothing.
	Memory *cache.Budget
	// Timeout bounds Update, and is what a request that its context ended is told;
	// zero means that the contexts alone bound it.
	Timeout time.Duration
	// Observe is told what each call of Update and Apply came to, and how many
	// requests to GitHub it took. It may be nil; it must not block.
	Observe func(results []Result, requests int)
	// Ledger is asked before each commit reaches its branch. It may be nil: then the
	// order of requests is that of this process.
	Ledger Ledger
	// Holds are looked at before each plan, and once more before its commit reaches the
	// branch. It may be nil: then nothing is held.
	Holds Holds
	// Proposals remembers what is known of pull requests. It may be nil: then GitHub alone
	// tells, and nobody follows them.
	Proposals Proposals
	// Marks are looked at before a target is left out because of what is remembered of
	// it. It may be nil: then no branch is ever marked.
	Marks Marks
	// Unpaced switches off the pace at which targets are asked only because nothing else
	// names an image.
	Unpaced bool
	// Now replaces the clock for freezes, and by which pull requests are followed; nil means
	// the real one.
	Now func() time.Time
}

// Service applies requests to targets. It is immutable and safe for concurrent use.
type Service struct {
	targets  []*target
	byID     map[string]*target
	width    int // the number of the targets' branches
	branches *branches
	share    bool
	dryRuns  chan struct{} // one place for each that is under way
	words    *wordIndex
	pairs    pairIndex
	order    *order
	ledger   Ledger
	holds    Holds
	timeout  time.Duration
	observe  func([]Result, int)
	random   func() float64 // in [0, 1), for jitter

	proposals Proposals // may be nil
	marks     Marks     // may be nil
	roster    *roster
	pace      pace
	clock     func() time.Time
}

// New returns a Service.
func New(o Options) *Service {
	s := &Service{
		share: o.Share, dryRuns: make(chan struct{}, maxDryRuns), words: newWordIndex(o.Memory),
		pairs: newPairIndex(o.Memory),
		order: newOrder(), ledger: o.Ledger, holds: o.Holds, timeout: o.Timeout, observe: o.Observe, random: rand.Float64,
		proposals: o.Proposals, marks: o.Marks, roster: newRoster(), pace: newPace(o.Unpaced), clock: o.Now,
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.observe == nil {
		s.observe = func([]Result, int) {}
	}
	s.branches = newBranches(func() *branch { return newBranch(o.Share, s.writeGuarded) })
	return s.With(o.Targets)
}

// With returns a Service for other targets, which shares all else with s: who writes to
// a branch next, the order of requests, and what is remembered of files. Stop and
// Waiting are about both. Requests to s go on with the targets of s.
func (s *Service) With(targets []Target) *Service {
	other := *s
	other.targets, other.byID = make([]*target, len(targets)), make(map[string]*target, len(targets))
	for i, t := range targets {
		place := t.place()
		other.targets[i] = &target{Target: t, at: place, branch: s.branches.of(place.Key)}
		other.byID[place.ID] = other.targets[i]
	}
	other.width = width(other.targets, func(t *target) *branch { return t.branch })
	return &other
}

// Places returns the targets as they were configured.
func (s *Service) Places() []Place {
	places := make([]Place, len(s.targets))
	for i, t := range s.targets {
		places[i] = t.place()
	}
	return places
}

// In returns the targets in a repository, owner/name, as they were configured. A
// repository that was renamed, and read since, goes by both names.
func (s *Service) In(repository string) []Place {
	repo, err := github.ParseRepo(repository)
	if err != nil {
		return nil
	}
	var places []Place
	for _, t := range s.targets {
		if t.isRepo(repo) {
			places = append(places, t.place())
		}
	}
	return places
}

// Choice is a target that a request goes to, and those of its images that may be moved
// there.
type Choice struct {
	Place
	Images []Image
}

// Choose returns the targets that the request goes to, in the order of
// Options.Targets, without asking GitHub: one whose default branch is not known
// yet counts as asked for. Each image of the request is in one of them. The error is a
// *NoTargetError, a *NotTakenError, a *DeniedError, a *MessageRefusedError or a
// *ModeRefusedError.
func (s *Service) Choose(r Request) ([]Choice, error) {
	chosen, err := choose(s.targets, r)
	choices := make([]Choice, len(chosen))
	for i, c := range chosen {
		choices[i] = Choice{Place: c.place(), Images: c.images}
		if snapshot, ok := c.Repository.Remembered(); ok {
			choices[i].Branch = snapshot.Branch
		}
	}
	return choices, err
}

// chosen is a target with the images that it takes of a request.
type chosen struct {
	*target
	images []Image
}

func choose(targets []*target, r Request) ([]chosen, error) {
	var all []chosen
	foreign := NoTargetError{Repo: r.Repo, Branch: r.Branch}
	found := false
	wanted := func(string) bool { return true }
	if len(r.Targets) > 0 {
		ids := map[string]bool{}
		for _, id := range r.Targets {
			ids[id] = true
		}
		wanted = func(id string) bool { return ids[id] }
	}
	var denied []*DeniedError
	for _, t := range targets {
		place := t.place()
		if !wanted(place.ID) {
			continue
		}
		foreign.Targets = append(foreign.Targets, place)
		if !t.isRepo(r.Repo) {
			continue
		}
		foreign.Repo = github.Repo{}
		if fits, known := t.isBranch(r.Branch); known && !fits {
			continue
		}
		found = true
		if images := t.taken(r); len(images) > 0 {
			all = append(all, chosen{t, images})
		}
		denied = append(denied, t.denied(r)...)
	}
	if !found {
		return nil, &foreign
	}
	var missing []Image
	for _, m := range r.Images {
		if !slices.ContainsFunc(all, func(c chosen) bool { return slices.ContainsFunc(c.images, m.alike) }) {
			missing = append(missing, m)
		}
	}
	for _, e := range denied {
		if slices.ContainsFunc(missing, func(m Image) bool { return m.Repository.String() == e.Image }) {
			return nil, e
		}
	}
	if len(missing) > 0 {
		return nil, &NotTakenError{Images: names(missing)}
	}
	return all, cmp.Or(refuseMessage(all, r), refuseMode(all, r))
}

// refuseMessage returns a *MessageRefusedError for a request with a message of its
// own when one of the targets takes none.
func refuseMessage(all []chosen, r Request) error {
	for _, t := range all {
		if r.Message != "" && t.RefuseMessages {
			return &MessageRefusedError{Target: t.place().String()}
		}
	}
	return nil
}

// Update applies the request to every target that it asks for, side by side,
// and returns one Result for each, in the order of Options.Targets. Targets that
// name none of the images are left out when another one does. An image that no target
// names ends the whole request with a *NotReferencedError, of which there are a few for
// many targets. The error is that of Choose, a *NoTargetError, or a *PacedError.
//
// When ctx ends, or Options.Timeout is over, a request that waits or is planned ends
// with the cause and has written nothing. One whose commit is on its way is followed
// to its end.
func (s *Service) Update(ctx context.Context, r Request) ([]Result, error) {
	targets, err := choose(s.targets, r)
	if err != nil {
		return nil, err
	}
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	memory := s.recollect(ctx, width(targets, func(c chosen) *branch { return c.branch }))
	r.All, r.census = r.Images, newCensus(s.targets, memory)
	results, err := s.ask(ctx, memory, targets, r)
	if err != nil {
		return nil, err
	}
	s.markEnd(ctx, results)
	if results, err = relevant(results); err != nil {
		return nil, err
	}
	requests := 0
	for _, result := range results {
		requests += result.Spent
	}
	s.observe(results, requests)
	return results, nil
}

// markEnd adds to the errors that the end of ctx caused what ended it: the time
// limit, or the service that stops.
func (s *Service) markEnd(ctx context.Context, results []Result) {
	for i := range results {
		r := &results[i]
		switch {
		case errors.Is(r.Err, context.DeadlineExceeded):
			r.Err = &TimeoutError{After: s.timeout, Err: r.Err}
		case errors.Is(r.Err, context.Canceled) && errors.Is(context.Cause(ctx), ErrStopping):
			r.Err = fmt.Errorf("%w: %w", ErrStopping, r.Err)
		}
	}
}

// relevant leaves out the targets that have nothing to do with a request, unless
// that is all of them. Branch mismatches are dropped first, so "image not referenced"
// wins over "no such target".
func relevant(results []Result) ([]Result, error) {
	for _, beside := range []func(Result) bool{isForeign, isAbsent} {
		if kept := slices.DeleteFunc(slices.Clone(results), beside); len(kept) > 0 {
			results = kept
		}
	}
	switch {
	case isForeign(results[0]):
		return nil, results[0].Err
	case isAbsent(results[0]):
		return shorten(results), nil
	}
	return results, nil
}

func isForeign(r Result) bool { var e *NoTargetError; return errors.As(r.Err, &e) }

func isAbsent(r Result) bool {
	var e *NotReferencedError
	return errors.As(r.Err, &e) && !e.Partly
}

func (s *Service) updateTarget(ctx context.Context, t *target, r Request) Result {
	if err := guard(func() error { return t.awaitBranch(ctx, r) }); err != nil {
		return t.failed(err)
	}
	if r.DryRun {
		return s.dryRun(ctx, t, r)
	}
	return t.branch.do(ctx, t, []Request{r}, false)[0]
}

// awaitBranch finds out whether a request for a branch means the target, when
// that depends on a default branch that was never read. The error is a
// *NoTargetError or one of github.
func (t *target) awaitBranch(ctx context.Context, r Request) error {
	fits, known := t.isBranch(r.Branch)
	if !known {
		if _, err := t.Repository.Snapshot(ctx); err != nil {
			return err
		}
		fits, _ = t.isBranch(r.Branch)
	}
	if !fits {
		return &NoTargetError{Branch: r.Branch, Targets: []Place{t.place()}}
	}
	return nil
}

// Apply is the door for requests that were chosen for a target, by its id, and
// stored since: it puts them, which are in order of arrival, into one commit, or
// as few as can hold them, and returns a Result for each. Nobody else, of this
// process, writes to the branch meanwhile. DryRun is not looked at, and Images are those
// for this target. A target that there is no more is everybody's *NoTargetError.
//
// The end of ctx is that of Update.
func (s *Service) Apply(ctx context.Context, id string, requests []Request) []Result {
	t := s.byID[id]
	if t == nil {
		gone := &NoTargetError{Target: id, Targets: s.Places()}
		return repeat(Result{Place: Place{ID: id, Name: id}, Err: gone}, len(requests))
	}
	results := repeat(t.failed(nil), len(requests))
	var fitting []int
	requests = slices.Clone(requests)
	memory := s.recollect(ctx, s.width)
	for i := range requests {
		r := &requests[i]
		r.stored, r.census = true, newCensus(s.targets, memory.of(s.widthOf(r)))
		if r.All == nil {
			r.All = r.Images
		}
		if denied := t.denied(*r); denied != nil { // since the request was stored
			results[i].Err, results[i].Images = denied[0], r.Images
			continue
		}
		if s.leavesOut(ctx, t, *r) {
			results[i] = t.absent(*r)
			continue
		}
		if results[i].Err = guard(func() error { return t.awaitBranch(ctx, *r) }); results[i].Err == nil {
			fitting = append(fitting, i)
		}
	}
	size := len(fitting)
	if !s.share {
		size = 1
	}
	for group := range slices.Chunk(fitting, max(size, 1)) {
		for i, result := range t.branch.do(ctx, t, pick(requests, group), true) {
			results[group[i]] = result
		}
	}
	s.markEnd(ctx, results)
	most := 0
	for _, result := range results {
		most = max(most, result.Spent) // those that shared a commit have the same
	}
	s.observe(results, most)
	return results
}

// writeGuarded is write, but for a panic, which is everybody's error.
func (s *Service) writeGuarded(ctx context.Context, t *target, requests []Request) (results []Result) {
	ctx, step := span.Start(ctx, "write", "target", t.place().ID)
	err := guard(func() error {
		results = s.write(ctx, t, requests)
		return nil
	})
	step.End(err)
	if err != nil {
		return repeat(t.failed(err), len(requests))
	}
	return results
}

func repeat(r Result, n int) []Result { return slices.Repeat([]Result{r}, n) }

// Stop lets every request of Update that waits for its turn, and every later one, end
// with ErrStopping. Those that are under way, and those of Apply, go on.
func (s *Service) Stop() { s.branches.stop() }

// Waiting is how many calls of Update and Apply wait for the commit before theirs.
func (s *Service) Waiting() int { return s.branches.waiting() }
