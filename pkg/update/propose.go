package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	if commit, ok, err := d.standing(ctx); err != nil || ok {
		if err != nil {
			return nil, err
		}
		return s.stand(ctx, d, commit)
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
	snapshot, err := d.t.Repository.Snapshot(ctx)
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
// target, what it holds already.
func (s *Service) planDraft(ctx context.Context, d *draft) error {
	d.after = proposal{Heads: d.before.Heads, Number: d.before.Number, URL: d.before.URL, Merge: d.before.Merge}
	if !d.isOpen {
		d.after.Number, d.after.URL, d.after.Merge = 0, "", nil
	}
	wanted := slices.Clone(d.requests)
	held := d.before
	if !d.isOpen && d.before.Number != 0 {
		held.Entries = nil // another pull request's
	}
	if d.settings.Group != GroupTarget {
		own := held
		own.Entries = nil
		for _, e := range held.Entries {
			if r, err := e.request(); err == nil && slices.ContainsFunc(d.requests, func(n Request) bool { return same(r, n) }) {
				own.Entries = append(own.Entries, e)
			}
		}
		held = own
	}
	d.after.Entries = held.joined(d.requests)
	for _, e := range d.after.Entries {
		r, err := e.request()
		if err == nil && !slices.ContainsFunc(d.requests, func(n Request) bool { return same(r, n) }) {
			wanted = append(wanted, r)
		}
	}
	var err error
	if d.plan, err = s.plan(ctx, d.t, d.snapshot, wanted); err != nil {
		return err
	}
	if err := s.judge(ctx, d.plan); err != nil {
		return err
	}
	d.after.Entries = d.plan.keepWriting(d.after.Entries)
	return checkContent(d.after, d.branch)
}

// keepWriting leaves out the entries that change nothing: the base has what they ask for.
func (p *plan) keepWriting(entries []entry) []entry {
	var out []entry
	for _, e := range entries {
		r, err := e.request()
		if err != nil {
			continue
		}
		for i, n := range p.requests {
			if same(r, n) && slices.ContainsFunc(p.parts[i], func(part int) bool { return len(p.findings[part].files) > 0 }) {
				out = append(out, e)
				break
			}
		}
	}
	return out
}

// owned reports whether the branch may be set: it is not there, or at a commit of the
// service's own, or its commits are on the base.
func (d *draft) owned(ctx context.Context) (bool, error) {
	head := d.sight.Head
	if head == "" || d.before.owns(head) || slices.ContainsFunc(d.requests, func(r Request) bool { return r.Sent == head }) {
		return true, nil
	}
	if len(d.sight.Pulls) > 0 && d.sight.Pulls[0].Merged && d.sight.Pulls[0].Head == head {
		return true, nil
	}
	landed, err := d.t.Repository.Landed(ctx, head)
	if err != nil || landed != nil {
		return landed != nil, err
	}
	if d.isOpen {
		return false, nil
	}
	// Nothing is known of the branch, and it has no pull request: an update that was cut
	// short, of a service that has lost its database since.
	origin, err := d.pr.Origin(ctx, head)
	return err == nil && len(d.sight.Pulls) == 0 && len(origin.Parents) == 1 && strings.Contains(origin.Message, "\nUpdate-Id: "), err
}

// standing returns the commit that the branch is at when it is what the plan would make.
func (d *draft) standing(ctx context.Context) (github.Commit, bool, error) {
	head := d.sight.Head
	if head == "" {
		return github.Commit{}, false, nil
	}
	tree, ok := d.snapshot.TreeWith(d.plan.edits())
	if !ok {
		return github.Commit{}, false, nil
	}
	origin, err := d.pr.Origin(ctx, head)
	if err != nil {
		return github.Commit{}, false, err
	}
	if len(origin.Parents) != 1 || origin.Tree != tree {
		if d.follow && d.isOpen && len(origin.Parents) == 1 && !d.restless() && d.unaffected(origin) {
			return d.commit(origin), true, nil
		}
		return github.Commit{}, false, nil
	}
	if origin.Parents[0] != d.snapshot.Commit {
		return github.Commit{}, false, nil
	}
	return d.commit(origin), true, nil
}

func (d *draft) commit(o github.Origin) github.Commit {
	return github.Commit{SHA: d.sight.Head, URL: commitURL(d.open.URL, d.sight.Head), Message: o.Message}
}

// commitURL is the page of a commit, from that of a pull request of the same repository.
func commitURL(pull string, sha github.SHA) string {
	repository, _, ok := strings.Cut(pull, "/pull/")
	if !ok {
		return ""
	}
	return repository + "/commit/" + string(sha)
}

// restless reports whether a new commit may help a merge that failed.
func (d *draft) restless() bool {
	return d.before.Merge != nil && d.before.Merge.Status == github.MergeFailed && d.before.Base != d.snapshot.Commit
}

// unaffected reports whether the base has moved and the pull request is what it was for
// it: the same entries, whose files are as they were on the commit that it stands on.
func (d *draft) unaffected(o github.Origin) bool {
	return d.before.Base == o.Parents[0] && sameContent(d.before.Entries, d.after.Entries) && d.before.Blobs == d.plan.blobs()
}

// blobs stands for the files that the plan changes, as they are on the base.
func (p *plan) blobs() string {
	hash := sha256.New()
	for _, f := range p.files {
		fmt.Fprintf(hash, "%s %s\x00", f.entry.SHA, f.entry.Path)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// stand is the end where the branch holds the plan already: nothing is written, but for a
// pull request that an earlier try did not come to.
func (s *Service) stand(ctx context.Context, d *draft, commit github.Commit) ([]Result, error) {
	told, ok := readMarker(d.open.Body)
	if d.isOpen && ok && sameContent(told.Entries, d.after.Entries) {
		d.after.Number, d.after.URL, d.after.Base, d.after.Blobs = d.open.Number, d.open.URL, d.before.Base, d.before.Blobs
		d.after.made(commit.SHA)
		if d.after.Base == "" {
			d.after.Base, d.after.Blobs = d.snapshot.Commit, d.plan.blobs()
		}
		failure := s.mergeWhenReady(ctx, d, commit)
		if err := s.keep(ctx, d.t, d.branch, d.after, d.next()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLedger, err)
		}
		return d.results(commit, d.open, outcome{standing: true, mergeError: failure}), nil
	}
	d.after.made(commit.SHA)
	return s.publish(ctx, d, commit)
}

// bring commits the plan to the branch, and opens or edits the pull request.
func (s *Service) bring(ctx context.Context, d *draft) ([]Result, error) {
	changes := d.plan.changeset(s)
	announce := changes.BeforeRef
	changes.BeforeRef = func(ctx context.Context, sha github.SHA) error {
		if err := announce(ctx, sha); err != nil {
			return err
		}
		d.after.made(sha)
		stored := slices.ContainsFunc(d.requests, func(r Request) bool { return r.stored })
		known := d.after
		known.Number, known.URL = d.open.Number, d.open.URL
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
	out := outcome{}
	if opened {
		out.refused = d.pr.Decorate(ctx, pull.Number, d.settings.People)
		if d.settings.Draft && !pull.Draft {
			out.refused = append(out.refused, "draft: the repository has no drafts")
		}
	}
	d.open, d.isOpen = pull, true
	d.after.Number, d.after.URL, d.after.Base, d.after.Blobs = pull.Number, pull.URL, d.snapshot.Commit, d.plan.blobs()
	out.mergeError = s.mergeWhenReady(ctx, d, commit)
	// A hint that is not kept costs reads, and the updates before stay open a while.
	_ = s.keep(ctx, d.t, d.branch, d.after, d.next())
	s.endReplaced(ctx, d)
	return d.results(commit, pull, out), nil
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

// endReplaced ends the updates that the pull request proposed before and does not any more.
func (s *Service) endReplaced(ctx context.Context, d *draft) {
	if s.proposals == nil {
		return
	}
	now := d.after.ids()
	gone := slices.DeleteFunc(d.before.ids(), func(id string) bool { return slices.Contains(now, id) })
	if len(gone) > 0 {
		_ = s.proposals.End(ctx, d.t.place().ID, gone, Result{Place: d.plan.place(), Status: Superseded})
	}
}

// outcome is what becomes of a pull request beside its commit.
type outcome struct {
	standing   bool
	refused    []string
	mergeError string
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
		r.Standing, r.Refused, r.MergeError = out.standing, out.refused, out.mergeError
	}
	return results
}

// settleClosed answers where the newest pull request is closed: somebody who closed it
// without a merge does not want what it proposed.
func (s *Service) settleClosed(ctx context.Context, d *draft) (results []Result, done bool, err error) {
	if d.isOpen || len(d.sight.Pulls) == 0 {
		return nil, false, nil
	}
	newest := d.sight.Pulls[0]
	if newest.Merged {
		if d.before.Number == newest.Number {
			err = s.endMerged(ctx, d, newest)
		}
		return nil, false, err
	}
	retried := slices.ContainsFunc(d.requests, func(r Request) bool { return r.Retried })
	if d.before.Closed || retried || d.before.Number != 0 && d.before.Number != newest.Number {
		return nil, false, nil
	}
	unwanted := !slices.ContainsFunc(d.requests, func(r Request) bool {
		return !slices.ContainsFunc(d.before.requests(), func(old Request) bool { return same(old, r) })
	})
	if !unwanted && !d.follow {
		return nil, false, nil
	}
	results = repeat(Result{
		Place: d.t.place(), Status: Unchanged, Reason: PullRequestClosed,
		Pull: &Pull{Number: newest.Number, URL: newest.URL, Branch: d.branch, State: newest.State()},
	}, len(d.requests))
	for i := range results {
		results[i].planned = d.requests[i].Images
	}
	return results, true, s.endClosed(ctx, d, newest, results[0])
}

// endClosed ends the updates of a pull request that somebody closed, and keeps an eye on it
// while it may be reopened.
func (s *Service) endClosed(ctx context.Context, d *draft, pull github.PullRequest, result Result) error {
	if s.proposals == nil {
		return nil
	}
	p := d.before
	if p.Seen.IsZero() {
		p.Seen = s.clock()
		if err := s.proposals.End(ctx, d.t.place().ID, p.ids(), result); err != nil {
			return fmt.Errorf("%w: %w", ErrLedger, err)
		}
	}
	if s.clock().Sub(p.Seen) > keptClosed {
		if gone, err := d.pr.Delete(ctx, pull.Head); err != nil || !gone && p.owns(d.sight.Head) {
			return err
		}
		return s.proposals.Forget(ctx, d.t.place().ID, d.branch)
	}
	p.Number, p.URL, p.Merge = pull.Number, pull.URL, nil
	return s.keep(ctx, d.t, d.branch, p, followLater)
}

// endMerged deletes the branch of a pull request that was merged, where GitHub lets it, and
// ends its updates. What is cut short is done by the next look.
func (s *Service) endMerged(ctx context.Context, d *draft, pull github.PullRequest) error {
	if d.sight.Head != "" && d.sight.Head == pull.Head {
		gone, err := d.pr.Delete(ctx, d.sight.Head)
		if err != nil && !errors.Is(err, github.ErrForbidden) && !errors.Is(err, github.ErrBranchProtected) {
			return err
		}
		if gone {
			d.sight.Head = ""
		}
	}
	place := d.t.place()
	place.Repo, place.Branch = d.snapshot.Repo, d.snapshot.Branch
	err := s.end(ctx, d, Result{
		Place: place, Status: Committed,
		Commit: &github.Commit{SHA: pull.MergeCommit, URL: commitURL(pull.URL, pull.MergeCommit), Message: pull.Title},
		Pull:   &Pull{Number: pull.Number, URL: pull.URL, Branch: d.branch, State: pull.State()},
	})
	d.before = proposal{Heads: d.before.Heads}
	return err
}

// end ends all updates of a pull request that is over, and forgets it.
func (s *Service) end(ctx context.Context, d *draft, result Result) error {
	if s.proposals == nil {
		return nil
	}
	target := d.t.place().ID
	if len(d.before.Entries) > 0 {
		if err := s.proposals.End(ctx, target, d.before.ids(), result); err != nil {
			return fmt.Errorf("%w: %w", ErrLedger, err)
		}
	}
	if err := s.proposals.Forget(ctx, target, d.branch); err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return nil
}

// withdraw is the end where the base has what is asked for. A pull request of the service's
// own that proposes it is closed, with a comment that says why.
func (s *Service) withdraw(ctx context.Context, d *draft, owned bool) ([]Result, error) {
	results := d.plan.results(nil)[:len(d.requests)]
	if !owned {
		return results, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullPatience)
	defer cancel()
	if d.isOpen {
		closed := d.before
		closed.Closed = true
		if _, err := d.pr.Close(ctx, d.open.Number, withMarker(d.open.Body, closed)); err != nil {
			return nil, err
		}
		if err := d.pr.Comment(ctx, d.open.Number, closingComment(d.plan.place(), d.snapshot.Commit)); err != nil {
			return nil, err
		}
	}
	if d.sight.Head != "" {
		if _, err := d.pr.Delete(ctx, d.sight.Head); err != nil {
			return nil, err
		}
	}
	return results, s.end(ctx, d, Result{Place: d.plan.place(), Status: Unchanged})
}

// withMarker is a body with another marker.
func withMarker(body string, p proposal) string {
	if at := strings.LastIndex(body, markerStart); at >= 0 {
		body = strings.TrimRight(body[:at], "\n")
	}
	return body + "\n\n" + p.marker() + "\n"
}
