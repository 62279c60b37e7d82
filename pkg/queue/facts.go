package queue

import (
	"context"
	"fmt"
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
	updates := map[int64]*waitingUpdate{}
	for at := range images {
		reads = append(reads, a.newestStatement(at), a.waitingStatement(at, updates))
	}
	for by := range pushes {
		reads = append(reads, a.latestPushStatement(by))
	}
	if err := a.all(ctx, reads); err != nil {
		return fmt.Errorf("read the stored updates: %w", err)
	}
	a.q.underway.addTo(f)
	return nil
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

// newestStatement finds the last position of a target and image.
func (a *admission) newestStatement(at imageAt) statement {
	return newestStatement(at, func(pos int64) { a.facts.newest[at] = max(a.facts.newest[at], pos) })
}

// waitingStatement finds the tasks of a target and image that may be superseded:
// those that are neither being applied nor possibly on the branch, and came with no hold.
func (a *admission) waitingStatement(at imageAt, updates map[int64]*waitingUpdate) statement {
	return statement{
		text: `
			SELECT t.seq, t.n, t.scope, t.pushed_at, t.sender, t.told_at, u.caller, u.webhook,
				(SELECT count(*) FROM versions_task AS o WHERE o.seq = t.seq AND o.status = 'queued')
			FROM versions_task AS t JOIN versions_update AS u ON u.seq = t.seq
			WHERE t.target = $1 AND t.image = $2 AND t.status = 'queued' AND t.claim = '' AND t.sent_commit = '' AND t.hold = ''
			ORDER BY t.seq, t.n`,
		args: []any{at.target, at.image},
		row: func(scan func(...any) error) error {
			w, u := &waitingTask{position: position{target: at.target}}, waitingUpdate{}
			if err := scan(&w.seq, &w.n, &w.scope, &w.pos, &w.position.sender, &w.pushed, &u.sender.caller, &u.sender.webhook, &u.left); err != nil {
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

// latestPushStatement finds the latest push time that a sender reported, and the last
// position of the other senders.
func (a *admission) latestPushStatement(by pushedBy) statement {
	return statement{
		text: `
			SELECT (
				SELECT coalesce(max(told_at), 0) FROM versions_task
				WHERE target = $1 AND image = $2 AND sender = $3 AND scope = $4 AND told_at > 0
					AND status IN ('queued', 'committed', 'proposed', 'unchanged')
			), (
				SELECT coalesce(max(pushed_at), 0) FROM versions_task
				WHERE target = $1 AND image = $2 AND scope = $4 AND sender <> $3 AND status IN ('queued', 'committed', 'proposed', 'unchanged')
			)`,
		args: []any{by.target, by.image, by.sender, by.scope},
		row: func(scan func(...any) error) error {
			var latest, others int64
			err := scan(&latest, &others)
			a.facts.latest[by], a.facts.others[by] = latest, others
			return err
		},
	}
}
