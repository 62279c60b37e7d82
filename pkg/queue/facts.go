package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// facts are what the store holds about the entries of an admission.
type facts struct {
	queued  map[sender]int              // number of queued updates
	keys    map[int]storedKey           // the idempotency keys that are stored, by the index of the entry
	known   map[updateAt]knownUpdate    // the stored update that each redelivery repeats
	newest  map[imageAt]int64           // the last position taken
	latest  map[pushedBy]int64          // the latest push time that the sender reported
	others  map[pushedBy]int64          // the last position of another sender's task that is queued or on the branch
	waiting map[imageAt][]*waitingTask  // the tasks that may be superseded
	entered map[string]map[string]int64 // positions given by Enter, by the update's ID and target
}

type (
	// sender is a webhook source or a caller of the API.
	sender struct{ caller, webhook string }
	// updateAt is an update's index among those of its entry.
	updateAt struct{ entry, update int }
	imageAt  struct{ target, image string }
	scopeAt  struct {
		imageAt
		scope string
	}
	pushedBy struct {
		scopeAt
		sender string // see senderName
	}
)

// knownUpdate is an update that was accepted before; seq is 0 for one of this admission.
type knownUpdate struct {
	seq                int64
	ID, image, version string
	status             Status
	accepted           int64
}

// waitingTask is a queued task: a stored one, or a new one of this admission.
type waitingTask struct {
	seq, n int64    // the key of a stored task
	fresh  *newTask // the new task; nil for a stored one
	scope  string
	position
	update *waitingUpdate
}

type waitingUpdate struct {
	sender sender
	left   int // number of its queued tasks
}

// readFacts reads the facts about all entries in one round trip.
func (a *admission) readFacts(ctx context.Context) error {
	f := &a.facts
	*f = facts{
		queued: map[sender]int{}, keys: map[int]storedKey{}, known: map[updateAt]knownUpdate{}, newest: map[imageAt]int64{},
		latest: map[pushedBy]int64{}, others: map[pushedBy]int64{}, waiting: map[imageAt][]*waitingTask{},
		entered: map[string]map[string]int64{},
	}
	reads := []statement{queuedStatement(f.queued)}
	for i, e := range a.entries {
		if e.key != nil && a.refused[i] == nil {
			reads = append(reads, keyStatement(*e.key, func(k storedKey) { f.keys[i] = k }))
		}
	}
	images, pushes := map[imageAt]bool{}, map[pushedBy]bool{}
	a.eachUpdate(func(at updateAt, u *Update) {
		record := a.entries[at.entry].record
		switch {
		case record:
			reads = append(reads, a.enteredStatement(u.ID))
		case u.Webhook != "":
			reads = append(reads, a.knownStatement(at, u))
		}
		for _, t := range u.Tasks {
			place := imageAt{t.Target, u.imageOf(&t)}
			images[place] = true
			if !u.PushedAt.IsZero() && !record {
				for _, scope := range []string{"", u.Scope} {
					pushes[pushedBy{scopeAt{place, scope}, senderName(u)}] = true
				}
			}
		}
	})
	places := slices.Collect(maps.Keys(images))
	reads = append(reads, newestStatement(a, places, func(at imageAt, pos int64) { f.newest[at] = pos }))
	reads = append(reads, a.waitingStatements(places)...)
	if len(pushes) > 0 {
		reads = append(reads, a.latestPushStatement(slices.Collect(maps.Keys(pushes))))
	}
	if err := a.all(ctx, reads); err != nil {
		return fmt.Errorf("read the stored updates: %w", err)
	}
	a.q.underway.addTo(f)
	return nil
}

// asPlaces is the parameter for a list of targets and images.
func asPlaces(places []imageAt) string {
	pairs := make([][2]string, len(places))
	for i, at := range places {
		pairs[i] = [2]string{at.target, at.image}
	}
	return jsonOf(pairs)
}

// queuedStatement counts the queued updates of each sender.
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

// knownStatement finds the update that u repeats.
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

// enteredStatement finds the positions that Enter gave an update.
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

// waitingStatements find the tasks of targets and images that may be superseded: those that
// are neither being applied nor possibly on the branch, and came with no hold. The other
// statement counts what is queued of their updates.
func (a *admission) waitingStatements(places []imageAt) []statement {
	const superseded = ` CROSS JOIN versions_task AS t
		WHERE t.target = value->>0 AND t.image = value->>1 AND t.status = 'queued' AND t.claim = '' AND t.sent_commit = '' AND t.hold = ''`
	updates := map[int64]*waitingUpdate{}
	update := func(seq int64) *waitingUpdate {
		if updates[seq] == nil {
			updates[seq] = &waitingUpdate{}
		}
		return updates[seq]
	}
	list := []any{asPlaces(places)}
	return []statement{{
		text: `
			SELECT t.seq, t.n, t.target, t.image, t.scope, t.pushed_at, t.sender, t.told_at,
				(SELECT u.caller FROM versions_update AS u WHERE u.seq = t.seq), (SELECT u.webhook FROM versions_update AS u WHERE u.seq = t.seq)
			FROM ` + a.elements(1) + superseded + ` ORDER BY t.seq, t.n`,
		args: list,
		row: func(scan func(...any) error) error {
			var at imageAt
			var from sender
			w := &waitingTask{}
			if err := scan(&w.seq, &w.n, &at.target, &at.image, &w.scope, &w.pos, &w.position.sender, &w.pushed, &from.caller, &from.webhook); err != nil {
				return err
			}
			w.target, w.update = at.target, update(w.seq)
			w.update.sender = from
			a.facts.waiting[at] = append(a.facts.waiting[at], w)
			return nil
		},
	}, {
		text: `
			SELECT seq, count(*) FROM versions_task WHERE status = 'queued' AND seq IN (
				SELECT t.seq FROM ` + a.elements(1) + superseded + `) GROUP BY seq`,
		args: list,
		row: func(scan func(...any) error) error {
			var seq int64
			var left int
			err := scan(&seq, &left)
			update(seq).left = left
			return err
		},
	}}
}

// latestPushStatement finds the latest push time that each sender reported, and the last
// position of the other senders.
func (a *admission) latestPushStatement(pushes []pushedBy) statement {
	list := make([][4]string, len(pushes))
	for i, by := range pushes {
		list[i] = [4]string{by.target, by.image, by.sender, by.scope}
	}
	return statement{
		text: `
			SELECT value->>0, value->>1, value->>2, value->>3, (
				SELECT coalesce(max(told_at), 0) FROM versions_task
				WHERE target = value->>0 AND image = value->>1 AND sender = value->>2 AND scope = value->>3 AND told_at > 0
					AND status IN ('queued', 'committed', 'proposed', 'unchanged')
			), (
				SELECT coalesce(max(pushed_at), 0) FROM versions_task
				WHERE target = value->>0 AND image = value->>1 AND scope = value->>3 AND sender <> value->>2
					AND status IN ('queued', 'committed', 'proposed', 'unchanged')
			) FROM ` + a.elements(1),
		args: []any{jsonOf(list)},
		row: func(scan func(...any) error) error {
			var by pushedBy
			var latest, others int64
			err := scan(&by.target, &by.image, &by.sender, &by.scope, &latest, &others)
			a.facts.latest[by], a.facts.others[by] = latest, others
			return err
		},
	}
}
