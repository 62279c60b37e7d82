package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unique"

	gh "github.com/google/go-github/v62/github"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
)

const (
	opNewRef    = "POST /repos/{owner}/{repo}/git/refs"
	opDeleteRef = "DELETE /repos/{owner}/{repo}/git/refs/{ref}"
	// keptProposals bounds the branches of pull requests that something is remembered of.
	keptProposals = 4096
)

// ErrHeadChanged is returned by Proposal.Commit when the branch is not where it was seen.
var ErrHeadChanged = errors.New("the branch of the pull request changed")

// Proposal is a branch of the base's repository that belongs to this service, and its
// pull requests into the base. It is safe for concurrent use; what is done to one branch
// is to be done one after the other.
//
// It is the one place where a branch is moved by force.
type Proposal struct {
	b     *Branch
	head  string
	known proposalMemory
}

// Sight is what GitHub shows of a Proposal.
type Sight struct {
	// Head is the commit that the branch is at; "" when there is no such branch.
	Head SHA
	// Pulls are its pull requests into the base, the newest first; at most 10.
	Pulls []PullRequest
}

// Open returns the pull request that is open.
func (s Sight) Open() (PullRequest, bool) {
	for _, p := range s.Pulls {
		if p.Open {
			return p, true
		}
	}
	return PullRequest{}, false
}

// Proposal returns the branch head of pull requests into b. It makes no request.
func (b *Branch) Proposal(head string) *Proposal {
	known, key := b.client.proposals, proposalKey{b.known.key, head}
	if p, ok := known.Get(key); ok {
		return p
	}
	made := &Proposal{b: b, head: head}
	known.Put(key, made)
	if p, ok := known.Get(key); ok { // another's, when two came at once
		return p
	}
	return made
}

// proposalKey is a base and the name of a branch of pull requests into it.
type proposalKey struct {
	base cache.Key
	head string
}

func (k proposalKey) key() cache.Key {
	return cache.Key{Variant: unique.Make(k.base.Variant.Value() + " " + k.head)}
}

// Look reads where the branch is and its pull requests, side by side. Answers that
// nothing changed cost nothing of the hourly budget.
func (p *Proposal) Look(ctx context.Context) (Sight, error) {
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return Sight{}, err
	}
	var s Sight
	var errHead error
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Head, errHead = p.readHead(ctx, at)
	}()
	s.Pulls, err = p.list(ctx, at)
	<-done
	return s, errors.Join(err, errHead)
}

// readHead reads where the branch is. An answer that shows it as it was before an own
// write of a moment ago is taken for an old one.
func (p *Proposal) readHead(ctx context.Context, at place) (SHA, error) {
	address := fmt.Sprintf("repos/%s/%s/git/ref/heads/%s", at.repo.Owner, at.repo.Name, escapeRef(p.head))
	var answer struct {
		Object struct {
			SHA SHA `json:"sha"`
		} `json:"object"`
	}
	tag, last := p.known.head()
	etag, err := p.b.client.askTagged(ctx, request{op: opRef, repo: at.repo}, address, tag, &answer)
	var e *Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusNotFound:
		return p.known.seen("", "", p.b.client.now()), nil
	case err != nil:
		return "", err
	case etag == tag && tag != "":
		return p.known.seen(tag, last, p.b.client.now()), nil
	case !answer.Object.SHA.valid():
		return "", nonsense(opRef, http.StatusOK, fmt.Errorf("%.60q is not the name of a commit", answer.Object.SHA))
	}
	return p.known.seen(etag, answer.Object.SHA, p.b.client.now()), nil
}

// Commit makes one commit with the edits on top of the snapshot of the base, and sets the
// branch to it, by force where it is elsewhere. from is where the branch was seen, "" for
// one that is not there: it is looked at again right before it is set, and one that is
// elsewhere by then is an ErrHeadChanged, with nothing on it. A push between that look and
// the write is overtaken: GitHub offers no compare-and-set.
//
// Workflow files that the credential may not write are left out as in Branch.Commit.
func (p *Proposal) Commit(ctx context.Context, s *Snapshot, c Changeset, from SHA) (Commit, error) {
	edits, err := checkedEdits(s, c)
	if err != nil {
		return Commit{}, err
	}
	c.Edits = edits
	return p.b.allowed(ctx, s, c, func(ctx context.Context, c Changeset) (Commit, error) {
		return p.commit(ctx, s, c, from)
	})
}

func (p *Proposal) commit(ctx context.Context, s *Snapshot, c Changeset, from SHA) (Commit, error) {
	if err := p.b.limits().admitCommit(ctx); err != nil {
		return Commit{}, translate(ctx, opNewTree, nil, err)
	}
	next, checked := s.listing.edited(c.Edits)
	_, made, err := p.b.build(ctx, s, c, next.certain(checked), func(built SHA) error {
		if checked && built != next.root() {
			return nonsense(opNewTree, http.StatusCreated, fmt.Errorf("the tree is %s, the edits give %s", built, next.root()))
		}
		return nil
	})
	if err != nil {
		return Commit{}, err
	}
	if c.BeforeRef != nil {
		if err := c.BeforeRef(ctx, made.SHA); err != nil {
			return Commit{}, err
		}
	}
	at := place{repo: s.Repo, branch: s.Branch}
	now, err := p.readHead(ctx, at)
	if err != nil {
		return Commit{}, err
	}
	if now != from {
		return Commit{}, ErrHeadChanged
	}
	return made, p.set(ctx, at, from, made.SHA)
}

// TreeWith returns the tree that the edits make of the snapshot's, without a request. ok
// is false when it cannot be told.
func (s *Snapshot) TreeWith(edits []Edit) (tree SHA, ok bool) {
	if s.listing == nil {
		return "", false
	}
	next, ok := s.listing.edited(edits)
	if !ok {
		return "", false
	}
	return next.root(), true
}

// set creates the branch or moves it. Both may be sent again: they set the same commit.
func (p *Proposal) set(ctx context.Context, at place, from, to SHA) error {
	c, git := p.b.client, p.b.client.api.Git
	ref := &gh.Reference{Ref: gh.String("refs/heads/" + p.head), Object: &gh.GitObject{SHA: gh.String(string(to))}}
	r := request{op: opNewRef, repo: at.repo, write: true}
	send := func(ctx context.Context) (resp *gh.Response, err error) {
		_, resp, err = git.CreateRef(ctx, at.repo.Owner, at.repo.Name, ref)
		return resp, err
	}
	if from != "" {
		r.op = opUpdateRef
		send = func(ctx context.Context) (resp *gh.Response, err error) {
			_, resp, err = git.UpdateRef(ctx, at.repo.Owner, at.repo.Name, ref, true)
			return resp, err
		}
	}
	err := c.ask(ctx, r, send)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusUnprocessableEntity {
		now, errRead := p.readHead(ctx, at)
		switch {
		case errRead == nil && now == to: // by the attempt before, whose answer was lost
			err = nil
		case errRead == nil && now != from || strings.Contains(e.text, "already exists") || strings.Contains(e.text, "does not exist"):
			p.known.wrote(from, from, time.Time{})
			return ErrHeadChanged
		}
	}
	if err == nil {
		p.known.wrote(from, to, c.now())
	}
	return err
}

// Delete deletes the branch when it is still at the commit, and reports whether it is
// gone.
func (p *Proposal) Delete(ctx context.Context, at SHA) (bool, error) {
	where, err := p.b.findPlace(ctx)
	if err != nil {
		return false, err
	}
	now, err := p.readHead(ctx, where)
	if err != nil || now == "" || now != at {
		return now == "", err
	}
	if err := p.b.limits().admitCommit(ctx); err != nil {
		return false, translate(ctx, opDeleteRef, nil, err)
	}
	err = p.b.client.ask(ctx, request{op: opDeleteRef, repo: where.repo, write: true}, func(ctx context.Context) (*gh.Response, error) {
		return p.b.client.api.Git.DeleteRef(ctx, where.repo.Owner, where.repo.Name, "refs/heads/"+p.head)
	})
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusUnprocessableEntity && strings.Contains(e.text, "does not exist") {
		err = nil
	}
	if err != nil {
		return false, err
	}
	p.known.wrote(at, "", p.b.client.now())
	return true, nil
}

// Origin is what a commit is made of.
type Origin struct {
	Tree    SHA
	Parents []SHA
	Message string
}

// Origin reads a commit, which never changes: the last one is not asked for again.
func (p *Proposal) Origin(ctx context.Context, commit SHA) (Origin, error) {
	if o, ok := p.known.origin(commit); ok {
		return o, nil
	}
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return Origin{}, err
	}
	var found *gh.Commit
	err = p.b.client.ask(ctx, request{op: opCommit, repo: at.repo}, func(ctx context.Context) (resp *gh.Response, err error) {
		found, resp, err = p.b.client.api.Git.GetCommit(ctx, at.repo.Owner, at.repo.Name, string(commit))
		return resp, err
	})
	if err != nil {
		return Origin{}, err
	}
	o := Origin{Tree: SHA(found.GetTree().GetSHA()), Message: found.GetMessage()}
	for _, parent := range found.Parents {
		o.Parents = append(o.Parents, SHA(parent.GetSHA()))
	}
	p.known.keepOrigin(commit, o)
	return o, nil
}

// proposalMemory is what was last read and written of a Proposal. It is safe for
// concurrent use.
type proposalMemory struct {
	mu sync.Mutex

	headTag string
	headAt  SHA
	// from and to are those of the last own write of the branch.
	from, to SHA
	at       time.Time

	address, tag string
	list         []PullRequest

	commit SHA
	made   Origin
}

func (m *proposalMemory) head() (tag string, at SHA) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.headTag, m.headAt
}

// seen takes in a read of the branch and returns where it is.
func (m *proposalMemory) seen(tag string, head SHA, now time.Time) SHA {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.headTag, m.headAt = tag, head
	if head == m.from && head != m.to && now.Sub(m.at) < trust {
		return m.to
	}
	return head
}

func (m *proposalMemory) wrote(from, to SHA, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from, m.to, m.at = from, to, at
	m.headTag, m.headAt, m.tag = "", "", ""
}

func (m *proposalMemory) pulls(address string) (tag string, list []PullRequest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.address != address {
		return "", nil
	}
	return m.tag, m.list
}

func (m *proposalMemory) keepPulls(address, tag string, list []PullRequest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.address, m.tag, m.list = address, tag, list
}

func (m *proposalMemory) forgetPulls() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tag = ""
}

func (m *proposalMemory) origin(commit SHA) (Origin, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made, m.commit == commit && commit != ""
}

func (m *proposalMemory) keepOrigin(commit SHA, o Origin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commit, m.made = commit, o
}
