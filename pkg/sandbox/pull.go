package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// pullState is what a pull request is for GitHub: open, or closed with or without a
// merge.
const (
	pullOpen   = "open"
	pullClosed = "closed"
)

// pull is a pull request. It is read and written under pullStore.mu.
type pull struct {
	PullRequest
	headHash, baseHash bare.Hash // as they are, or were when it was closed
	asyncs             []*asyncMerge
}

// PullRequest is a pull request as a test sees it.
type PullRequest struct {
	Number     int
	Title      string
	Body       string
	Head, Base string // branches of the repository itself
	HeadSHA    string
	State      string // open or closed
	Draft      bool
	Merged     bool
	MergeSHA   string // of the commit on the base, once it is merged
	User       string
	MergedBy   string

	Labels, Assignees, Reviewers, Teams []string
	Comments                            []Comment
	Approvals                           []string // who approves its present head

	Created, Updated, Closed time.Time
}

// Comment is one below a pull request.
type Comment struct {
	ID      int64
	User    string
	Body    string
	Created time.Time
}

// pullStore holds the pull requests of a repository and what others say of its
// commits. It is safe for concurrent use.
type pullStore struct {
	mu       sync.Mutex
	all      map[int]*pull
	last     int   // number
	comments int64 // number of the last one
	checks   map[string]map[string]Check

	people, teams map[string]bool // nil: everybody
	deleteBranch  atomic.Bool
	noDrafts      bool
}

// PullRequests returns all pull requests, the oldest first.
func (r *Repository) PullRequests() []PullRequest {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	all := make([]PullRequest, 0, len(r.pulls.all))
	for _, n := range slices.Sorted(maps.Keys(r.pulls.all)) {
		p := r.pulls.all[n]
		if err := r.settle(p); err == nil {
			all = append(all, p.public())
		}
	}
	return all
}

// PullRequest returns one by its number, or ErrNotFound.
func (r *Repository) PullRequest(number int) (PullRequest, error) {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	p := r.pulls.all[number]
	if p == nil {
		return PullRequest{}, fmt.Errorf("pull request %d of %s: %w", number, r.Name(), ErrNotFound)
	}
	err := r.settle(p)
	return p.public(), err
}

// public is the pull request as others may keep it.
func (p *pull) public() PullRequest {
	q := p.PullRequest
	q.HeadSHA = p.headHash.String()
	for _, list := range []*[]string{&q.Labels, &q.Assignees, &q.Reviewers, &q.Teams, &q.Approvals} {
		*list = slices.Clone(*list)
	}
	q.Comments = slices.Clone(q.Comments)
	return q
}

// changePull lets a person at the keyboard change an open or closed pull request.
func (r *Repository) changePull(number int, change func(*pull) error) error {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	p := r.pulls.all[number]
	if p == nil {
		return fmt.Errorf("pull request %d of %s: %w", number, r.Name(), ErrNotFound)
	}
	if err := r.settle(p); err != nil {
		return err
	}
	return change(p)
}

// ClosePullRequest closes one without a merge, as a person does.
func (r *Repository) ClosePullRequest(number int) error {
	return r.changePull(number, func(p *pull) error { r.closePull(p); return nil })
}

// ReopenPullRequest opens a closed one again. The error wraps ErrInvalid where GitHub
// refuses it.
func (r *Repository) ReopenPullRequest(number int) error {
	return r.changePull(number, func(p *pull) error {
		if why := r.reopen(p); why != "" {
			return fmt.Errorf("%w: %s", ErrInvalid, why)
		}
		return nil
	})
}

// Approve adds a review that approves the pull request's present head.
func (r *Repository) Approve(number int, login string) error {
	return r.changePull(number, func(p *pull) error {
		if !slices.Contains(p.Approvals, login) {
			p.Approvals = append(p.Approvals, login)
		}
		p.Updated = r.clock()
		return nil
	})
}

// EditPullRequest sets title and body as a person does.
func (r *Repository) EditPullRequest(number int, title, body string) error {
	return r.changePull(number, func(p *pull) error {
		p.Title, p.Body, p.Updated = title, body, r.clock()
		return nil
	})
}

// SetPeople says who may be asked for a review or be assigned; nil means everybody.
func (r *Repository) SetPeople(users, teams []string) {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	set := func(names []string) map[string]bool {
		if names == nil {
			return nil
		}
		known := map[string]bool{}
		for _, name := range names {
			known[name] = true
		}
		return known
	}
	r.pulls.people, r.pulls.teams = set(users), set(teams)
}

// SetDeleteBranchOnMerge makes merges delete the branch that was merged.
func (r *Repository) SetDeleteBranchOnMerge(on bool) {
	r.pulls.deleteBranch.Store(on)
}

func (r *Repository) deletesBranches() bool {
	return r.pulls.deleteBranch.Load()
}

// SetDrafts sets whether the repository's plan has drafts; it has at first.
func (r *Repository) SetDrafts(on bool) {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	r.pulls.noDrafts = !on
}

func (r *Repository) closePull(p *pull) {
	if p.State == pullOpen {
		p.State, p.Closed, p.Updated = pullClosed, r.clock(), r.clock()
	}
}

// reopen returns GitHub's reason when the pull request stays closed.
func (r *Repository) reopen(p *pull) string {
	if p.State == pullOpen {
		return ""
	}
	head, err := r.head(p.Head)
	switch {
	case p.Merged:
		return "state cannot be changed. The pull request cannot be reopened."
	case err != nil:
		return fmt.Sprintf("state cannot be changed. The %s branch has been deleted.", p.Head)
	case r.openFor(p.Head, p.Base) != nil:
		return fmt.Sprintf("state cannot be changed. There is already an open pull request from %s to %s.", p.Head, p.Base)
	}
	if forward, err := r.git.IsAncestor(p.headHash, head); err != nil || !forward {
		return fmt.Sprintf("state cannot be changed. The %s branch was force-pushed or recreated.", p.Head)
	}
	p.State, p.Closed, p.Updated = pullOpen, time.Time{}, r.clock()
	return ""
}

// openFor returns the open pull request of a head and a base. r.pulls.mu is held.
func (r *Repository) openFor(head, base string) *pull {
	for _, p := range r.pulls.all {
		if p.Head == head && p.Base == base && r.settle(p) == nil && p.State == pullOpen {
			return p
		}
	}
	return nil
}

// settle brings an open pull request up to date with its branches and with the
// merges that are due: one whose head has gone is closed, one whose commits are on the
// base is merged. r.pulls.mu is held.
func (r *Repository) settle(p *pull) error {
	if err := r.runAsyncs(p); err != nil || p.State != pullOpen {
		return err
	}
	return r.followBranches(p)
}

// settleMerges takes the steps of asynchronous merges that are due.
func (r *Repository) settleMerges() error {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	for _, p := range r.pulls.all {
		if p.running() == nil {
			continue
		}
		if err := r.settle(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) followBranches(p *pull) error {
	head, err := r.head(p.Head)
	if errors.Is(err, ErrNotFound) {
		r.closePull(p)
		return nil
	}
	base, errBase := r.head(p.Base)
	if errors.Is(errBase, ErrNotFound) {
		r.closePull(p)
		return nil
	}
	if err := cmp.Or(err, errBase); err != nil {
		return err
	}
	if head == p.headHash && base == p.baseHash {
		return nil
	}
	if head != p.headHash {
		p.Approvals, p.Updated = nil, r.clock()
		if a := p.running(); a != nil && a.SHA != head.String() { // in a queue as well
			a.end(r, asyncFailed, headMovedText)
		}
	}
	pushed := head != p.headHash
	p.headHash, p.baseHash = head, base
	landed, err := r.git.IsAncestor(head, base)
	if err != nil || !landed {
		return err
	}
	if !pushed { // its commits came to the base by a push, which GitHub counts as a merge
		p.Merged, p.MergeSHA = true, head.String()
	}
	r.closePull(p)
	return nil
}
