package queue

import (
	"errors"
	"fmt"
)

// What a caller can be told. Any other error means that the store could not do
// what it was asked for, and that nothing was changed.
var (
	// ErrFull says that Options.MaxWaiting updates wait, or the sender's share of
	// them. Nothing was stored.
	ErrFull = errors.New("queue: too many updates are waiting")
	// ErrTooMany says that one call handed in more than MaxUpdates or MaxTasks.
	ErrTooMany = fmt.Errorf("queue: more than %d updates, or %d with all their targets, at once", MaxUpdates, MaxTasks)
	// ErrUnknown says that the store went away before it told whether it took a
	// change. The same request again finds out.
	ErrUnknown = errors.New("queue: the store did not tell whether it took the change")
	// ErrNotFound says that there is no update of that ID (any more).
	ErrNotFound = errors.New("queue: no such update")
	// ErrNotFailed says that an update did not fail, or has no task that could
	// be tried again.
	ErrNotFailed = errors.New("queue: the update has not failed")
	// ErrCursor says that a cursor is none that List gave out.
	ErrCursor = errors.New("queue: not a cursor")
	// ErrKeyReused says that an idempotency key came with another request before.
	ErrKeyReused = errors.New("queue: the idempotency key belongs to another request")
	// ErrKeyBusy says that the first request of an idempotency key is not done yet.
	ErrKeyBusy = errors.New("queue: the request with this idempotency key is still being worked on")
	// ErrInUse says that another process works on the file of the store.
	ErrInUse = errors.New("queue: the store is in use by another process; only PostgreSQL serves several")
	// ErrExists says that an update of that ID was accepted before.
	ErrExists = errors.New("queue: the update's id is taken")
)

// AnsweredError is returned by Accept when the same request with the same
// idempotency key was answered before. Nothing was stored.
type AnsweredError struct {
	Answer Answer // the one to give again
}

func (e *AnsweredError) Error() string {
	return "queue: the request with this idempotency key was answered before"
}
