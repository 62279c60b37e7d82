package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// admission stores the entries of one transaction. It reads at once what the store
// knows about all of them (read), decides in memory what becomes of each (decide),
// and writes at once what follows (write): so a group needs a few round trips to
// PostgreSQL, however many entries it has.
type admission struct {
	*change
	entries []*entry
	// refused are the entries that are left out, each with its answer.
	refused map[int]error
	facts   facts
}

// facts are what the store says about the entries of an admission.
type facts struct {
	queued  map[sender]int             // updates of each sender
	keys    map[int]storedKey          // of entries, where the store has it
	known   map[updateAt]knownUpdate   // earlier ones that updates are redeliveries of
	newest  map[imageAt]int64          // the last place in the order
	told    map[toldBy]int64           // the latest push that a sender told of
	others  map[toldBy]int64           // the place of the last that waits, or is on the branch, of another sender
	waiting map[imageAt][]*waitingTask // what may be superseded
	entered map[string]map[string]int64
}

type (
	// sender is who hands updates in: a webhook's source or a caller of the API.
	sender struct{ caller, webhook string }
	// updateAt is an update's place among the entries.
	updateAt struct{ entry, update int }
	imageAt  struct{ target, image string }
	scopeAt  struct {
		imageAt
		scope string
	}
	toldBy struct {
		scopeAt
		sender string
	}
)

// knownUpdate is an update in the store. ID is "" when there is none.
type knownUpdate struct {
	seq                int64
	ID, image, version string
	status             Status
	accepted           int64
}

// waitingTask waits in the store, or does so as soon as the admission is written.
type waitingTask struct {
	seq, n int64    // of one that is stored
	fresh  *newTask // of one that is not
	scope  string
	place
	update *waitingUpdate
}

type waitingUpdate struct {
	sender sender
	left   int // tasks that wait
}

// newUpdate is to be stored.
type newUpdate struct {
	Update
	entry  int
	record bool
	tasks  []newTask
}

type newTask struct {
	Task
	place
}

// decided is what is to be written, and what is answered then.
type decided struct {
	accepted   [][]Accepted
	updates    []*newUpdate
	superseded []*waitingTask // of the store
	retried    []updateAt
}

// admit stores entries in one transaction. An entry that is refused, or whose
// values the store does not take, leaves the others alone: they are stored without
// it. The error is that of the store and everybody's.
func (q *Queue) admit(entries []*entry) ([]answer, error) {
	refused := map[int]error{}
	ctx, cancel := context.WithTimeout(context.Background(), q.acceptTimeout())
	defer cancel()
	for {
		answers := make([]answer, len(entries))
		err := q.write(ctx, func(ctx context.Context, c *change) error {
			a := &admission{change: c, entries: entries, refused: maps.Clone(refused)}
			return a.run(ctx, answers)
		})
		var one *entryError
		if !errors.As(err, &one) || !q.concernsOne(one.err) {
			return answers, err
		}
		refused[one.entry] = one.err
	}
}

// entryError says which entry an error of the store is about.
type entryError struct {
	entry int
	err   error
}

func (e *entryError) Error() string { return e.err.Error() }
func (e *entryError) Unwrap() error { return e.err }

func (a *admission) run(ctx context.Context, answers []answer) error {
	if err := a.lock(ctx, locks(a.entries)); err != nil {
		return err
	}
	if err := a.read(ctx); err != nil {
		return err
	}
	d := a.decide()
	if err := a.write(ctx, d); err != nil {
		return err
	}
	for i := range a.entries {
		answers[i] = answer{accepted: d.accepted[i], err: a.refused[i]}
		if a.refused[i] != nil {
			answers[i].accepted = nil
		}
	}
	return nil
}

// each calls f for each update of the entries that are not refused.
func (a *admission) each(f func(at updateAt, u *Update)) {
	for i, e := range a.entries {
		if a.refused[i] != nil {
			continue
		}
		for n := range e.updates {
			f(updateAt{i, n}, &e.updates[n])
		}
	}
}

// decide finds out what becomes of each entry, in the order of arrival. One that
// is refused leaves no trace: the rest is decided anew without it.
func (a *admission) decide() *decided {
	for {
		m := newModel(a)
		failed := false
		for i, e := range a.entries {
			if a.refused[i] != nil {
				continue
			}
			if err := m.admit(i, e); err != nil {
				a.refused[i] = err
				failed = true
				break
			}
		}
		if !failed {
			return m.decided
		}
	}
}

// model is the state of the store as it will be after the entries so far.
type model struct {
	*decided
	a       *admission
	queued  map[sender]int
	keys    map[int]storedKey
	taken   map[keyName]*Key // by entries of this admission
	here    map[string]knownUpdate
	newest  map[imageAt]int64
	told    map[toldBy]int64
	placed  map[scopeAt]map[string]int64 // the last place of each sender in this admission
	waiting map[imageAt][]*waitingTask
}

func newModel(a *admission) *model {
	m := &model{
		decided: &decided{accepted: make([][]Accepted, len(a.entries))},
		a:       a, queued: maps.Clone(a.facts.queued), keys: a.facts.keys, taken: map[keyName]*Key{},
		here: map[string]knownUpdate{}, newest: maps.Clone(a.facts.newest), told: maps.Clone(a.facts.told),
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

func (m *model) admit(i int, e *entry) error {
	if e.key != nil {
		if err := m.answerOnce(i, e.key); err != nil {
			return err
		}
	}
	before := maps.Clone(m.queued)
	for n, u := range e.updates {
		m.accepted[i] = append(m.accepted[i], m.admitUpdate(updateAt{i, n}, u, e.record))
	}
	for s, n := range m.queued {
		if n > before[s] && !m.a.q.hasRoom(s, m.queued) {
			return ErrFull
		}
	}
	return nil
}

// answerOnce keeps the answer of a key that is new, and returns what Accept says
// of one that is not.
func (m *model) answerOnce(i int, k *Key) error {
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

func (m *model) admitUpdate(at updateAt, u Update, record bool) Accepted {
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
	added := m.add(at.entry, u, record)
	if !record && u.Webhook != "" {
		m.here[deliveryLock(u)] = knownUpdate{ID: u.ID, image: u.Image, version: u.Version, status: added.Status}
	}
	return Accepted{ID: u.ID, Image: u.Image, Version: u.Version, Disposition: Stored, Status: added.Status}
}

// redeliver answers for an update that came before. One that failed is tried again.
func (m *model) redeliver(at updateAt, k knownUpdate) Accepted {
	accepted := Accepted{ID: k.ID, Image: k.image, Version: k.version, Disposition: Duplicate, Status: k.status}
	if k.status == Failed && k.seq > 0 {
		m.retried = append(m.retried, at)
	}
	return accepted
}

// add takes a new update in.
func (m *model) add(entry int, u Update, record bool) *newUpdate {
	now := m.a.now
	told := time.Time{}
	if !record {
		told = earlier(u.PushedAt, now)
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
	for n, t := range u.Tasks {
		added.tasks[n] = newTask{Task: t, place: place{sender: senderName(&u), told: micros(told)}}
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

func (u *newUpdate) statuses() []Task {
	tasks := make([]Task, len(u.tasks))
	for i, t := range u.tasks {
		tasks[i] = t.Task
	}
	return tasks
}

// addTask gives a task its place as the last to arrive, or the one that it had
// before it ended. One that ended counts for the others only when it says what is
// on the branch.
func (m *model) addTask(u *newUpdate, t *newTask, update *waitingUpdate) {
	at := imageAt{t.Target, u.Image}
	by := toldBy{scopeAt{at, u.Scope}, t.place.sender}
	ended := t.Status.Ended()
	if pos, ok := m.a.facts.entered[u.ID][t.Target]; ok {
		t.pos = pos
	} else if u.record {
		t.pos = micros(u.PushedAt)
	} else {
		t.pos = max(micros(m.a.now), m.newest[at]+1)
	}
	m.newest[at] = max(m.newest[at], t.pos)
	late := !ended && m.isLate(by, t.told)
	switch {
	case late:
		t.Status = Superseded
		m.a.events = append(m.a.events, Event{Kind: TaskEnded, Status: Superseded, Target: t.Target, Webhook: u.Webhook})
	case !ended:
		t.Status, t.NextAttempt, t.FinishedAt = Queued, m.a.now, time.Time{}
		m.supersedeOlder(at, u.Scope, t.place)
		update.left++
		m.waiting[at] = append(m.waiting[at], &waitingTask{fresh: t, scope: u.Scope, place: t.place, update: update})
		m.a.wakes[t.Branch] = true
	case t.Status == Committed || t.Status == Unchanged:
		m.supersedeOlder(at, u.Scope, t.place)
	}
	if t.told > 0 && !late {
		m.told[by] = max(m.told[by], t.told)
	}
	if !late && (!ended || t.Status == Committed || t.Status == Unchanged) {
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

// isLate reports whether a push that its sender told of comes too late: the sender
// told of a later one before, for the same files or for all; or the push is so old
// that this is a delayed delivery, and somebody else's update came after it. A told
// time ahead of now comes from a clock that was set back since.
func (m *model) isLate(by toldBy, told int64) bool {
	if told == 0 {
		return false
	}
	now := micros(m.a.now)
	delayed := now-told > delayedDelivery.Microseconds()
	for _, scope := range []string{"", by.scope} {
		by.scope = scope
		if told < min(m.told[by], now) || delayed && told < m.lastOfOthers(by) {
			return true
		}
	}
	return false
}

// lastOfOthers is the place of the last update of another sender.
func (m *model) lastOfOthers(by toldBy) int64 {
	last := m.a.facts.others[by]
	for sender, pos := range m.placed[by.scopeAt] {
		if sender != by.sender {
			last = max(last, pos)
		}
	}
	return last
}

// supersedeOlder ends the tasks that wait and that a new one of the scope replaces.
func (m *model) supersedeOlder(at imageAt, scope string, p place) {
	m.waiting[at] = slices.DeleteFunc(m.waiting[at], func(w *waitingTask) bool {
		if scope != "" && scope != w.scope || !p.replaces(w.place) {
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

// senderName is whose clock tells when the update was pushed.
func senderName(u *Update) string {
	if u.Webhook != "" {
		return "webhook/" + u.Webhook
	}
	return "caller/" + u.Caller
}

// hasRoom reports whether the updates that wait leave the sender its share: no
// sender has more than half of Options.MaxWaiting, and callers of the API leave a
// quarter of it to webhooks, whose senders may not come again.
func (q *Queue) hasRoom(s sender, queued map[sender]int) bool {
	most := q.options.MaxWaiting
	all, callers := 0, 0
	for other, n := range queued {
		all += n
		if other.webhook == "" {
			callers += n
		}
	}
	return all <= most && queued[s] <= most-most/2 && (s.webhook != "" || callers <= most-most/4)
}

// write stores what was decided.
func (a *admission) write(ctx context.Context, d *decided) error {
	var statements []statement
	var of []int // the entry of each statement, -1 for none
	put := func(entry int, s statement) {
		statements = append(statements, s)
		of = append(of, entry)
	}
	for i, e := range a.entries {
		if e.key != nil && a.refused[i] == nil {
			put(i, a.keepStatement(*e.key, time.Time{}))
		}
	}
	for _, w := range d.superseded {
		put(-1, statement{
			text: `UPDATE versions_task SET status = 'superseded', finished_at = $1 WHERE seq = $2 AND n = $3 AND status = 'queued'`,
			args: []any{micros(a.now), w.seq, w.n},
		})
		a.tell(w.seq, Event{Kind: TaskEnded, Status: Superseded, Target: w.target})
	}
	stored := make([]int64, len(d.updates))
	for i, u := range d.updates {
		// What replaces a fresh task came after it, so only now it is known how it stands.
		if len(u.tasks) > 0 {
			u.Status = aggregate(u.statuses(), u.AbsentAs)
		}
		u.FinishedAt = time.Time{}
		if u.Status.Ended() {
			u.FinishedAt = a.now
			if !u.record {
				a.end(u.ID, Event{Kind: UpdateEnded, Status: u.Status, Webhook: u.Webhook})
			}
		}
		for _, s := range a.insertStatements(u, &stored[i]) {
			put(u.entry, s)
		}
	}
	if err := a.all(ctx, statements); err != nil {
		var at *statementError
		if errors.As(err, &at) && of[at.at] >= 0 {
			return &entryError{entry: of[at.at], err: at.err}
		}
		return err
	}
	for i, u := range d.updates {
		if stored[i] == 0 {
			return &entryError{entry: u.entry, err: ErrExists}
		}
	}
	return a.retry(ctx, d)
}

// retry has the failed updates tried again that were delivered again.
func (a *admission) retry(ctx context.Context, d *decided) error {
	for _, at := range d.retried {
		known := a.facts.known[at]
		if err := a.lockTasks(ctx, known.seq); err != nil {
			return err
		}
		again, err := a.requeue(ctx, known.seq)
		if err != nil {
			return err
		}
		if !again {
			continue
		}
		statuses, err := a.updateStatuses(ctx, known.seq)
		if err != nil {
			return err
		}
		accepted := &d.accepted[at.entry][at.update]
		accepted.Disposition, accepted.Status = Retried, statuses[known.seq]
	}
	return nil
}

// flag is a truth as it is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// insertStatements store an update with its tasks. stored becomes 0 when its ID is taken.
func (a *admission) insertStatements(u *newUpdate, stored *int64) []statement {
	request := u.Request
	if u.Status.Ended() && !needsRequest(u.Status, u.statuses()) {
		request = nil
	}
	bytes := int64(len(request)) + rowBytes
	statements := []statement{{
		text: `
			INSERT INTO versions_update (id, image, version, digest, scope, caller, webhook, delivery_id, request,
				pushed_at, absent_as, status, accepted_at, finished_at, recorded, bytes)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
			ON CONFLICT DO NOTHING`,
		done: func(n int64) { *stored = n },
	}}
	for n, t := range u.tasks {
		bytes += int64(len(t.Result)+len(t.LastError)) + rowBytes
		statements = append(statements, statement{
			// When the update's ID is taken, these are too, and all is undone.
			text: `
				INSERT INTO versions_task (seq, n, image, scope, pushed_at, target, branch, status, attempts,
					queued_at, next_at, claim, last_error, result, finished_at, sender, told_at, set_at)
				VALUES ((SELECT seq FROM versions_update WHERE id = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '',
					$12, $13, $14, $15, $16, $17)
				ON CONFLICT DO NOTHING`,
			args: []any{
				u.ID, n, u.Image, u.Scope, t.pos, t.Target, t.Branch, string(t.Status), t.Attempts,
				micros(a.now), micros(t.NextAttempt), safetext.Line(t.LastError, errorLength), t.Result, micros(t.FinishedAt),
				t.place.sender, t.told, micros(a.now),
			},
		})
	}
	if u.record {
		statements = append(statements, statement{text: `DELETE FROM versions_underway WHERE id = $1`, args: []any{u.ID}})
	}
	statements[0].args = []any{
		u.ID, u.Image, u.Version, u.Digest, u.Scope, u.Caller, u.Webhook, u.DeliveryID, request,
		micros(u.PushedAt), string(u.AbsentAs), string(u.Status), micros(u.AcceptedAt), micros(u.FinishedAt),
		flag(u.record), bytes,
	}
	if u.Status.Ended() {
		a.kept += bytes
	}
	return statements
}

// read asks the store for the facts.
func (a *admission) read(ctx context.Context) error {
	f := &a.facts
	*f = facts{
		queued: map[sender]int{}, keys: map[int]storedKey{}, known: map[updateAt]knownUpdate{}, newest: map[imageAt]int64{},
		told: map[toldBy]int64{}, others: map[toldBy]int64{}, waiting: map[imageAt][]*waitingTask{},
		entered: map[string]map[string]int64{},
	}
	reads := []statement{queuedStatement(f.queued)}
	for i, e := range a.entries {
		if e.key != nil && a.refused[i] == nil {
			reads = append(reads, keyStatement(*e.key, func(k storedKey) { f.keys[i] = k }))
		}
	}
	images, told := map[imageAt]bool{}, map[toldBy]bool{}
	a.each(func(at updateAt, u *Update) {
		record := a.entries[at.entry].record
		switch {
		case record:
			reads = append(reads, a.enteredStatement(u.ID))
		case u.Webhook != "":
			reads = append(reads, a.knownStatement(at, u))
		}
		for _, t := range u.Tasks {
			images[imageAt{t.Target, u.Image}] = true
			if !u.PushedAt.IsZero() && !record {
				for _, scope := range []string{"", u.Scope} {
					told[toldBy{scopeAt{imageAt{t.Target, u.Image}, scope}, senderName(u)}] = true
				}
			}
		}
	})
	updates := map[int64]*waitingUpdate{}
	for at := range images {
		reads = append(reads, a.newestStatement(at), a.waitingStatement(at, updates))
	}
	for by := range told {
		reads = append(reads, a.toldStatement(by))
	}
	if err := a.all(ctx, reads); err != nil {
		return fmt.Errorf("read what is stored: %w", err)
	}
	a.q.underway.addTo(f)
	return nil
}

// queuedStatement counts the updates that wait.
func queuedStatement(queued map[sender]int) statement {
	return statement{
		text: `SELECT caller, webhook, count(*) FROM versions_update WHERE status = 'queued' GROUP BY caller, webhook`,
		row: func(scan func(...any) error) error {
			var s sender
			var n int
			err := scan(&s.caller, &s.webhook, &n)
			queued[s] = n
			return err
		},
	}
}

// knownStatement finds the update that u is a redelivery of.
func (a *admission) knownStatement(at updateAt, u *Update) statement {
	s := statement{row: func(scan func(...any) error) error {
		var k knownUpdate
		if err := scan(&k.seq, &k.ID, &k.image, &k.version, &k.status, &k.accepted); err != nil {
			return err
		}
		if u.DeliveryID != "" || !k.status.Ended() || a.now.Sub(fromMicros(k.accepted)) < dedupeWindow {
			a.facts.known[at] = k
		}
		return nil
	}}
	if u.DeliveryID != "" {
		s.text = `
			SELECT seq, id, image, version, status, accepted_at FROM versions_update
			WHERE webhook = $1 AND delivery_id = $2 AND webhook <> '' AND delivery_id <> ''`
		s.args = []any{u.Webhook, u.DeliveryID}
		return s
	}
	s.text = `
		SELECT seq, id, image, version, status, accepted_at FROM versions_update
		WHERE webhook = $1 AND image = $2 AND version = $3 AND digest = $4 AND webhook <> '' AND delivery_id = ''
		ORDER BY seq DESC LIMIT 1`
	s.args = []any{u.Webhook, u.Image, u.Version, u.Digest}
	return s
}

// enteredStatement finds the places that Enter gave a request.
func (a *admission) enteredStatement(id string) statement {
	return statement{
		text: `SELECT target, pushed_at FROM versions_underway WHERE id = $1`, args: []any{id},
		row: func(scan func(...any) error) error {
			var target string
			var pos int64
			err := scan(&target, &pos)
			if a.facts.entered[id] == nil {
				a.facts.entered[id] = map[string]int64{}
			}
			a.facts.entered[id][target] = pos
			return err
		},
	}
}

func (a *admission) newestStatement(at imageAt) statement {
	return newestStatement(at, func(pos int64) { a.facts.newest[at] = max(a.facts.newest[at], pos) })
}

// waitingStatement finds the tasks of a target and image that may be superseded.
func (a *admission) waitingStatement(at imageAt, updates map[int64]*waitingUpdate) statement {
	return statement{
		text: `
			SELECT t.seq, t.n, t.scope, t.pushed_at, t.sender, t.told_at, u.caller, u.webhook,
				(SELECT count(*) FROM versions_task AS o WHERE o.seq = t.seq AND o.status = 'queued')
			FROM versions_task AS t JOIN versions_update AS u ON u.seq = t.seq
			WHERE t.target = $1 AND t.image = $2 AND t.status = 'queued' AND t.claim = '' AND t.sent_commit = ''
			ORDER BY t.seq, t.n`,
		args: []any{at.target, at.image},
		row: func(scan func(...any) error) error {
			w, u := &waitingTask{place: place{target: at.target}}, waitingUpdate{}
			if err := scan(&w.seq, &w.n, &w.scope, &w.pos, &w.place.sender, &w.told, &u.sender.caller, &u.sender.webhook, &u.left); err != nil {
				return err
			}
			if updates[w.seq] == nil {
				updates[w.seq] = &u
			}
			w.update = updates[w.seq]
			a.facts.waiting[at] = append(a.facts.waiting[at], w)
			return nil
		},
	}
}

func (a *admission) toldStatement(by toldBy) statement {
	return statement{
		text: `
			SELECT (
				SELECT coalesce(max(told_at), 0) FROM versions_task
				WHERE target = $1 AND image = $2 AND sender = $3 AND scope = $4 AND told_at > 0
					AND status IN ('queued', 'committed', 'unchanged')
			), (
				SELECT coalesce(max(pushed_at), 0) FROM versions_task
				WHERE target = $1 AND image = $2 AND scope = $4 AND sender <> $3 AND status IN ('queued', 'committed', 'unchanged')
			)`,
		args: []any{by.target, by.image, by.sender, by.scope},
		row: func(scan func(...any) error) error {
			var told, others int64
			err := scan(&told, &others)
			a.facts.told[by], a.facts.others[by] = told, others
			return err
		},
	}
}
