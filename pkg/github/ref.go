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
	// maxRefAttempts is how often the same commit is sent, or the branch is looked
	// at, when what happened to it is not clear.
	maxRefAttempts = 5
)

// landing is one commit on its way to the branch. Sending the same one again is
// harmless: a ref that is there already is set to what it is.
type landing struct {
	b *Branch
	s *Snapshot
	c Commit
	// doubt tells that the answer of an update was lost.
	doubt bool
	// behind tells that the branch was last seen before the snapshot's commit,
	// which leaves in doubt what became of an update: it is an old answer, or a
	// branch that somebody has set back. Sending the commit again would undo that.
	behind bool
}

// fastForward moves the branch from the snapshot's commit to c, and calls before,
// which may be nil, when it is about to. When it returns nil c is on the branch;
// when ErrBranchMoved it is not and never will be; when an *UnknownOutcomeError it
// may be.
func (b *Branch) fastForward(ctx context.Context, s *Snapshot, c Commit, before func(context.Context, SHA) error) error {
	if err := b.client.limits.admit(ctx); err != nil {
		return verdict(ctx, opUpdateRef, nil, err)
	}
	if before != nil {
		if err := before(ctx, c.SHA); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return verdict(ctx, opUpdateRef, nil, ctx.Err())
	}
	followed, cancel := follow(ctx)
	defer func() { cancel() }()
	l := &landing{b: b, s: s, c: c}
	var failure error
	for attempt := 1; ; attempt++ {
		if attempt > 1 && !l.doubt && ctx.Err() == nil { // nothing is on its way that would be followed
			cancel()
			followed, cancel = follow(ctx)
		}
		if followed.Err() != nil { // what is not sent any more is in no doubt
			return l.giveUp(failure)
		}
		if !l.behind {
			failure = l.send(followed)
		}
		if failure == nil {
			return nil
		}
		if isLimited(failure) && !l.doubt { // nothing is on its way: the caller's own deadline counts
			if attempt == maxRefAttempts || b.client.limits.admit(ctx) != nil || ctx.Err() != nil {
				return failure
			}
			continue
		}
		done, err := l.settle(followed, failure)
		if done {
			return err
		}
		if attempt == maxRefAttempts || b.client.pause(followed, attempt) != nil {
			return l.giveUp(err)
		}
	}
}

// follow returns the context of an update that is about to be sent, which goes on
// without ctx.
func follow(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), refPatience)
}

// send asks once to move the branch.
func (l *landing) send(ctx context.Context) error {
	c, ref := l.b.client, "heads/"+l.s.Branch
	r := request{op: opUpdateRef, repo: l.s.Repo, write: true}
	err := c.send(ctx, r, refTimeout, func(ctx context.Context) (*gh.Response, error) {
		update := &gh.Reference{Ref: gh.String(ref), Object: &gh.GitObject{SHA: gh.String(string(l.c.SHA))}}
		moved, resp, err := c.api.Git.UpdateRef(ctx, l.s.Repo.Owner, l.s.Repo.Name, update, false)
		if err == nil && moved.GetObject().GetSHA() != string(l.c.SHA) {
			err = fmt.Errorf("the branch is said to be at %.60q", moved.GetObject().GetSHA())
		}
		return resp, err
	})
	c.note(r, err)
	return err
}

// settle finds out what an update that was not plainly accepted came to. done
// tells that err is the end of it, nil when the commit is on the branch;
// otherwise the update is to be sent again.
func (l *landing) settle(ctx context.Context, failure error) (done bool, err error) {
	refused := isRefusal(failure)
	l.doubt = l.doubt || !refused && !neverSent(failure)
	at, err := l.look(ctx)
	if err == nil {
		l.behind = false
	}
	switch {
	case err != nil && !l.doubt && isRefusal(err):
		return true, err // the branch or the repository is gone
	case err != nil && !l.doubt:
		return true, failure
	case err != nil:
		return false, failure
	case at.commit == l.c.SHA:
		return true, nil
	case at.commit != l.s.Commit && !l.b.stale(at.commit):
		return l.overtaken(ctx, at, failure)
	case refused && !l.doubt: // in doubt it tells of this update alone
		return l.refused(failure)
	}
	return false, failure
}

// look reads the head, an old answer of GitHub's included.
func (l *landing) look(ctx context.Context) (head, error) {
	h, err := l.b.readHead(ctx)
	if err == nil && h.commit != l.s.Commit && h.commit != l.c.SHA {
		l.b.keepNews(h)
	}
	return h, err
}

// overtaken decides when the branch is at another commit: ours may be below it.
func (l *landing) overtaken(ctx context.Context, at head, failure error) (done bool, err error) {
	if !l.doubt {
		return true, moved(opUpdateRef)
	}
	relation, err := l.b.relation(ctx, at, l.c.SHA)
	l.behind = relation == "behind"
	switch {
	case err != nil || l.behind:
		return false, failure
	case relation == "ahead" || relation == "identical":
		return true, nil
	}
	return true, moved(opUpdateRef)
}

// refused decides by GitHub's words, when the branch still is where the commit
// was planned.
func (l *landing) refused(failure error) (done bool, err error) {
	var e *Error
	if !errors.As(failure, &e) {
		return true, failure
	}
	switch {
	case e.Status != http.StatusUnprocessableEntity && e.Status != http.StatusConflict:
		return true, failure
	case errors.Is(e.Kind, ErrBranchProtected) || mentionsWorkflow(e.text):
		return true, failure
	}
	// Another writer holds the ref, the new commit is not known everywhere yet, or
	// the branch moved and this read did not see it.
	return false, failure
}

// giveUp is the error when the attempts are used up.
func (l *landing) giveUp(failure error) error {
	var e *Error
	switch {
	case l.doubt:
		return &Error{
			Kind: ErrUpstream, Op: opUpdateRef, Err: errors.Join(&UnknownOutcomeError{l.c}, failure),
			Detail: fmt.Sprintf("the update was sent and GitHub does not tell what became of it; see whether commit %.12s is on the branch", l.c.SHA),
		}
	case errors.As(failure, &e) && raceWords(e.text):
		return moved(opUpdateRef)
	}
	return failure
}

// isRefusal tells an answer that surely changed nothing.
func isRefusal(err error) bool {
	var e *Error
	return isLimited(err) || errors.As(err, &e) && e.Status >= 400 && e.Status < 500
}

// neverSent tells a request that found no connection.
func neverSent(err error) bool {
	var e *net.OpError
	return errors.As(err, &e) && e.Op == "dial"
}

func raceWords(text string) bool {
	return strings.Contains(text, "fast forward") || strings.Contains(text, "fast-forward") ||
		strings.Contains(text, "cannot be updated") || strings.Contains(text, "update failed")
}

// relation is how the head lies to the commit: ahead, identical, behind or
// diverged. A commit that GitHub does not know, or not everywhere yet, is an error.
func (b *Branch) relation(ctx context.Context, at head, commit SHA) (string, error) {
	compared, err := b.compare(ctx, at, commit)
	return compared.GetStatus(), err
}
