package queue

import (
	"maps"
	"slices"
	"time"
)

// newUpdate is an update to be stored.
type newUpdate struct {
	Update
	entry  int // index
	record bool
	tasks  []newTask
}

type newTask struct {
	Task
	position
}

// decision is what an admission writes, and what it returns to the callers then.
type decision struct {
	accepted   [][]Accepted
	updates    []*newUpdate
	superseded []*waitingTask // stored ones
	retried    []updateAt     // redeliveries of failed updates
}

// model is the state of the store after the entries that were added so far.
type model struct {
	*decision
	a       *admission
	queued  map[sender]int
	keys    map[int]storedKey
	taken   map[keyName]*Key       // the keys of this admission
	here    map[string]knownUpdate // the webhooks' updates of this admission, by deliveryLock
	newest  map[imageAt]int64
	latest  map[pushedBy]int64
	placed  map[scopeAt]map[string]int64 // the last position of each sender in this admission
	waiting map[imageAt][]*waitingTask
}

func newModel(a *admission) *model {
	m := &model{
		decision: &decision{accepted: make([][]Accepted, len(a.entries))},
		a:        a, queued: maps.Clone(a.facts.queued), keys: a.facts.keys, taken: map[keyName]*Key{},
		here: map[string]knownUpdate{}, newest: maps.Clone(a.facts.newest), latest: maps.Clone(a.facts.latest),
		placed:  map[scopeAt]map[string]int64{},
		waiting: map[imageAt][]*waitingTask{},
	}
	copies := map[*waitingUpdate]*waitingUpdate{}
	for at, tasks := range a.facts.waiting {
		for _, t := range tasks {
			if copies[t.update] == nil {
				copies[t.update] = &waitingUpdate{t.update.sender, t.update.left}
			}
			task := *t
			task.update = copies[t.update]
			m.waiting[at] = append(m.waiting[at], &task)
		}
	}
	return m
}

// addEntry adds the updates of an entry, or returns why the entry is refused.
func (m *model) addEntry(i int, e *entry) error {
	if e.key != nil {
		if err := m.takeKey(i, e.key); err != nil {
			return err
		}
	}
	before := maps.Clone(m.queued)
	for n, u := range e.updates {
		m.accepted[i] = append(m.accepted[i], m.addUpdate(updateAt{i, n}, u, e.record))
	}
	for s, n := range m.queued {
		if n > before[s] && !m.a.q.hasRoom(s, m.queued) {
			return ErrFull
		}
	}
	return nil
}

// takeKey takes an idempotency key for the entry, or returns Accept's error when the
// key was used before.
func (m *model) takeKey(i int, k *Key) error {
	if first := m.taken[k.name()]; first != nil {
		if first.Hash != k.Hash {
			return ErrKeyReused
		}
		return &AnsweredError{Answer: first.Answer}
	}
	found, err := m.keys[i].state(*k, m.a.now)
	switch {
	case err != nil:
		return err
	case found.State == KeyDone:
		return &AnsweredError{Answer: found.Answer}
	case found.State == KeyBusy:
		return ErrKeyBusy
	}
	m.taken[k.name()] = k
	return nil
}

// addUpdate adds an update unless it is a redelivery or too old.
func (m *model) addUpdate(at updateAt, u Update, record bool) Accepted {
	now := m.a.now
	if !record && u.Webhook != "" {
		known, ok := m.here[deliveryLock(u)]
		if !ok {
			known, ok = m.a.facts.known[at]
		}
		if ok {
			return m.redeliver(at, known)
		}
	}
	if !record && !u.PushedAt.IsZero() && now.Sub(u.PushedAt) > m.a.q.options.Retention {
		return Accepted{ID: u.ID, Image: u.Image, Version: u.Version, Disposition: Expired}
	}
	added := m.addNew(at.entry, u, record)
	if !record && u.Webhook != "" {
		m.here[deliveryLock(u)] = knownUpdate{ID: u.ID, image: u.Image, version: u.Version, status: added.Status}
	}
	return Accepted{ID: u.ID, Image: u.Image, Version: u.Version, Disposition: Stored, Status: added.Status}
}

// redeliver handles an update that was accepted before. A failed one is retried.
func (m *model) redeliver(at updateAt, k knownUpdate) Accepted {
	accepted := Accepted{ID: k.ID, Image: k.image, Version: k.version, Disposition: Duplicate, Status: k.status}
	if k.status == Failed && k.seq > 0 {
		m.retried = append(m.retried, at)
	}
	return accepted
}

// addNew adds an update that was not accepted before.
func (m *model) addNew(entry int, u Update, record bool) *newUpdate {
	now := m.a.now
	pushed := time.Time{}
	if !record {
		pushed = earlier(u.PushedAt, now)
	}
	if u.PushedAt.IsZero() || u.PushedAt.After(now) {
		u.PushedAt = now
	}
	if !record || u.AcceptedAt.IsZero() || u.AcceptedAt.After(now) {
		u.AcceptedAt = now
	}
	if u.AbsentAs == "" {
		u.AbsentAs = Unchanged
	}
	added := &newUpdate{Update: u, entry: entry, record: record, tasks: make([]newTask, len(u.Tasks))}
	update := &waitingUpdate{sender: sender{u.Caller, u.Webhook}}
	pos := m.place(&u, record)
	for n, t := range u.Tasks {
		t.Image = u.imageOf(&t)
		added.tasks[n] = newTask{Task: t, position: position{pos: pos, sender: senderName(&u), pushed: micros(pushed)}}
		m.addTask(added, &added.tasks[n], update)
	}
	if update.left > 0 {
		m.queued[update.sender]++
	}
	if len(added.tasks) > 0 {
		added.Status = aggregate(added.statuses(), u.AbsentAs)
	}
	m.updates = append(m.updates, added)
	return added
}

// place returns the position of an update's tasks, which is one for all of them: after all
// others of each image and target, or that of PushedAt for one that has already ended.
func (m *model) place(u *Update, record bool) int64 {
	if record {
		return micros(u.PushedAt)
	}
	pos := micros(m.a.now)
	for _, t := range u.Tasks {
		pos = max(pos, m.newest[imageAt{t.Target, u.imageOf(&t)}]+1)
	}
	return pos
}

// statuses returns the tasks for aggregate.
func (u *newUpdate) statuses() []Task {
	tasks := make([]Task, len(u.tasks))
	for i, t := range u.tasks {
		tasks[i] = t.Task
	}
	return tasks
}

// addTask adds a task at its position, or at the one that Enter gave it. A task that has
// already ended supersedes others only when its version is on the branch or proposed for
// it (Committed, Proposed or Unchanged).
func (m *model) addTask(u *newUpdate, t *newTask, update *waitingUpdate) {
	at := imageAt{t.Target, t.Image}
	by := pushedBy{scopeAt{at, u.Scope}, t.position.sender}
	ended := t.Status.Ended()
	if pos, ok := m.a.facts.entered[u.ID][t.Target]; ok {
		t.pos = pos
	}
	m.newest[at] = max(m.newest[at], t.pos)
	late := !ended && m.isLate(by, t.pushed)
	switch {
	case late:
		t.Status = Superseded
		m.a.events = append(m.a.events, Event{Kind: TaskEnded, Status: Superseded, Target: t.Target, Webhook: u.Webhook})
	case !ended:
		t.Status, t.NextAttempt, t.FinishedAt = Queued, m.a.now, time.Time{}
		m.supersedeOlder(at, u.Scope, t.position)
		update.left++
		if t.Hold == "" {
			m.waiting[at] = append(m.waiting[at], &waitingTask{fresh: t, scope: u.Scope, position: t.position, update: update})
		}
		m.a.wakes[t.Branch] = true
	case written(t.Status):
		m.supersedeOlder(at, u.Scope, t.position)
	}
	if t.pushed > 0 && !late {
		m.latest[by] = max(m.latest[by], t.pushed)
	}
	if !late && (!ended || written(t.Status)) {
		if m.placed[by.scopeAt] == nil {
			m.placed[by.scopeAt] = map[string]int64{}
		}
		m.placed[by.scopeAt][by.sender] = t.pos
	}
	if t.Status.Ended() {
		t.NextAttempt = time.Time{}
		if t.FinishedAt.IsZero() {
			t.FinishedAt = m.a.now
		}
	}
}

// isLate reports whether a push arrives too late to win. That is so when its sender has
// already reported a later push of the same scope or of everything, or when the
// delivery is delayed and another sender's update has a later position than the push.
// A reported time in the future was set by a clock that has been put back since.
func (m *model) isLate(by pushedBy, pushed int64) bool {
	if pushed == 0 {
		return false
	}
	now := micros(m.a.now)
	delayed := now-pushed > delayedDelivery.Microseconds()
	for _, scope := range []string{"", by.scope} {
		by.scope = scope
		if pushed < min(m.latest[by], now) || delayed && pushed < m.lastOfOthers(by) {
			return true
		}
	}
	return false
}

// lastOfOthers returns the last position of the other senders.
func (m *model) lastOfOthers(by pushedBy) int64 {
	last := m.a.facts.others[by]
	for sender, pos := range m.placed[by.scopeAt] {
		if sender != by.sender {
			last = max(last, pos)
		}
	}
	return last
}

// supersedeOlder ends the queued tasks that a task of the scope at p replaces.
func (m *model) supersedeOlder(at imageAt, scope string, p position) {
	m.waiting[at] = slices.DeleteFunc(m.waiting[at], func(w *waitingTask) bool {
		if scope != "" && scope != w.scope || !p.replaces(w.position) {
			return false
		}
		w.update.left--
		if w.update.left == 0 {
			m.queued[w.update.sender]--
		}
		if w.fresh == nil {
			m.superseded = append(m.superseded, w)
			return true
		}
		w.fresh.Status, w.fresh.NextAttempt, w.fresh.FinishedAt = Superseded, time.Time{}, m.a.now
		return true
	})
}

func earlier(t, limit time.Time) time.Time {
	if t.After(limit) {
		return limit
	}
	return t
}

// written reports whether a task of this status, which has ended, brought its version.
func written(s Status) bool { return s == Committed || s == Proposed || s == Unchanged }
