package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// keyRetention is how long an idempotency key is honoured.
const keyRetention = 24 * time.Hour

// Key is an idempotency key of a caller.
type Key struct {
	Caller string // whose it is; callers do not see each other's
	Key    string
	Hash   [32]byte // of the request
	Answer Answer   // the response to the same request when it is repeated
}

// Answer is the response to a request.
type Answer struct {
	Status   int // HTTP
	Location string
	Body     []byte
}

// Reservation is what Reserve found.
type Reservation struct {
	State  KeyState
	Answer Answer // when KeyDone
}

// KeyState is the state of an idempotency key.
type KeyState string

// The states of a key that Reserve may find.
const (
	KeyNew  KeyState = "new"  // now the caller's, until the lease ends
	KeyDone KeyState = "done" // answered before
	KeyBusy KeyState = "busy" // another request holds it
)

// Reserve reserves a key for a request that is answered only when it is done. A caller
// that gets KeyNew calls Renew before the lease ends, and finally Keep or Release. After
// a crash the key is free again when the lease ends, and on SQLite at the next start.
// k.Answer is not used. Reserve returns ErrKeyReused when the stored hash differs.
func (q *Queue) Reserve(ctx context.Context, k Key, lease time.Duration) (Reservation, error) {
	if err := k.check(); err != nil {
		return Reservation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, q.acceptTimeout())
	defer cancel()
	var found Reservation
	err := q.write(ctx, func(ctx context.Context, c *change) (err error) {
		if err := c.lock(ctx, []string{keyLock(k)}); err != nil {
			return err
		}
		found, err = c.lookUp(ctx, k)
		if err != nil || found.State != KeyNew {
			return err
		}
		k.Answer = Answer{}
		return c.keep(ctx, k, c.now.Add(lease))
	})
	if errors.Is(err, ErrKeyReused) {
		return Reservation{}, err
	}
	if err != nil {
		return Reservation{}, fmt.Errorf("queue: reserve an idempotency key: %w", err)
	}
	return found, nil
}

// Renew extends the lease of a reserved key. It does not change a key that was answered
// or released.
func (q *Queue) Renew(ctx context.Context, k Key, lease time.Duration) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `
			UPDATE versions_key SET lease_until = $4 WHERE caller = $1 AND name = $2 AND hash = $3 AND lease_until > 0`,
			k.Caller, k.Key, k.Hash[:], micros(c.now.Add(lease)))
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: renew the lease of an idempotency key: %w", err)
	}
	return nil
}

// Keep stores k.Answer for a key that was reserved, or in place of the answer
// that Accept stored. The key's day goes on from when it came first. A key that
// belongs to another request by now stays as it is.
func (q *Queue) Keep(ctx context.Context, k Key) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		if err := c.lock(ctx, []string{keyLock(k)}); err != nil {
			return err
		}
		known, err := c.exec(ctx, `
			UPDATE versions_key SET lease_until = 0, http_status = $4, location = $5, body = $6
			WHERE caller = $1 AND name = $2 AND hash = $3`,
			k.Caller, k.Key, k.Hash[:], k.Answer.Status, k.Answer.Location, k.Answer.Body)
		if err != nil || known > 0 {
			return err
		}
		found, err := c.lookUp(ctx, k)
		if errors.Is(err, ErrKeyReused) {
			return nil
		}
		if err != nil || found.State != KeyNew {
			return err
		}
		return c.keep(ctx, k, time.Time{})
	})
	if err != nil {
		return fmt.Errorf("queue: keep the answer of an idempotency key: %w", err)
	}
	return nil
}

// Release frees a reserved key without an answer, so that the request may be repeated. It
// does not change a key that has an answer.
func (q *Queue) Release(ctx context.Context, k Key) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `
			DELETE FROM versions_key WHERE caller = $1 AND name = $2 AND hash = $3 AND lease_until > 0`,
			k.Caller, k.Key, k.Hash[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: release an idempotency key: %w", err)
	}
	return nil
}

func (k Key) check() error {
	if k.Key == "" || !plain(k.Caller, k.Key, k.Answer.Location) {
		return errors.New("queue: an idempotency key is empty, not UTF-8 or has a zero byte")
	}
	return nil
}

// keyName is what there is one key of.
type keyName struct{ caller, key string }

func (k *Key) name() keyName { return keyName{k.Caller, k.Key} }

// storedKey is a key in the store; the zero value means that there is none.
type storedKey struct {
	hash           []byte
	lease, created int64
	answer         Answer
}

// keyStatement reads what the store has of a key, if it has any.
func keyStatement(k Key, row func(storedKey)) statement {
	return statement{
		text: `
			SELECT hash, lease_until, created_at, http_status, location, body FROM versions_key
			WHERE caller = $1 AND name = $2`,
		args: []any{k.Caller, k.Key},
		row: func(scan func(...any) error) error {
			var s storedKey
			err := scan(&s.hash, &s.lease, &s.created, &s.answer.Status, &s.answer.Location, &s.answer.Body)
			row(s)
			return err
		},
	}
}

// state returns the state of the key of a request.
func (s storedKey) state(k Key, now time.Time) (Reservation, error) {
	over := now.Sub(fromMicros(s.created)) >= keyRetention
	abandoned := s.lease > 0 && s.lease <= micros(now)
	switch {
	case s.hash == nil, over, abandoned:
		return Reservation{State: KeyNew}, nil
	case !bytes.Equal(s.hash, k.Hash[:]):
		return Reservation{}, ErrKeyReused
	case s.lease > 0:
		return Reservation{State: KeyBusy}, nil
	}
	return Reservation{State: KeyDone, Answer: s.answer}, nil
}

// lookUp finds a key's state. The key is locked.
func (c *change) lookUp(ctx context.Context, k Key) (Reservation, error) {
	var found storedKey
	if err := c.all(ctx, []statement{keyStatement(k, func(s storedKey) { found = s })}); err != nil {
		return Reservation{}, err
	}
	return found.state(k, c.now)
}

// keep stores a key, replacing an earlier one. A zero lease means that it is answered.
func (c *change) keep(ctx context.Context, k Key, lease time.Time) error {
	return c.all(ctx, []statement{c.keepStatement(k, lease)})
}

func (c *change) keepStatement(k Key, lease time.Time) statement {
	return statement{
		text: `
			INSERT INTO versions_key (caller, name, hash, lease_until, http_status, location, body, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (caller, name) DO UPDATE SET hash = excluded.hash, lease_until = excluded.lease_until,
				http_status = excluded.http_status, location = excluded.location, body = excluded.body,
				created_at = excluded.created_at`,
		args: []any{k.Caller, k.Key, k.Hash[:], micros(lease), k.Answer.Status, k.Answer.Location, k.Answer.Body, micros(c.now)},
	}
}
