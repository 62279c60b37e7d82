package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
)

const (
	// groupSize and groupRows bound the entries of one transaction, so that no entry
	// waits long for the others.
	groupSize = 64
	groupRows = 2_000
	// acceptTimeout bounds an acceptance or the reservation of a key when the database
	// is near: a webhook's sender waits a few seconds and repeats a refused delivery. A
	// distant database adds the time of roundTripsOfEntry, up to acceptMost.
	acceptTimeout     = racetime.Slower * 3 * time.Second
	acceptMost        = racetime.Slower * 10 * time.Second
	roundTripsOfEntry = 20
)

// entry is what one call of Accept or Record stores.
type entry struct {
	updates []Update
	key     *Key
	record  bool          // the updates have already ended
	done    chan admitted // receives one value
}

// rows returns how many rows the entry adds to the store.
func (e *entry) rows() (n int) {
	for _, u := range e.updates {
		n += 1 + len(u.Tasks)
	}
	return n
}

// admitted is what became of an entry: what Accept returns.
type admitted struct {
	accepted []Accepted
	err      error
}

// share stores an entry together with those that arrive while a transaction runs: a
// durable commit takes about as long for many entries as for one. Concurrent
// transactions would not be faster, because SQLite has one writer and on PostgreSQL they
// wait for each other's branch locks. When ctx ends before the entry's transaction
// begins, the entry is withdrawn. After that, share returns early only for Record, whose
// caller does not depend on the result.
func (q *Queue) share(ctx context.Context, e *entry) ([]Accepted, error) {
	e.done = make(chan admitted, 1)
	q.entries.Add(e)
	select {
	case a := <-e.done:
		return a.accepted, a.err
	case <-ctx.Done():
	}
	if q.entries.Withdraw(e) || e.record {
		return nil, fmt.Errorf("queue: store the update: %w", context.Cause(ctx))
	}
	a := <-e.done
	return a.accepted, a.err
}

// storeEntries stores entries in transactions of at most groupRows rows.
func (q *Queue) storeEntries(entries []*entry) {
	for len(entries) > 0 {
		n, rows := 0, 0
		for n < len(entries) {
			if rows += entries[n].rows(); n > 0 && rows > groupRows {
				break
			}
			n++
		}
		q.storeGroup(entries[:n])
		entries = entries[n:]
	}
}

// storeGroup stores entries in one transaction and sends each its outcome.
func (q *Queue) storeGroup(entries []*entry) {
	outcomes, err := q.admit(entries)
	for i, e := range entries {
		if err != nil {
			outcomes[i] = admitted{err: err}
		}
		if failed := outcomes[i].err; failed != nil && !refusal(failed) {
			outcomes[i].err = fmt.Errorf("queue: store the update: %w", failed)
		}
		e.done <- outcomes[i]
	}
}

// acceptTimeout bounds an acceptance, or the reservation of a key.
func (q *Queue) acceptTimeout() time.Duration {
	return min(acceptTimeout+q.store.roundTrips(roundTripsOfEntry), acceptMost)
}

// concernsOne reports whether an error concerns one entry and not the store.
func (q *Queue) concernsOne(err error) bool { return refusal(err) || q.store.refusesValue(err) }

// refusal reports whether an error is a refusal by the queue itself.
func refusal(err error) bool {
	var answered *AnsweredError
	if errors.As(err, &answered) {
		return true
	}
	for _, e := range []error{ErrFull, ErrExists, ErrKeyReused, ErrKeyBusy} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// locks returns the keys to lock before entries are stored: their branches, and their
// idempotency keys and deliveries, which must be unique.
func locks(entries []*entry) []string {
	var keys []string
	for _, e := range entries {
		if e.key != nil {
			keys = append(keys, keyLock(*e.key))
		}
		for _, u := range e.updates {
			for _, t := range u.Tasks {
				keys = append(keys, branchLock(t.Branch))
			}
			if u.Webhook != "" {
				keys = append(keys, deliveryLock(u))
			}
		}
	}
	return keys
}

func branchLock(branch string) string { return "versions/branch/" + branch }

func deliveryLock(u Update) string {
	if u.DeliveryID != "" {
		return fmt.Sprintf("versions/delivery/%q/%q", u.Webhook, u.DeliveryID)
	}
	return fmt.Sprintf("versions/push/%q/%q/%q/%q", u.Webhook, u.Image, u.Version, u.Digest)
}

func keyLock(k Key) string { return fmt.Sprintf("versions/key/%q/%q", k.Caller, k.Key) }
