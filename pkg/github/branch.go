package github

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// trust is the replication lag we assume: for this long after our own commit, a
	// read that returns its parent is treated as stale, and the commit is the branch's
	// head without a request. GitHub's reads lag behind its writes by some seconds.
	trust = 10 * time.Second
	// planning is how long a head may be used for a commit after it was read.
	planning = 10 * time.Second
	// carried is how long the head that a commit lost against serves the next Snapshot
	// without a request. After several lost races in a row it is carriedContended: an
	// older head would lose the next race as well.
	carried          = 2 * time.Second
	carriedContended = 20 * time.Millisecond
	// keptWrites bounds the remembered commits of our own.
	keptWrites = 64
	// branchCost is about what a Branch takes beside its snapshot, with the entity tag of
	// its head and its own writes, in bytes.
	branchCost = 4 << 10
)

// Branch is one branch of one repository. It remembers the commits that it made and, as
// long as Client.Memory has room, the newest snapshot that it knows. It is safe for concurrent use; of several
// concurrent Commits on one snapshot, one wins and the others get ErrBranchMoved.
type Branch struct {
	client     *Client
	asked      Repo
	configured string // empty for the default branch

	standing standing

	// noArchives reports that the server serves no archives.
	noArchives atomic.Bool

	where whereabouts
	known newest
	own   ownWrites
	races lostRaces
	draft draftBox
}

// Remembered returns the newest snapshot that is known without asking GitHub:
// from the last own write or the last read. It may be behind the branch; then
// Commit returns ErrBranchMoved. After that, or an *UnknownOutcomeError, nothing is
// remembered until the next Snapshot.
func (b *Branch) Remembered() (*Snapshot, bool) {
	return b.known.remembered()
}

// Snapshot returns the branch as GitHub has it now. That costs one request when
// the branch did not move, and one or two more to see what changed; a tree too
// large for one answer is read in parts.
//
// There is one exception: for ten seconds after an own write (trust), an answer that
// shows the write's parent is taken for one that lags behind, and the snapshot is
// that of the newest own write. A branch that somebody really sets back to that
// parent looks the same, and is not noticed until the time is over.
func (b *Branch) Snapshot(ctx context.Context) (*Snapshot, error) {
	old, writes := b.known.get()
	h, ok := b.races.take(b.client.now())
	if !ok {
		var err error
		if h, err = b.readHead(ctx); err != nil {
			return nil, err
		}
	}
	if s := b.known.confirm(h); s != nil {
		return s.readAt(b.client.now()), nil
	}
	own := b.known.at()
	behind := b.stale(h.commit) && own.branch == h.branch
	if behind {
		if old, writes = b.known.get(); old != nil {
			return old, nil
		}
		h = own
	}
	s, err := b.list(ctx, h, old)
	if err != nil {
		return nil, err
	}
	b.known.keep(s, writes)
	if behind {
		return s, nil
	}
	return s.readAt(b.client.now()), nil
}

// list reads the tree of a head, as far as old, which may be nil, does not hold it.
func (b *Branch) list(ctx context.Context, h head, old *Snapshot) (*Snapshot, error) {
	var known *listing
	if old != nil {
		known = old.listing
	}
	leave, err := b.limits().enter(ctx, treePlace, opTree)
	if err != nil {
		return nil, err
	}
	defer leave()
	list, err := b.client.list(ctx, h.repo, h.tree, known)
	if err != nil {
		return nil, err
	}
	return &Snapshot{Repo: h.repo, Branch: h.branch, Commit: h.commit, Tree: h.tree, Entries: list.files, listing: list}, nil
}

// readAt returns the same snapshot as one that was asked for.
func (s *Snapshot) readAt(t time.Time) *Snapshot {
	fresh := *s
	fresh.read = t
	return &fresh
}

// stale reports whether a read of this head is an old one, because an own write
// went on from there a moment ago.
func (b *Branch) stale(commit SHA) bool { return b.own.leftLately(commit, b.client.now()) }

// trusted reports whether a commit on the snapshot needs no look at the branch: it
// was read for this plan, or is an own write of a moment ago.
func (b *Branch) trusted(s *Snapshot) bool {
	if b.defaultDue() {
		return false
	}
	now := b.client.now()
	return !s.read.IsZero() && now.Sub(s.read) < planning || b.own.madeLately(s.Commit, now)
}

// ranInto remembers a head that a commit ran into, for the next Snapshot.
func (b *Branch) ranInto(h head) {
	if !b.stale(h.commit) {
		b.races.keep(h, b.client.now())
	}
}

// wrote remembers a commit that is on the branch, and the branch as it is with it.
// The write comes first: who sees the new snapshot then knows that a read of its
// parent is an old one.
func (b *Branch) wrote(s *Snapshot, next *Snapshot) {
	b.own.add(write{commit: next.Commit, parent: s.Commit, at: b.client.now()})
	b.known.wrote(next)
	b.races.won()
}
