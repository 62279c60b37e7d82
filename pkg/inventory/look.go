package inventory

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// Look sees each branch at one commit, at which it was when the branch was first asked
// for. It keeps that commit and no snapshot. It is safe for concurrent use.
type Look struct {
	inventory *Inventory

	mu    sync.Mutex
	heads map[update.Repository]*head
}

// head is where a Look saw a branch.
type head struct {
	mu           sync.Mutex // held while the branch is read, so that one target asks for all
	repo         github.Repo
	branch       string
	commit, tree github.SHA // empty before the branch was read
	err          error
}

// Standing is where a target's branch is.
type Standing struct {
	Target string
	Repo   github.Repo
	Branch string
	Commit github.SHA
}

// Look begins a look at the targets as they are now.
func (inv *Inventory) Look() *Look {
	return &Look{inventory: inv, heads: map[update.Repository]*head{}}
}

// References yields the references that the query asks for, in the order of their
// positions. An error is one of package github, of ctx, or of update.Guard, and is the
// last that is yielded, unless Query.Unread takes it.
func (l *Look) References(ctx context.Context, q Query) iter.Seq2[Reference, error] {
	return func(yield func(Reference, error) bool) {
		chosen := l.inventory.chosen(&q)
		for size := 1; len(chosen) > 0; size = min(2*size, maxOpen) {
			group := chosen[:min(size, len(chosen))]
			chosen = chosen[len(group):]
			for _, v := range l.openAll(ctx, group) {
				switch {
				case v.err != nil && q.Unread != nil && ctx.Err() == nil:
					q.Unread(v.target.Place(), v.err)
				case v.err != nil:
					yield(Reference{}, update.OnTarget(v.target.Place(), v.err))
					return
				case !v.references(&q, func(r Reference) bool { return yield(r, nil) }):
					return
				}
			}
		}
	}
}

// Standings returns the targets that the query asks for, which costs one conditional
// request for each branch. The error is one of package github, of ctx, or of
// update.Guard.
func (l *Look) Standings(ctx context.Context, q Query) ([]Standing, error) {
	var standing []Standing
	for group := range slices.Chunk(l.inventory.chosen(&q), maxOpen) {
		found, errs := make([]Standing, len(group)), make([]error, len(group))
		var all sync.WaitGroup
		for i, t := range group {
			all.Go(func() { found[i], errs[i] = l.standing(ctx, t) })
		}
		all.Wait()
		for i, err := range errs {
			if err != nil {
				return nil, update.OnTarget(group[i].Place(), err)
			}
		}
		standing = append(standing, found...)
	}
	return standing, nil
}

// openAll opens targets side by side.
func (l *Look) openAll(ctx context.Context, group []*target) []*view {
	views := make([]*view, len(group))
	var all sync.WaitGroup
	for i, t := range group {
		all.Go(func() {
			v := &view{target: t}
			v.err = update.Guard(func() error { return l.open(ctx, v) })
			views[i] = v
		})
	}
	all.Wait()
	return views
}

func (l *Look) head(repository update.Repository) *head {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heads[repository]
	if h == nil {
		h = &head{}
		l.heads[repository] = h
	}
	return h
}

func (l *Look) standing(ctx context.Context, t *target) (Standing, error) {
	h := l.head(t.Repository)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.commit == "" && h.err == nil {
		_, h.err = h.read(ctx, t.Repository)
	}
	return Standing{Target: t.id, Repo: h.repo, Branch: h.branch, Commit: h.commit}, h.err
}

// snapshot returns that of a branch, at the commit at which the Look saw it.
func (l *Look) snapshot(ctx context.Context, repository update.Repository) (*github.Snapshot, error) {
	h := l.head(repository)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, h.err
	}
	if s, ok := repository.Remembered(); ok && h.commit != "" && s.Commit == h.commit {
		return s, nil
	}
	var s *github.Snapshot
	s, h.err = h.read(ctx, repository)
	return s, h.err
}

// earlier is what a branch can show of its past; *github.Branch can.
type earlier interface {
	At(ctx context.Context, now *github.Snapshot, commit, tree github.SHA) (*github.Snapshot, error)
}

// read asks for the branch, and goes back to the commit at which it was seen before.
func (h *head) read(ctx context.Context, repository update.Repository) (s *github.Snapshot, err error) {
	err = update.Guard(func() error {
		if s, err = repository.Snapshot(ctx); err != nil {
			return err
		}
		if past, ok := repository.(earlier); ok && h.commit != "" && s.Commit != h.commit {
			s, err = past.At(ctx, s, h.commit, h.tree)
			return err
		}
		h.repo, h.branch, h.commit, h.tree = s.Repo, s.Branch, s.Commit, s.Tree
		return nil
	})
	return s, err
}
