package github

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// State is what GitHub's answers last said of a credential or of a branch. The
// zero value is that of one that nothing was asked about yet.
type State struct {
	// Known reports whether an answer said so.
	Known bool
	// Err is the refusal, an *Error; nil when there is none.
	Err error
	// Since is when the state began.
	Since time.Time
}

// CredentialState returns whether GitHub takes the credential for a repository,
// as its last answers told, without a request. An Err is an ErrUnauthorized, an
// ErrForbidden or an ErrRepositoryNotFound. A success of any request clears it,
// but for a refusal to write, which the next write that succeeds clears, or a
// Check where Check found it. Answers that say nothing about the credential, such
// as a limit or a 502, leave the state as it is.
func (c *Client) CredentialState(repo Repo) State { return c.standingOf(repo).get() }

// State returns whether the branch is there and takes commits, as GitHub's last
// answers told, without a request. An Err is an ErrBranchNotFound, which the next
// read that succeeds clears, or an ErrBranchProtected, which the next commit does.
func (b *Branch) State() State { return b.standing.get() }

// Check asks whether the branch is there, by one request. State has the answer, as
// has the error.
func (b *Branch) Check(ctx context.Context) error {
	_, err := b.readHead(ctx)
	return err
}

// standing keeps a State. It is safe for concurrent use.
type standing struct {
	now     func() time.Time
	changed func(State) // may be nil

	mu    sync.Mutex
	state State
	write bool // the refusal is one of writes alone
}

func (s *standing) get() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// accepted takes in a success.
func (s *standing) accepted(write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Err == nil || write || !s.write {
		s.setLocked(nil, false)
	}
}

// refused takes in a refusal.
func (s *standing) refused(err *Error, write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(err, write)
}

// checked takes in that Check found nothing wrong.
func (s *standing) checked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *Error
	if errors.As(s.state.Err, &e) && e.Op == opRepository {
		s.setLocked(nil, false)
	}
}

func (s *standing) setLocked(err *Error, write bool) {
	var before *Error
	errors.As(s.state.Err, &before)
	s.write = write
	if s.state.Known && (before == nil) == (err == nil) && (err == nil || before.Detail == err.Detail) {
		return
	}
	s.state = State{Known: true, Since: s.now()}
	if err != nil {
		s.state.Err = err
	}
	if s.changed != nil {
		s.changed(s.state)
	}
}

// noteUpdate takes in what an update of a branch came to.
func (s *standing) noteUpdate(err error) {
	var e *Error
	switch {
	case err == nil:
		s.accepted(true)
	case errors.As(err, &e) && errors.Is(e.Kind, ErrBranchProtected):
		s.refused(e, true)
	}
}

// standingOf returns that of the credential for a repository.
func (c *Client) standingOf(repo Repo) *standing {
	key := foldedName(repo)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.standings[key]
	if s == nil {
		s = &standing{now: c.now}
		if c.credentialChanged != nil {
			s.changed = func(state State) { c.credentialChanged(repo, state) }
		}
		c.standings[key] = s
	}
	return s
}

// renamed makes what is known of a repository known under its present name, too.
func (c *Client) renamed(from, to Repo) {
	s := c.standingOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standings[foldedName(to)] = s
}

// foldedName is the same for all spellings of a repository's name.
func foldedName(repo Repo) Repo {
	return Repo{Owner: strings.ToLower(repo.Owner), Name: strings.ToLower(repo.Name)}
}

// note updates the credential's State from the outcome of a request.
func (c *Client) note(r request, err error) {
	if err == nil {
		c.standingOf(r.repo).accepted(r.write)
		return
	}
	var e *Error
	if !errors.As(err, &e) || mentionsWorkflow(e.text) || r.op == opArchive {
		return
	}
	switch {
	case errors.Is(e.Kind, ErrForbidden):
		c.standingOf(r.repo).refused(e, r.write)
	case errors.Is(e.Kind, ErrUnauthorized):
		c.standingOf(r.repo).refused(e, false)
	case errors.Is(e.Kind, ErrRepositoryNotFound) && (e.Op == opRepository || e.Op == opInstallation):
		c.standingOf(r.repo).refused(e, false)
	}
}
