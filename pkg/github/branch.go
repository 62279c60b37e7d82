package github

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// trust is for how long after an own write a read that shows its parent is
	// taken for a stale one, and the written head is taken as the branch's without
	// asking. GitHub's reads lag behind its writes by some seconds.
	trust = 10 * time.Second
	// planning is for how long a head that was asked for is good for a commit
	// without asking once more.
	planning = 10 * time.Second
	// carried is for how long a head that a commit ran into serves the next
	// Snapshot in place of a request. Where races are lost in a row that is only
	// for one that follows at once: an older head would lose the next race, too.
	carried          = 2 * time.Second
	carriedContended = 20 * time.Millisecond
	// keptWrites bounds the own writes that are remembered.
	keptWrites = 64
)

// Branch is one branch of one repository. It remembers the newest snapshot that
// it knows and the commits that it made. It is safe for concurrent use; of
// several Commits at once on one snapshot all but one lose the race.
type Branch struct {
	client     *Client
	asked      Repo
	configured string // empty for the default branch

	standing standing

	// noArchives tells that the server was found to give no archives.
	noArchives atomic.Bool

	mu      sync.Mutex
	place   place
	tagged  tagged
	newest  *Snapshot // nil before the first read
	left    SHA       // a commit that the branch was found to be no longer at, or may not be at
	writes  []write   // the latest last, at most keptWrites
	news    head      // a head that was read but not looked into
	newsAt  time.Time
	draft   *draft // nil when there is none
	lost    int    // races in a row
	written uint64 // own writes so far
}

// write is a commit that this process put on the branch.
type write struct {
	commit, parent SHA
	at             time.Time
}

// Remembered returns the newest snapshot that is known without asking GitHub:
// from the last own write or the last read. It may be behind the branch; then
// Commit returns ErrBranchMoved. After that, or an *UnknownOutcomeError, nothing is
// remembered until the next Snapshot.
func (b *Branch) Remembered() (*Snapshot, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.newest == nil || b.newest.Commit == b.left {
		return nil, false
	}
	return b.newest, true
}

// leave remembers that the branch is no longer at the commit, or may be so.
func (b *Branch) leave(commit SHA) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = commit
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
	b.mu.Lock()
	old, written := b.newest, b.written
	b.mu.Unlock()
	h, ok := b.takeNews()
	if !ok {
		var err error
		if h, err = b.readHead(ctx); err != nil {
			return nil, err
		}
	}
	if s := b.current(h); s != nil {
		return s, nil
	}
	var known *listing
	if old != nil {
		known = old.listing
	}
	list, err := b.client.list(ctx, h.repo, h.tree, known)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Repo: h.repo, Branch: h.branch, Commit: h.commit, Tree: h.tree, Entries: list.files, listing: list}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written == written || b.newest == nil { // else an own write is newer than what was read
		b.newest, b.left = s, ""
	}
	return s.readAt(b.client.now()), nil
}

// readAt returns the same snapshot as one that was asked for.
func (s *Snapshot) readAt(t time.Time) *Snapshot {
	fresh := *s
	fresh.read = t
	return &fresh
}

// current returns the remembered snapshot when the head is its commit, or is one
// that an own write has just left behind. It is nil otherwise.
func (b *Branch) current(h head) *Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.newest == nil:
		return nil
	case b.newest.Branch != h.branch:
		return nil
	case b.newest.Commit == h.commit && b.newest.Repo == h.repo:
		b.left = ""
		return b.newest.readAt(b.client.now())
	case b.staleLocked(h.commit):
		return b.newest
	}
	return nil
}

// staleLocked tells whether a read of this head is an old one, because an own
// write went on from there a moment ago.
func (b *Branch) staleLocked(commit SHA) bool {
	return slices.ContainsFunc(b.writes, func(w write) bool {
		return w.parent == commit && b.client.now().Sub(w.at) < trust
	})
}

// trusted tells whether a commit on the snapshot needs no look at the branch: it
// was read for this plan, or is an own write of a moment ago.
func (b *Branch) trusted(s *Snapshot) bool {
	if b.defaultDue() {
		return false
	}
	now := b.client.now()
	if !s.read.IsZero() && now.Sub(s.read) < planning {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.writes, func(w write) bool {
		return w.commit == s.Commit && now.Sub(w.at) < trust
	})
}

// stale is staleLocked for callers without the lock.
func (b *Branch) stale(commit SHA) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.staleLocked(commit)
}

// keepNews remembers a head that a commit ran into, for the next Snapshot.
func (b *Branch) keepNews(h head) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.staleLocked(h.commit) {
		b.news, b.newsAt = h, b.client.now()
	}
}

func (b *Branch) takeNews() (head, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := carried
	if b.lost >= draftFrom {
		fresh = carriedContended
	}
	h, ok := b.news, b.news.commit != "" && b.client.now().Sub(b.newsAt) < fresh
	b.news = head{}
	return h, ok
}

// wrote remembers a commit that is on the branch, and the branch as it is with it.
func (b *Branch) wrote(s *Snapshot, next *Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest, b.left, b.news, b.lost = next, "", head{}, 0
	b.written++
	b.writes = append(b.writes, write{commit: next.Commit, parent: s.Commit, at: b.client.now()})
	if over := len(b.writes) - keptWrites; over > 0 {
		b.writes = slices.Delete(b.writes, 0, over)
	}
}
