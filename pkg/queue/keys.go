package queue

import (
	"context"
	"errors"
	"time"
)

// keyRetention is how long an idempotency key is honoured.
const keyRetention = 24 * time.Hour

// Key is an idempotency key of a caller.
type Key struct {
	Caller string // whose it is; callers do not see each other's
	Key    string
	Hash   [32]byte // of the request that it came with
	Answer Answer   // what to answer when the same request comes again
}

// Answer is what a request was answered.
type Answer struct {
	Status   int // HTTP
	Location string
	Body     []byte
}

// Reservation is what Reserve found.
type Reservation struct {
	State  KeyState
	Answer Answer // when Done
}

// KeyState is the state of an idempotency key.
type KeyState string

// The states of a key that Reserve may find.
const (
	KeyNew  KeyState = "new"  // now the caller's, until the lease ends
	KeyDone KeyState = "done" // answered before
	KeyBusy KeyState = "busy" // another request holds it
)

// Reserve takes a key for a request that is answered only when it is done. Who
// gets KeyNew ends it with Keep or Release; when it does neither (a crash), the
// key is free again after the lease, which is therefore longer than the request
// may take. k.Answer is not used. ErrKeyReused when the key's hash is another.
func (q *Queue) Reserve(ctx context.Context, k Key, lease time.Duration) (Reservation, error) {
	return Reservation{}, errors.ErrUnsupported
}

// Keep stores k.Answer for a key that was reserved, or in place of the answer
// that Accept stored. The key's day goes on from when it came first.
func (q *Queue) Keep(ctx context.Context, k Key) error { return errors.ErrUnsupported }

// Release gives a reserved key back with nothing kept, so that the request may
// come again. A key that has an answer stays.
func (q *Queue) Release(ctx context.Context, k Key) error { return errors.ErrUnsupported }
