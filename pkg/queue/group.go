package queue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// groupSize bounds the entries that share a transaction, so that none waits long
// for the others.
const groupSize = 64

// acceptTimeout bounds an acceptance, or the reservation of a key: who sends a webhook waits for a few seconds,
// and comes again after a refusal.
const acceptTimeout = 3 * time.Second

// entry is what one caller hands in to be stored.
type entry struct {
	updates []Update
	key     *Key
	record  bool // the updates ended before
	answer  chan answer
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

// commit stores entries in one transaction and answers them. One that is refused,
// or whose values the store does not take, leaves the others alone; when the store
// fails, it fails for all of them.
func (q *Queue) commit(entries []*entry) {
	answers, err := q.admit(entries, false)
	if q.concernsOne(err) { // seldom enough to begin again
		answers, err = q.admit(entries, true)
	}
	for i, e := range entries {
		if answers[i].err != nil && !refusal(answers[i].err) {
			answers[i].err = fmt.Errorf("queue: store the update: %w", answers[i].err)
		}
		if err != nil {
			answers[i] = answer{err: fmt.Errorf("queue: store the update: %w", err)}
		}
		e.answer <- answers[i]
	}
}

// admit stores entries. Apart, a refusal is the answer to its entry; else it is
// returned, and nothing is stored.
func (q *Queue) admit(entries []*entry, apart bool) ([]answer, error) {
	answers := make([]answer, len(entries))
	ctx, cancel := context.WithTimeout(context.Background(), acceptTimeout)
	defer cancel()
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		if err := c.lock(ctx, locks(entries)); err != nil {
			return err
		}
		if _, err := one(ctx, c, []any{&c.waiting}, `SELECT count(*) FROM versions_task WHERE status = 'queued'`); err != nil {
			return err
		}
		for i, e := range entries {
			var err error
			if apart {
				err = c.attempt(ctx, func(part *change) error {
					answers[i].accepted, answers[i].err = part.admit(ctx, e)
					return answers[i].err
				})
			} else {
				answers[i].accepted, err = c.admit(ctx, e)
			}
			if err != nil && (!apart || !q.concernsOne(err)) {
				return err
			}
		}
		return nil
	})
	return answers, err
}

// concernsOne says that an error is about an entry, not about the store.
func (q *Queue) concernsOne(err error) bool { return refusal(err) || q.store.refusesValue(err) }

// refusal says that the queue itself refuses an entry.
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
