package queue

import (
	"errors"
	"fmt"
)

// The errors that a caller may act on. Any other error means that the store failed and
// that nothing was changed.
var (
	// ErrFull means that Options.MaxWaiting updates, or the sender's share of them, are
	// queued. Nothing was stored.
	ErrFull = errors.New("queue: too many updates are waiting")
	// ErrTooMany means that one call passed more than MaxUpdates or MaxTasks.
	ErrTooMany = fmt.Errorf("queue: more than %d updates, or %d with all their targets, at once", MaxUpdates, MaxTasks)
	// ErrUnknown means that the connection to the store failed during a commit, so that the
	// change may or may not be stored. Repeating the request finds out.
	ErrUnknown = errors.New("queue: the store did not tell whether it took the change")
	// ErrNotFound means that no update has the ID, or that it has left the history.
	ErrNotFound = errors.New("queue: no such update")
	// ErrNotFailed means that an update has no task that failed or was held.
	ErrNotFailed = errors.New("queue: the update has not failed")
	// ErrNoHold means that no hold that stands has the ID.
	ErrNoHold = errors.New("queue: no such hold")
	// ErrTooManyHolds means that MaxHolds holds stand, or the maker's share of them.
	ErrTooManyHolds = errors.New("queue: too many holds stand")
	// ErrCursor means that List did not return the cursor.
	ErrCursor = errors.New("queue: not a cursor")
	// ErrKeyReused means that the idempotency key was used for another request.
	ErrKeyReused = errors.New("queue: the idempotency key belongs to another request")
	// ErrKeyBusy means that the first request with the idempotency key is still running.
	ErrKeyBusy = errors.New("queue: the request with this idempotency key is still being worked on")
	// ErrInUse means that another process has the store's file open.
	ErrInUse = errors.New("queue: the store is in use by another process; only PostgreSQL serves several")
	// ErrExists means that an update with the ID exists.
	ErrExists = errors.New("queue: the update's id is taken")
)

// AnsweredError is returned by Accept when the same request with the same idempotency
// key was answered before. Nothing was stored.
type AnsweredError struct {
	Answer Answer // the stored answer, to be sent again
}

func (e *AnsweredError) Error() string {
	return "queue: the request with this idempotency key was answered before"
}
