package github

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	gh "github.com/google/go-github/v62/github"
)

const (
	opUpdateRef = "PATCH /repos/{owner}/{repo}/git/refs/{ref}"
	opCompare   = "GET /repos/{owner}/{repo}/compare/{basehead}"
	// refTimeout bounds one update of a ref, and refPatience all that is done to
	// follow it to its end, from when it is sent.
	refTimeout  = 10 * time.Second
	refPatience = 40 * time.Second
	// maxRefAttempts bounds how often the same update is sent, or the branch is read,
	// while the outcome is unknown.
	maxRefAttempts = 5
	// maxContested is how many times in a row GitHub may refuse with the message of two
	// concurrent updates while the branch does not move: after that it is not a race.
	maxContested = 3
)

// refUpdate is the update of the branch to one commit. Sending it again is harmless,
// because it sets the ref to the same commit.
type refUpdate struct {
	b *Branch
	s *Snapshot
	c Commit
	// doubt reports that the response to an update was lost: it may have been carried out.
	doubt bool
	// contested counts consecutive refusals with the message of a lost race.
	contested int
}

// sight is where the branch is seen after an update that GitHub did not confirm.
type sight int

const (
	atCommit  sight = iota // at the commit
	above                  // at a descendant of the commit
	atParent               // at the commit's parent, or at the parent of an own commit
	before                 // at an ancestor of the parent
	elsewhere              // at any other commit
	unclear                // at another commit, which could not be compared
	gone                   // GitHub refuses to show it
	unseen                 // it could not be read
)

// step is what follows a sight.
type step int

const (
	landed   step = iota // the commit is on the branch
	lost                 // it is not, and never will be
	judge                // GitHub's message decides whether to send the update again
	resend               // send the update again
	look                 // look again, but do not send: that could undo somebody's reset of the branch
	giveUp               // the refusal of the update stands
	giveUpOn             // the refusal to show the branch stands
)

// steps is the next step for each place where the branch is seen: sure when every update
// so far was refused or never sent, doubt when one may have been carried out.
var steps = map[sight]struct{ sure, doubt step }{
	atCommit:  {landed, landed},
	above:     {lost, landed}, // a refused update is not below the head either, so nothing is compared
	atParent:  {judge, resend},
	before:    {lost, look}, // in doubt, the read may be stale
	elsewhere: {lost, lost},
	unclear:   {lost, look},
	gone:      {giveUpOn, resend},
	unseen:    {giveUp, resend},
}

// fastForward moves the branch from the snapshot's commit to c. It calls before, which
// may be nil, right before it sends the update. After nil, c is on the branch; after
// ErrBranchMoved, it is not and never will be; after an *UnknownOutcomeError, it may be.
func (b *Branch) fastForward(ctx context.Context, s *Snapshot, c Commit, before func(context.Context, SHA) error) error {
	if err := b.limits().admit(ctx); err != nil {
		return translate(ctx, opUpdateRef, nil, err)
	}
	if before != nil {
		if err := before(ctx, c.SHA); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return translate(ctx, opUpdateRef, nil, ctx.Err())
	}
	u := &refUpdate{b: b, s: s, c: c}
	return u.follow(ctx)
}

// follow sends the update, and looks at the branch until the outcome is known. While no
// update is in doubt, ctx bounds it; otherwise refPatience does.
func (u *refUpdate) follow(ctx context.Context) error {
	followed, cancel := detached(ctx)
	defer func() { cancel() }()
	next := resend
	var failure error
	for attempt := 1; ; attempt++ {
		if attempt > 1 && !u.doubt && ctx.Err() == nil { // no request is under way that would have to be followed
			cancel()
			followed, cancel = detached(ctx)
		}
		if followed.Err() != nil { // nothing more is sent, so no further doubt arises
			return u.outcome(failure)
		}
		if next == resend {
			if failure = u.send(followed); failure == nil {
				return nil
			}
		}
		if isLimited(failure) && !u.doubt { // no request is under way: the caller's own deadline counts
			if !u.mayRepeat(ctx, attempt) {
				return failure
			}
			continue
		}
		var end error
		next, end = u.decide(followed, next, failure)
		switch next {
		case landed:
			return nil
		case lost, giveUp, giveUpOn:
			return end
		}
		if attempt == maxRefAttempts || u.b.client.pause(followed, attempt) != nil {
			return u.outcome(failure)
		}
	}
}

// mayRepeat waits for the rate limit and reports whether the update may be sent again.
func (u *refUpdate) mayRepeat(ctx context.Context, attempt int) bool {
	return attempt < maxRefAttempts && u.b.limits().admit(ctx) == nil && ctx.Err() == nil
}

// detached returns a context for an update that is about to be sent. It goes on after
// ctx ends, for refPatience.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), refPatience)
}

// send requests the update once.
func (u *refUpdate) send(ctx context.Context) error {
	c, ref := u.b.client, "heads/"+u.s.Branch
	r := request{op: opUpdateRef, repo: u.s.Repo, write: true}
	err := c.send(ctx, r, refTimeout, func(ctx context.Context) (*gh.Response, error) {
		update := &gh.Reference{Ref: gh.String(ref), Object: &gh.GitObject{SHA: gh.String(string(u.c.SHA))}}
		moved, resp, err := c.api.Git.UpdateRef(ctx, u.s.Repo.Owner, u.s.Repo.Name, update, false)
		if err == nil && moved.GetObject().GetSHA() != string(u.c.SHA) {
			err = fmt.Errorf("the branch is said to be at %.60q", moved.GetObject().GetSHA())
		}
		return resp, err
	})
	c.note(r, err)
	return err
}

// decide looks at the branch after an update that GitHub did not confirm, and returns the
// next step. last is the step before; end is the error when next ends the update.
func (u *refUpdate) decide(ctx context.Context, last step, failure error) (next step, end error) {
	if !isRefusal(failure) && !neverSent(failure) {
		u.doubt = true
	}
	seen, err := u.see(ctx)
	next = steps[seen].sure
	if u.doubt {
		next = steps[seen].doubt
	}
	if last == look && (seen == gone || seen == unseen) {
		return look, nil // what was seen before still counts
	}
	switch next {
	case judge:
		return u.judge(failure)
	case lost:
		end = moved(opUpdateRef)
	case giveUp:
		end = failure
	case giveUpOn:
		end = err
	}
	return next, end
}

// see looks at the branch. The error is that of a branch that is not shown.
func (u *refUpdate) see(ctx context.Context) (sight, error) {
	at, err := u.b.readHead(ctx)
	switch {
	case err != nil && isRefusal(err):
		return gone, err
	case err != nil:
		return unseen, err
	case at.commit == u.c.SHA:
		return atCommit, nil
	case at.commit == u.s.Commit || u.b.stale(at.commit):
		return atParent, nil
	}
	u.b.ranInto(at)
	if !u.doubt {
		return elsewhere, nil
	}
	compared, err := u.b.compare(ctx, at, u.c.SHA)
	if err != nil {
		return unclear, err
	}
	switch compared.GetStatus() {
	case "ahead", "identical":
		return above, nil
	case "behind":
		return before, nil
	}
	return elsewhere, nil
}

// judge decides by GitHub's words, when the branch still is where the commit was
// planned and the refusal is sure.
func (u *refUpdate) judge(failure error) (next step, end error) {
	var e *Error
	if !errors.As(failure, &e) {
		return giveUp, failure
	}
	if isContested(e.text) {
		u.contested++
	} else {
		u.contested = 0
	}
	switch {
	case neverSent(failure):
		return resend, nil
	case e.Status != http.StatusUnprocessableEntity && e.Status != http.StatusConflict:
		return giveUp, failure
	case errors.Is(e.Kind, ErrBranchProtected) || mentionsWorkflow(e.text):
		return giveUp, failure
	case u.contested == maxContested:
		return giveUp, blocked(e)
	}
	// Another writer holds the ref, the new commit is not known everywhere yet, or
	// the branch moved and this read did not see it.
	return resend, nil
}

// outcome is the error when the attempts are used up.
func (u *refUpdate) outcome(failure error) error {
	var e *Error
	switch {
	case u.doubt:
		return &Error{
			Kind: ErrUpstream, Op: opUpdateRef, Err: errors.Join(&UnknownOutcomeError{u.c}, failure),
			Detail: fmt.Sprintf("the update was sent and GitHub does not tell what became of it; see whether commit %.12s is on the branch", u.c.SHA),
		}
	case errors.As(failure, &e) && isNotFastForward(e.text):
		return moved(opUpdateRef)
	}
	return failure
}

// isRefusal reports whether an error means that nothing was changed.
func isRefusal(err error) bool {
	var e *Error
	return isLimited(err) || errors.As(err, &e) && e.Status >= 400 && e.Status < 500
}

// neverSent reports whether a request found no connection.
func neverSent(err error) bool {
	var e *net.OpError
	return errors.As(err, &e) && e.Op == "dial"
}

// isNotFastForward reports whether GitHub refuses the update because the branch is not
// at the commit's parent.
func isNotFastForward(text string) bool {
	return strings.Contains(text, "fast forward") || strings.Contains(text, "fast-forward")
}

// isContested knows the words for two updates at one time, which GitHub also has
// for rules that it does not name.
func isContested(text string) bool {
	return strings.Contains(text, "cannot be updated") || strings.Contains(text, "update failed")
}

// blocked is the error of a branch that stands still and cannot be moved all the
// same.
func blocked(e *Error) *Error {
	return &Error{
		Kind: ErrBranchProtected, Op: e.Op, Status: e.Status, text: e.text, words: e.words,
		Detail: "nobody else pushes and GitHub does not move the branch: a ruleset, a push rule or a hook may refuse the commit" + e.words,
	}
}
