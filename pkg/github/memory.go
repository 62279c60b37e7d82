package github

import (
	"slices"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
)

// A Branch remembers four things, each behind a lock of its own: its place, its newest
// snapshot, its own latest writes, and the head that won the last lost race. Each type
// is safe for concurrent use; but for newest's caches, its zero value remembers nothing.

// whereabouts is the place of a branch, and its head with the entity tag of the answer
// that held it.
type whereabouts struct {
	mu     sync.Mutex
	place  place
	tagged tagged
}

func (m *whereabouts) get() (place, tagged) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.place, m.tagged
}

// set stores the place and reports whether it is that of another branch than before.
// If so, it forgets the tagged head.
func (m *whereabouts) set(at place) (another bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	another = m.place.branch != "" && m.place.branch != at.branch
	if another {
		m.tagged = tagged{}
	}
	m.place = at
	return another
}

func (m *whereabouts) tag(t tagged) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tagged = t
}

// forget forgets the place and the tagged head, and returns the place.
func (m *whereabouts) forget() place {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.place
	m.place, m.tagged = place{}, tagged{}
	return old
}

// newest is the newest snapshot that is known. Its head is known for ever, the snapshot
// itself as long as there is memory for it.
type newest struct {
	snapshots *cache.Cache[cache.Key, *Snapshot]
	key       cache.Key

	mu     sync.Mutex
	head   head   // zero before the first read
	left   SHA    // a commit that the branch has left, or may have left
	writes uint64 // own writes so far
}

// get returns the snapshot, even if the branch has left it, and the number of own
// writes so far, which is an argument of keep.
func (m *newest) get() (*Snapshot, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshotLocked(), m.writes
}

// snapshotLocked returns nil when the snapshot is not remembered.
func (m *newest) snapshotLocked() *Snapshot {
	s, ok := m.snapshots.Get(m.key)
	if !ok || s.Commit != m.head.commit {
		return nil
	}
	return s
}

// at returns the head of the snapshot.
func (m *newest) at() head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head
}

// remembered returns the snapshot unless the branch has left it.
func (m *newest) remembered() (*Snapshot, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.snapshotLocked()
	if s == nil || s.Commit == m.left {
		return nil, false
	}
	return s, true
}

// leave notes that the branch is no longer at the commit, or may not be.
func (m *newest) leave(commit SHA) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = commit
}

// leaveAll is leave for the commit of the snapshot.
func (m *newest) leaveAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head.commit != "" {
		m.left = m.head.commit
	}
}

// confirm returns the snapshot if the head is at its commit, else nil.
func (m *newest) confirm(h head) *Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head.commit != h.commit || m.head.repo != h.repo || m.head.branch != h.branch {
		return nil
	}
	m.left = ""
	return m.snapshotLocked()
}

// keep stores a snapshot whose reading began after that many own writes, unless there
// has been another since: that one's snapshot is newer.
func (m *newest) keep(s *Snapshot, writes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writes == writes || m.head.commit == "" {
		m.storeLocked(s)
	}
}

// wrote stores the snapshot after an own write, and counts it.
func (m *newest) wrote(s *Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.storeLocked(s)
	m.writes++
}

func (m *newest) storeLocked(s *Snapshot) {
	m.head, m.left = head{repo: s.Repo, branch: s.Branch, commit: s.Commit, tree: s.Tree}, ""
	m.snapshots.Replace(m.key, s)
}

// ownWrites are the latest commits that this process put on the branch.
type ownWrites struct {
	mu     sync.Mutex
	latest []write // the last one last, at most keptWrites
}

// write is a commit that this process put on the branch.
type write struct {
	commit, parent SHA
	at             time.Time
}

func (m *ownWrites) add(w write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = append(m.latest, w)
	if over := len(m.latest) - keptWrites; over > 0 {
		m.latest = slices.Delete(m.latest, 0, over)
	}
}

func (m *ownWrites) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = nil
}

// madeLately reports whether the commit is an own write of less than trust ago.
func (m *ownWrites) madeLately(commit SHA, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.latest, func(w write) bool { return w.commit == commit && now.Sub(w.at) < trust })
}

// leftLately reports whether the commit is the parent of an own write of less than
// trust ago, so that a read which shows it is out of date.
func (m *ownWrites) leftLately(commit SHA, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.latest, func(w write) bool { return w.parent == commit && now.Sub(w.at) < trust })
}

// lostRaces counts the races lost in a row, and holds the head that won the last of
// them, whose tree has not been read.
type lostRaces struct {
	mu    sync.Mutex
	head  head
	at    time.Time
	count int
}

func (m *lostRaces) keep(h head, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head, m.at = h, now
}

// take returns the head if it is fresh, and forgets it.
func (m *lostRaces) take(now time.Time) (head, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := carried
	if m.count >= contendedFrom {
		fresh = carriedContended
	}
	h := m.head
	m.head = head{}
	return h, h.commit != "" && now.Sub(m.at) < fresh
}

// lost counts a lost race, and returns the head that won it. contended reports whether
// contendedFrom races were lost in a row.
func (m *lostRaces) lost() (h head, contended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	return m.head, m.count >= contendedFrom
}

// won forgets the head and the races lost so far.
func (m *lostRaces) won() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head, m.count = head{}, 0
}

func (m *lostRaces) forgetHead() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head = head{}
}
