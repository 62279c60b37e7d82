package update

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

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
		return !slices.ContainsFunc(d.before.requests(), func(old Request) bool { return asksAgain(r, old) })
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
		if err := s.proposals.End(ctx, d.t.place().ID, p.parts(), result); err != nil {
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
	if head := d.sight.Head; head != "" && (head == pull.Head || d.before.owns(head)) {
		gone, err := d.pr.Delete(ctx, head)
		if err != nil && !errors.Is(err, github.ErrForbidden) && !errors.Is(err, github.ErrBranchProtected) {
			return err
		}
		if gone {
			d.sight.Head = ""
		}
	}
	err := s.end(ctx, d, Result{
		Place: d.t.placeIn(d.snapshot), Status: Committed,
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
	var whole []Part
	for _, id := range d.before.ids() {
		whole = append(whole, Part{ID: id})
	}
	err := s.proposals.End(ctx, target, d.before.parts(), result)
	if err == nil { // images that were left out while the store could not be told
		err = s.proposals.End(ctx, target, whole, Result{Place: result.Place, Status: Superseded})
	}
	if err == nil {
		err = s.proposals.Forget(ctx, target, d.branch)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return nil
}

// endReplaced ends what the pull request held of updates before and does not any more.
func (s *Service) endReplaced(ctx context.Context, d *draft) {
	if s.proposals == nil {
		return
	}
	if gone := minus(d.before.parts(), d.after.parts()); len(gone) > 0 {
		_ = s.proposals.End(ctx, d.t.place().ID, gone, Result{Place: d.plan.place(), Status: Superseded})
	}
}

// withdraw is the end where the base has what is asked for. A pull request of the service's
// own that proposes it is closed, with a comment that says why.
func (s *Service) withdraw(ctx context.Context, d *draft, owned bool) ([]Result, error) {
	results := d.plan.results(nil)[:len(d.requests)]
	if !owned {
		return results, nil
	}
	return results, s.closePull(ctx, d, closingComment(d.plan.place()), Result{Place: d.plan.place(), Status: Unchanged})
}

// closePull closes the pull request with a comment, and ends its updates.
func (s *Service) closePull(ctx context.Context, d *draft, comment string, end Result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullPatience)
	defer cancel()
	if d.isOpen {
		if err := d.pr.Comment(ctx, d.open.Number, comment); err != nil {
			return err
		}
		closed := d.before
		closed.Closed = true
		if _, err := d.pr.Close(ctx, d.open.Number, withMarker(d.open.Body, closed)); err != nil {
			return err
		}
	}
	return s.endWithdrawn(ctx, d, end)
}

// endWithdrawn ends the updates of a pull request that the service closed, and deletes its
// branch.
func (s *Service) endWithdrawn(ctx context.Context, d *draft, end Result) error {
	if d.sight.Head != "" {
		if _, err := d.pr.Delete(ctx, d.sight.Head); err != nil {
			return err
		}
	}
	return s.end(ctx, d, end)
}

// withMarker is a body with another marker.
func withMarker(body string, p proposal) string {
	if at := strings.LastIndex(body, markerStart); at >= 0 {
		body = strings.TrimRight(body[:at], "\n")
	}
	return body + "\n\n" + p.marker() + "\n"
}
