package queue

import (
	"context"
	"errors"
)

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
	ID      string // of the earlier one, when Duplicate or Retried
	Verdict Verdict
	Status  Status // of the update now
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
// other error the store could not take it.
func (q *Queue) Accept(ctx context.Context, updates []Update, key *Key) ([]Accepted, error) {
	return nil, errors.ErrUnsupported
}

// Record stores an update that ended already, with its tasks' ends, for the
// history and the order: PushedAt should be when its request came. An ID that is
// known changes nothing.
func (q *Queue) Record(ctx context.Context, u Update) error { return errors.ErrUnsupported }

// Retry queues the failed tasks of a failed update again, their attempts counted
// from none; those that were Absent, when that is why it failed. ErrNotFound,
// ErrNotFailed, ErrFull.
func (q *Queue) Retry(ctx context.Context, id string) (Update, error) {
	return Update{}, errors.ErrUnsupported
}
