package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// dedupeWindow is how long after its arrival an ended push without a delivery id
// is still taken for the same one.
const dedupeWindow = 10 * time.Minute

// Verdict says what became of an update that was handed in.
type Verdict string

// The verdicts.
const (
	Stored    Verdict = "stored"
	Duplicate Verdict = "duplicate" // known before; nothing was done
	Retried   Verdict = "retried"   // known before and failed; it is tried again
)

// Accepted is the answer to one update.
type Accepted struct {
	// ID, Image and Version are of the earlier one, when Duplicate or Retried.
	ID, Image, Version string
	Verdict            Verdict
	Status             Status // of the update now
}

// Accept stores updates and wakes the workers, in one transaction: all of them or
// none. It answers in the updates' order.
//
// An update of a webhook is a duplicate of one with the same DeliveryID; without
// one, of the latest of the same webhook, image, version and digest, while that
// is queued or was accepted less than ten minutes ago. A task that is older than
// another one of its target, image and scope that waits, was committed or left
// unchanged, is superseded at once; one that waits and is older than the new one
// is superseded by it, unless it is being applied just now.
//
// key may be nil. Else its Answer is stored in the same transaction, and an
// earlier request with it is found: *AnsweredError, ErrKeyReused, ErrKeyBusy.
// ErrFull when there is no room, ErrExists for an ID that is taken; after any
// other error the store could not take it. Updates that are handed in at the same
// time share a transaction.
func (q *Queue) Accept(ctx context.Context, updates []Update, key *Key) ([]Accepted, error) {
	for _, u := range updates {
		if err := u.check(); err != nil {
			return nil, fmt.Errorf("queue: update %q: %w", u.ID, err)
		}
	}
	if key != nil {
		if err := key.check(); err != nil {
			return nil, err
		}
	}
	return q.share(ctx, &entry{updates: slices.Clone(updates), key: key})
}

// Record stores an update that ended already, with its tasks' ends, for the
// history and the order: PushedAt should be when its request came. Older ones
// that wait are superseded by what it committed or found unchanged. An ID that is
// known changes nothing.
func (q *Queue) Record(ctx context.Context, u Update) error {
	err := u.check()
	for _, t := range u.Tasks {
		if err == nil && !t.Status.Ended() {
			err = fmt.Errorf("the task of %s has not ended", t.Target)
		}
	}
	if err != nil {
		return fmt.Errorf("queue: update %q: %w", u.ID, err)
	}
	_, err = q.share(ctx, &entry{updates: []Update{u}, record: true})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// check refuses what one of the stores could not take or the queue not end.
func (u *Update) check() error {
	texts := []string{u.Image, u.Version, u.Digest, u.Scope, u.Caller, u.Webhook, u.DeliveryID}
	for i, t := range u.Tasks {
		texts = append(texts, t.Target, t.Branch)
		switch {
		case slices.ContainsFunc(u.Tasks[:i], func(other Task) bool { return other.Target == t.Target }):
			return fmt.Errorf("it has two tasks for the target %s", t.Target)
		case t.Target == "" || t.Branch == "":
			return errors.New("a task names no target or no branch")
		case !slices.Contains([]Status{"", Queued, Committed, Unchanged, Superseded, Failed, Absent}, t.Status):
			return fmt.Errorf("a task has the status %q", t.Status)
		}
	}
	switch {
	case u.ID == "":
		return errors.New("it has no id")
	case !plain(append(texts, u.ID)...):
		return errors.New("a text in it is not UTF-8 or has a zero byte")
	case u.AbsentAs != "" && u.AbsentAs != Failed && u.AbsentAs != Unchanged:
		return fmt.Errorf("it cannot end as %q when no target names the image", u.AbsentAs)
	case len(u.Tasks) == 0 && !slices.Contains([]Status{Committed, Unchanged, Superseded, Failed}, u.Status):
		return fmt.Errorf("it has no tasks and the status %q", u.Status)
	}
	return nil
}

func plain(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool {
		return !utf8.ValidString(s) || strings.ContainsRune(s, 0)
	})
}

// admit stores an entry's updates and its key.
func (c *change) admit(ctx context.Context, e *entry) ([]Accepted, error) {
	before := c.waiting
	if e.key != nil {
		if err := c.answerOnce(ctx, *e.key); err != nil {
			return nil, err
		}
	}
	accepted := make([]Accepted, len(e.updates))
	for i, u := range e.updates {
		known, err := c.known(ctx, u, e.record)
		if err != nil {
			return nil, err
		}
		if known.ID != "" {
			accepted[i], err = c.redeliver(ctx, known)
		} else {
			accepted[i], err = c.add(ctx, u, e.record)
		}
		if err != nil {
			return nil, err
		}
	}
	if c.waiting > before && c.waiting > c.q.options.MaxWaiting {
		return nil, ErrFull
	}
	return accepted, nil
}

// knownUpdate is an update in the store. ID is "" when there is none.
type knownUpdate struct {
	seq                int64
	ID, image, version string
	status             Status
}

// known finds the update that u is a redelivery of.
func (c *change) known(ctx context.Context, u Update, record bool) (k knownUpdate, err error) {
	if record || u.Webhook == "" {
		return k, nil
	}
	if u.DeliveryID != "" {
		_, err = one(ctx, c, []any{&k.seq, &k.ID, &k.image, &k.version, &k.status}, `
			SELECT seq, id, image, version, status FROM versions_update
			WHERE webhook = $1 AND delivery_id = $2 AND webhook <> '' AND delivery_id <> ''`, u.Webhook, u.DeliveryID)
		return k, err
	}
	var accepted int64
	_, err = one(ctx, c, []any{&k.seq, &k.ID, &k.image, &k.version, &k.status, &accepted}, `
		SELECT seq, id, image, version, status, accepted_at FROM versions_update
		WHERE webhook = $1 AND image = $2 AND version = $3 AND digest = $4 AND webhook <> '' AND delivery_id = ''
		ORDER BY seq DESC LIMIT 1`, u.Webhook, u.Image, u.Version, u.Digest)
	if k.status.Ended() && c.now.Sub(fromMicros(accepted)) >= dedupeWindow {
		return knownUpdate{}, err
	}
	return k, err
}

// redeliver answers for an update that came before, and tries it again if it failed.
func (c *change) redeliver(ctx context.Context, k knownUpdate) (Accepted, error) {
	if k.status == Failed {
		if err := c.lockTasks(ctx, k.seq); err != nil {
			return Accepted{}, err
		}
		again, err := c.requeue(ctx, k.seq)
		if err != nil {
			return Accepted{}, err
		}
		if again {
			statuses, err := c.refresh(ctx, k.seq)
			return Accepted{ID: k.ID, Image: k.image, Version: k.version, Verdict: Retried, Status: statuses[k.seq]}, err
		}
	}
	return Accepted{ID: k.ID, Image: k.image, Version: k.version, Verdict: Duplicate, Status: k.status}, nil
}

// add stores a new update.
func (c *change) add(ctx context.Context, u Update, record bool) (Accepted, error) {
	if u.PushedAt.IsZero() || u.PushedAt.After(c.now) {
		u.PushedAt = c.now
	}
	if !record || u.AcceptedAt.IsZero() || u.AcceptedAt.After(c.now) {
		u.AcceptedAt = c.now
	}
	if u.AbsentAs == "" {
		u.AbsentAs = Unchanged
	}
	tasks := slices.Clone(u.Tasks)
	for i := range tasks {
		if err := c.place(ctx, u, &tasks[i]); err != nil {
			return Accepted{}, err
		}
	}
	if len(tasks) > 0 {
		u.Status = aggregate(tasks, u.AbsentAs)
	}
	u.FinishedAt = time.Time{}
	if u.Status.Ended() {
		u.FinishedAt = c.now
		if !record {
			c.end(u.ID, Event{Kind: UpdateEnded, Status: u.Status, Webhook: u.Webhook})
		}
	}
	return Accepted{ID: u.ID, Image: u.Image, Version: u.Version, Verdict: Stored, Status: u.Status}, c.insertUpdate(ctx, u, tasks, record)
}

// place settles where a new task stands, as the last to arrive. One that ended
// counts for the others only when it says what is on the branch.
func (c *change) place(ctx context.Context, u Update, t *Task) error {
	ended := t.Status.Ended()
	late := false
	if !ended || t.Status == Committed || t.Status == Unchanged {
		var err error
		if late, err = c.enter(ctx, position{
			target: t.Target, image: u.Image, scope: u.Scope, pushed: micros(u.PushedAt), seq: math.MaxInt64,
		}); err != nil {
			return err
		}
	}
	switch {
	case ended:
	case late:
		t.Status = Superseded
		c.events = append(c.events, Event{Kind: TaskEnded, Status: Superseded, Target: t.Target, Webhook: u.Webhook})
	default:
		t.Status, t.NextAttempt, t.FinishedAt = Queued, c.now, time.Time{}
		c.waiting++
		c.wakes[t.Branch] = true
		return nil
	}
	t.NextAttempt = time.Time{}
	if t.FinishedAt.IsZero() {
		t.FinishedAt = c.now
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

func (c *change) insertUpdate(ctx context.Context, u Update, tasks []Task, record bool) error {
	var stored int64
	statements := []statement{{
		text: `
			INSERT INTO versions_update (id, image, version, digest, scope, caller, webhook, delivery_id, request,
				pushed_at, absent_as, status, accepted_at, finished_at, recorded)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
			ON CONFLICT DO NOTHING`,
		args: []any{
			u.ID, u.Image, u.Version, u.Digest, u.Scope, u.Caller, u.Webhook, u.DeliveryID, u.Request,
			micros(u.PushedAt), string(u.AbsentAs), string(u.Status), micros(u.AcceptedAt), micros(u.FinishedAt),
			flag(record),
		},
		done: func(n int64) { stored = n },
	}}
	for n, t := range tasks {
		statements = append(statements, statement{
			// When the update's ID is taken, these are too, and all is undone.
			text: `
				INSERT INTO versions_task (seq, n, image, scope, pushed_at, target, branch, status, attempts,
					queued_at, next_at, claim, last_error, result, finished_at)
				VALUES ((SELECT seq FROM versions_update WHERE id = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '',
					$12, $13, $14)
				ON CONFLICT DO NOTHING`,
			args: []any{
				u.ID, n, u.Image, u.Scope, micros(u.PushedAt), t.Target, t.Branch, string(t.Status), t.Attempts,
				micros(c.now), micros(t.NextAttempt), safetext.Line(t.LastError, errorLength), t.Result, micros(t.FinishedAt),
			},
		})
	}
	if err := c.all(ctx, statements); err != nil {
		return err
	}
	if stored == 0 {
		return ErrExists
	}
	return nil
}
