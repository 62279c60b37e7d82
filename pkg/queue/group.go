package queue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// groupSize and groupTasks bound the entries that share a transaction, so that
	// none waits long for the others.
	groupSize  = 64
	groupTasks = 2_000
	// acceptTimeout bounds an acceptance, or the reservation of a key, beside a
	// database next door: a webhook's sender waits for a few seconds, and comes again
	// after a refusal. A database that is further away adds roundTripsOfEntry, up to
	// acceptMost.
	acceptTimeout     = 3 * time.Second
	acceptMost        = 10 * time.Second
	roundTripsOfEntry = 20
)

// entry is what one caller hands in to be stored.
type entry struct {
	updates []Update
	key     *Key
	record  bool // the updates ended before
	answer  chan answer
}

func (e *entry) tasks() (n int) {
	for _, u := range e.updates {
		n += 1 + len(u.Tasks)
	}
	return n
}

type answer struct {
	accepted []Accepted
	err      error
}

// share stores an entry, together with those that come in while a transaction is
// under way: what makes one durable takes about as long for many. Several
// transactions at a time would not be faster: SQLite knows one writer, and on
// PostgreSQL they wait for each other's branches. When ctx ends while the entry
// waits for its turn, it is withdrawn; later, only one that nobody depends on
// leaves its caller go.
func (q *Queue) share(ctx context.Context, e *entry) ([]Accepted, error) {
	e.answer = make(chan answer, 1)
	q.entries.Add(e)
	select {
	case a := <-e.answer:
		return a.accepted, a.err
	case <-ctx.Done():
	}
	if q.entries.Withdraw(e) || e.record {
		return nil, fmt.Errorf("queue: store the update: %w", context.Cause(ctx))
	}
	a := <-e.answer
	return a.accepted, a.err
}

// commit stores entries in transactions of no more than groupTasks, and answers them.
func (q *Queue) commit(entries []*entry) {
	for len(entries) > 0 {
		n, tasks := 0, 0
		for n < len(entries) {
			if tasks += entries[n].tasks(); n > 0 && tasks > groupTasks {
				break
			}
			n++
		}
		q.commitTogether(entries[:n])
		entries = entries[n:]
	}
}

// commitTogether stores entries in one transaction and answers them.
func (q *Queue) commitTogether(entries []*entry) {
	answers, err := q.admit(entries)
	for i, e := range entries {
		if err != nil {
			answers[i] = answer{err: err}
		}
		if failed := answers[i].err; failed != nil && !refusal(failed) {
			answers[i].err = fmt.Errorf("queue: store the update: %w", failed)
		}
		e.answer <- answers[i]
	}
}

// acceptTimeout bounds an acceptance, or the reservation of a key.
func (q *Queue) acceptTimeout() time.Duration {
	return min(acceptTimeout+q.store.roundTrips(roundTripsOfEntry), acceptMost)
}

// concernsOne reports whether an error is about an entry, not about the store.
func (q *Queue) concernsOne(err error) bool { return refusal(err) || q.store.refusesValue(err) }

// refusal reports whether the queue itself refuses an entry.
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

// locks are the keys under which entries are stored: the branches that they go
// to, and what must be there once only.
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
