package github

import (
	"slices"
	"sync"
	"time"
)

// A Branch remembers four things, each behind a lock of its own: where it is found,
// its newest snapshot, the own writes of a moment ago, and the head that a commit
// ran into. Each type is safe for concurrent use; its zero value remembers nothing.

// whereabouts is where a branch is found, and its head with the entity tag of the
// answer that told it.
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

// set reports whether the place is that of another branch than before; a head that
// was tagged there is forgotten.
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

// forget returns what the place was.
func (m *whereabouts) forget() place {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.place
	m.place, m.tagged = place{}, tagged{}
	return old
}

// newest is the newest snapshot that is known.
type newest struct {
	mu       sync.Mutex
	snapshot *Snapshot // nil before the first read
	left     SHA       // a commit that the branch is no longer at, or may not be at
	writes   uint64    // own writes so far
}

// get returns the snapshot, also one that the branch has left, and the number of
// own writes so far, which keep wants to know.
func (m *newest) get() (*Snapshot, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot, m.writes
}

// remembered returns the snapshot unless the branch has left it.
func (m *newest) remembered() (*Snapshot, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snapshot, m.snapshot != nil && m.snapshot.Commit != m.left
}

func (m *newest) leave(commit SHA) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = commit
}

// leaveAll is leave for whatever the snapshot is.
func (m *newest) leaveAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.snapshot != nil {
		m.left = m.snapshot.Commit
	}
}

// confirm returns the snapshot when the head is its commit, else nil.
func (m *newest) confirm(h head) *Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.snapshot
	if s == nil || s.Commit != h.commit || s.Repo != h.repo || s.Branch != h.branch {
		return nil
	}
	m.left = ""
	return s
}

// keep takes in a snapshot that was read since writes own writes; a later one is
// newer than what was read.
func (m *newest) keep(s *Snapshot, writes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writes == writes || m.snapshot == nil {
		m.snapshot, m.left = s, ""
	}
}

// wrote takes in the snapshot after an own write.
func (m *newest) wrote(s *Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snapshot, m.left = s, ""
	m.writes++
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

// madeLately reports whether the commit is one of a moment ago.
func (m *ownWrites) madeLately(commit SHA, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.latest, func(w write) bool { return w.commit == commit && now.Sub(w.at) < trust })
}

// leftLately reports whether an own write went on from the commit a moment ago, so
// that a read which shows it is an old one.
func (m *ownWrites) leftLately(commit SHA, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.latest, func(w write) bool { return w.parent == commit && now.Sub(w.at) < trust })
}

// lostRaces are the races lost in a row, and the head that the last one was lost to,
// which was read but not looked into.
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

// take returns the head once, if it is fresh.
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

// lost counts a race, and returns the head that it was lost to and whether the
// branch is contended.
func (m *lostRaces) lost() (h head, contended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	return m.head, m.count >= contendedFrom
}

// won ends the row.
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
