package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// dedupeWindow is how long after its arrival a push without a delivery id still counts
	// as the same push once it has ended.
	dedupeWindow = 10 * time.Minute
	// delayedDelivery is the age, by the time that its sender reports, above which a push
	// counts as delivered late. Clocks differ by less.
	delayedDelivery = 10 * time.Minute
)

// The bounds of one call of Accept, for whose transaction all others wait. A thousand
// updates of one image take a fraction of a second.
const (
	MaxUpdates = 1_000
	MaxTasks   = 20_000 // of all updates together
)

// Disposition is what Accept did with an update.
type Disposition string

// The dispositions.
const (
	Stored    Disposition = "stored"
	Duplicate Disposition = "duplicate" // accepted before; nothing was done
	Retried   Disposition = "retried"   // accepted before and failed; it is queued again
	Expired   Disposition = "expired"   // pushed longer ago than Options.Retention; nothing was stored
)

// Accepted is the result of Accept for one update.
type Accepted struct {
	// ID, Image and Version are of the earlier one, when Duplicate or Retried.
	ID, Image, Version string
	Disposition        Disposition
	Status             Status // of the update now; "" when Expired
}

// Accept stores updates and wakes the workers, in one transaction: all updates or none.
// The results are in the updates' order.
//
// An update of a webhook is a duplicate of one with the same DeliveryID; without
// one, of the latest of the same webhook, image, version and digest, while that
// is queued or was accepted less than ten minutes ago. How it stands to others of
// its target and image is the package's model: it supersedes those that wait, or
// is superseded at once when its own sender has already reported a later push.
//
// key may be nil. Otherwise its Answer is stored in the same transaction, and an
// earlier request with it is found: *AnsweredError, ErrKeyReused, ErrKeyBusy.
// ErrFull when there is no room for this sender, ErrTooMany for more than
// MaxUpdates or MaxTasks, ErrExists for an ID that is taken, ErrUnknown when it
// may or may not be stored; after any other error nothing is. Calls at the same
// time share a transaction.
func (q *Queue) Accept(ctx context.Context, updates []Update, key *Key) ([]Accepted, error) {
	tasks := 0
	for _, u := range updates {
		if err := u.check(); err != nil {
			return nil, fmt.Errorf("queue: update %q: %w", u.ID, err)
		}
		tasks += len(u.Tasks)
	}
	if len(updates) > MaxUpdates || tasks > MaxTasks {
		return nil, ErrTooMany
	}
	if key != nil {
		if err := key.check(); err != nil {
			return nil, err
		}
	}
	return q.share(ctx, &entry{updates: slices.Clone(updates), key: key})
}

// Record stores an update that has already ended, with its tasks, for the history and
// the order. Its position is the one that Enter gave its ID or, without one, PushedAt,
// which should be the arrival of its request. Tasks that are Committed, Proposed or Unchanged
// supersede older queued ones. Record does nothing when the ID exists.
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
		err = nil
	}
	if err == nil {
		q.underway.remove(u.ID)
	}
	return err
}

// check returns an error for values that a store cannot hold or the queue cannot process.
func (u *Update) check() error {
	texts := []string{u.Image, u.Version, u.Digest, u.Scope, u.Caller, u.Webhook, u.DeliveryID, u.Trace}
	known := make(map[imageAt]bool, len(u.Tasks))
	for _, t := range u.Tasks {
		texts = append(texts, t.Target, t.Branch, t.Hold, t.Image, t.Version, t.Digest)
		at := imageAt{t.Target, u.imageOf(&t)}
		switch {
		case known[at]:
			return fmt.Errorf("it has two tasks for the image %s and the target %s", at.image, at.target)
		case t.Target == "" || t.Branch == "":
			return errors.New("a task names no target or no branch")
		case !slices.Contains([]Status{"", Queued, Committed, Proposed, Unchanged, Superseded, Held, Failed, Absent}, t.Status):
			return fmt.Errorf("a task has the status %q", t.Status)
		}
		known[at] = true
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
