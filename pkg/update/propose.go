package update

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

const (
	// pullPatience bounds what follows a commit on the branch of a pull request: without
	// it the branch would be left alone.
	pullPatience = 40 * time.Second
	// followSoon is when a pull request is looked at that something is under way with, and
	// followLater one that waits for people. A webhook of kind github is sooner.
	followSoon  = 5 * time.Second
	followLater = 10 * time.Minute
	// keptClosed is for how long a pull request that somebody closed may be reopened: then
	// its branch is deleted.
	keptClosed = 14 * 24 * time.Hour
)

// draft is a pull request on its way.
type draft struct {
	t        *target
	settings PullSettings
	branch   string
	pr       *github.Proposal
	requests []Request // that are asked for now
	// follow reports that nobody asks for anything now: no pull request is opened anew.
	follow bool

	snapshot *github.Snapshot
	sight    github.Sight
	open     github.PullRequest // zero when none is
	isOpen   bool
	before   proposal // what is known of it
	after    proposal // what it is to be
	plan     *plan
	frozen   error // why the requests are not taken now, though they may be later
	stop     stop  // why the pull request is neither rebuilt nor merged now
}

// attemptProposal plans the requests, which share a pull request, on the base as it is now,
// and brings the pull request to that plan.
func (s *Service) attemptProposal(ctx context.Context, t *target, requests []Request, follow bool) ([]Result, error) {
	d := &draft{t: t, settings: t.Pulls, branch: requests[0].proposal, requests: requests, follow: follow}
	d.pr = t.Propose(d.branch)
	if err := s.see(ctx, d); err != nil {
		return nil, err
	}
	if follow {
		if done, err := s.settleFollowed(ctx, d); done || err != nil {
			return nil, err
		}
		if done, err := s.leaveReplaced(ctx, d); done || err != nil {
			return nil, err
		}
	}
	if results, done, err := s.settleClosed(ctx, d); done || err != nil {
		return results, err
	}
	if err := s.planDraft(ctx, d); err != nil {
		return nil, err
	}
	owned, err := d.owned(ctx)
	switch {
	case err != nil:
		return nil, err
	case !d.plan.writes():
		return s.withdraw(ctx, d, owned)
	case !owned:
		return nil, &PullChangedError{Branch: d.branch, Number: d.open.Number, URL: d.open.URL}
	}
	if d.stop = s.whatStops(ctx, d); follow && d.stop.why != "" {
		return s.halt(ctx, d)
	}
	commit, ok, err := d.standing(ctx)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return s.stand(ctx, d, commit)
	case d.frozen != nil:
		return nil, d.frozen
	}
	return s.bring(ctx, d)
}

// see reads the base and the branch of the pull request, side by side.
func (s *Service) see(ctx context.Context, d *draft) error {
	var errSight error
	done := make(chan struct{})
	go func() {
		defer close(done)
		errSight = guard(func() (err error) {
			d.sight, err = d.pr.Look(ctx)
			return err
		})
	}()
	snapshot, err := s.readBranch(ctx, d.t)
	<-done
	if err := errors.Join(err, errSight); err != nil {
		return err
	}
	d.snapshot = snapshot
	d.open, d.isOpen = d.sight.Open()
	d.before = s.recall(ctx, d.t, d.branch, d.sight)
	return nil
}

// planDraft plans what the pull request is to hold: the requests and, in one for the whole
// target, what it holds already. The requests are judged; what it holds was when it came.
func (s *Service) planDraft(ctx context.Context, d *draft) error {
	d.after = proposal{Heads: d.before.Heads, Number: d.before.Number, URL: d.before.URL, Merge: d.before.Merge}
	if !d.isOpen {
		d.after.Number, d.after.URL, d.after.Merge = 0, "", nil
	}
	holding := d.holding()
	wanted := slices.Clone(d.requests)
	for _, e := range holding.joined(d.requests) {
		r, err := e.request()
		if err == nil && !slices.ContainsFunc(d.requests, func(n Request) bool { return same(r, n) }) {
			wanted = append(wanted, r)
		}
	}
	var err error
	if d.plan, err = s.plan(ctx, d.t, d.snapshot, wanted); err != nil {
		return err
	}
	d.plan.judged = len(d.requests)
	if err := s.judge(ctx, d.plan); err != nil {
		return err
	}
	if err := s.passGate(ctx, d); err != nil {
		return err
	}
	d.after.Entries = d.keepWriting(holding.joined(d.requests))
	return checkContent(d.after, d.branch)
}

// holding is what is known of the pull request with those of its entries that it may go on
// holding: all of them in one for the whole target, else those for the same as the requests.
func (d *draft) holding() proposal {
	held := d.before
	if !d.isOpen && d.before.Number != 0 {
		held.Entries = nil // another pull request's
	}
	if d.settings.Group == GroupTarget {
		return held
	}
	held.Entries = slices.DeleteFunc(slices.Clone(held.Entries), func(e entry) bool {
		r, err := e.request()
		return err != nil || !slices.ContainsFunc(d.requests, func(n Request) bool { return asksAgain(n, r) })
	})
	return held
}

// passGate judges the requests by the target's gate. Its error is that of a request which
// the target does not take; while it is frozen, d says so and what stands may go on
// standing. The registry is not asked about what a pull request holds already.
func (s *Service) passGate(ctx context.Context, d *draft) error {
	if !d.follow {
		var err error
		if d.plan, err = s.checked(ctx, d.plan); err != nil {
			return err
		}
		d.takeDigests()
	}
	err := s.gate(d.plan)
	if onlyFrozen(err) || d.follow {
		d.frozen, err = err, nil
	}
	return err
}

// takeDigests writes the digests that a registry told into the requests, so that the pull
// request goes on with them.
func (d *draft) takeDigests() {
	d.requests = slices.Clone(d.requests)
	for i := range d.requests {
		r := &d.requests[i]
		r.Images = slices.Clone(r.Images)
		for n, part := range d.plan.parts[i] {
			r.Images[n].Digest = d.plan.wanted[part].Digest
		}
	}
}

// keepWriting leaves out the entries that change nothing: the base has what they ask for.
func (d *draft) keepWriting(entries []entry) []entry {
	asked := slices.Concat(d.requests, d.plan.requests[len(d.requests):])
	var out []entry
	for _, e := range entries {
		r, err := e.request()
		if err != nil {
			continue
		}
		for i, n := range asked {
			if same(r, n) && slices.ContainsFunc(d.plan.parts[i], func(part int) bool { return len(d.plan.findings[part].files) > 0 }) {
				out = append(out, e)
				break
			}
		}
	}
	return out
}

// stand is the end where the branch holds the plan already: nothing is written, but for a
// pull request, or its labels, that an earlier try did not come to.
func (s *Service) stand(ctx context.Context, d *draft, commit github.Commit) ([]Result, error) {
	d.after.made(commit.SHA)
	told, ok := readMarker(d.open.Body)
	if !d.isOpen || !ok || !sameContent(told.Entries, d.after.Entries) {
		return s.publish(ctx, d, commit)
	}
	d.after.Number, d.after.URL, d.after.Base, d.after.Blobs = d.open.Number, d.open.URL, d.before.Base, d.before.Blobs
	if d.after.Base == "" {
		d.after.Base, d.after.Blobs = d.snapshot.Commit, d.plan.blobs()
	}
	out := outcome{standing: true}
	if d.before.Bare {
		out.refused = s.decorate(ctx, d)
	}
	out.said = s.mergeWhenReady(ctx, d, commit)
	s.tell(ctx, d, out)
	if err := s.keep(ctx, d.t, d.branch, d.after, s.next(d)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return d.results(commit, d.open, out), nil
}

// bring commits the plan to the branch, and opens or edits the pull request.
func (s *Service) bring(ctx context.Context, d *draft) ([]Result, error) {
	changes := d.plan.changeset(s)
	announce := changes.BeforeRef
	changes.BeforeRef = func(ctx context.Context, sha github.SHA) error {
		if !d.follow { // its updates have ended as proposed
			if err := announce(ctx, sha); err != nil {
				return err
			}
		}
		d.after.made(sha)
		stored := slices.ContainsFunc(d.requests, func(r Request) bool { return r.stored })
		known := d.after
		known.Number, known.URL, known.Bare = d.open.Number, d.open.URL, !d.isOpen || d.before.Bare
		if err := s.keep(ctx, d.t, d.branch, known, followSoon); err != nil && stored {
			return fmt.Errorf("%w: %w", ErrLedger, err)
		}
		return nil
	}
	commit, err := d.pr.Commit(ctx, d.snapshot, changes, d.sight.Head)
	if err != nil && len(d.after.Heads) != len(d.before.Heads) { // the branch may be at that commit all the same
		d.before.Heads = d.after.Heads
		_ = s.keep(context.WithoutCancel(ctx), d.t, d.branch, d.before, followSoon)
	}
	if errors.Is(err, github.ErrHeadChanged) {
		return nil, fmt.Errorf("%w: %w", github.ErrBranchMoved, err)
	}
	if err != nil {
		return nil, err
	}
	d.after.Merge = nil // of another commit
	return s.publish(ctx, d, commit)
}

// publish opens or edits the pull request of a commit that is on the branch. It goes on
// when the caller is gone: a branch without its pull request is of no use.
func (s *Service) publish(ctx context.Context, d *draft, commit github.Commit) ([]Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullPatience)
	defer cancel()
	text := d.plan.pullText(d.after, d.settings)
	pull, opened, err := d.show(ctx, text)
	if errors.Is(err, github.ErrNoDifference) {
		return nil, fmt.Errorf("%w: %w", github.ErrBranchMoved, err)
	}
	if err != nil {
		if errors.Is(err, github.ErrForbidden) && !d.isOpen {
			_, _ = d.pr.Delete(ctx, commit.SHA) // best effort: the error is that of the pull request
		}
		return nil, err
	}
	d.open, d.isOpen = pull, true
	d.after.Number, d.after.URL, d.after.Base, d.after.Blobs = pull.Number, pull.URL, d.snapshot.Commit, d.plan.blobs()
	out := outcome{}
	if opened || d.before.Bare {
		out.refused = s.decorate(ctx, d)
	}
	out.said = s.mergeWhenReady(ctx, d, commit)
	s.tell(ctx, d, out)
	// A hint that is not kept costs reads, and the updates before stay open a while.
	_ = s.keep(ctx, d.t, d.branch, d.after, s.next(d))
	s.endReplaced(ctx, d)
	return d.results(commit, pull, out), nil
}

// decorate gives a new pull request its labels, reviewers and assignees. It returns what
// GitHub refused of them.
func (s *Service) decorate(ctx context.Context, d *draft) (refused []string) {
	refused = d.pr.Decorate(ctx, d.open.Number, d.settings.People)
	if d.settings.Draft && !d.open.Draft {
		refused = append(refused, "draft: the repository has no drafts")
	}
	return refused
}

// show opens the pull request, or brings the open one's texts up to date.
func (d *draft) show(ctx context.Context, text github.PullText) (pull github.PullRequest, opened bool, err error) {
	if !d.isOpen {
		if pull, opened, err = d.pr.Open(ctx, text); opened || err != nil || pull.Body == text.Body {
			return pull, opened, err
		}
		d.open = pull
	}
	pull, err = d.pr.Edit(ctx, d.open.Number, text)
	return pull, false, err
}

// outcome is what becomes of a pull request beside its commit.
type outcome struct {
	standing bool
	refused  []string
	said     said
}

// results are the answers to the requests that are asked for now.
func (d *draft) results(commit github.Commit, pull github.PullRequest, out outcome) []Result {
	results := d.plan.results(&commit)[:len(d.requests)]
	for i := range results {
		r := &results[i]
		if r.Status != Committed {
			continue
		}
		r.Status = Proposed
		r.Pull = &Pull{Number: pull.Number, URL: pull.URL, Branch: d.branch, State: pull.State()}
		r.Standing, r.Refused, r.MergeError, r.Merging = out.standing, out.refused, out.said.Error, out.said.Merging
	}
	return results
}

// tell has what is said of the pull request stand with the updates that it holds, where
// that is something else than before. What the requests of now are told is their result.
func (s *Service) tell(ctx context.Context, d *draft, out outcome) {
	news := out.said != d.before.Said || d.follow && len(out.refused) > 0
	d.after.Said = out.said
	if s.proposals == nil || !news {
		return
	}
	note := PullNote{MergeError: out.said.Error, Merging: out.said.Merging, Refused: out.refused}
	if err := s.proposals.Note(ctx, d.t.place().ID, d.after.ids(), note); err != nil {
		d.after.Said = d.before.Said // it is told at the next look
	}
}
