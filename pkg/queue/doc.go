// Package queue keeps accepted updates until they are done: durably, in order,
// and with a history.
//
// # Model
//
// An [Update] is a request to move images, each to a version. It has a [Task] for each
// target and image, and ends when all its tasks have ended. Those of one target are due
// together and applied in one batch. The tables of updates and tasks are the
// single source of truth. A job of River carries only the key of a branch; it means that
// the branch may have due tasks.
//
//	Accept:  one transaction { store updates and tasks; wake each branch }
//	drain:   one live job per branch; each step is one transaction
//	         { store what was applied; supersede what a newer one replaced;
//	           claim what is due, or complete the job when nothing is }
//	         and between two steps Apply runs, outside of any transaction
//
// Beside updates the store keeps what replicas share: holds, what is known of pull requests,
// and marks of branches that are to be read again.
//
// # Order
//
// Tasks of one target and image are in one order, that of arrival; how the newest
// one wins is described in package update. A task's position is a time, but no clock
// decides it: it is later than every earlier position, even after the clock was put back.
// A synchronous request gets its position from [Queue.Enter].
//
// A later task supersedes the queued ones of its scope. There are two exceptions for
// senders that report when an image was pushed: of two pushes of one sender, the one with
// the later reported time wins; and a push that is delivered more than ten minutes late
// does not supersede what other senders requested since. A push older than
// Options.Retention is not stored, because the history no longer shows what followed it.
//
// Waiting does not rely on the clock either: a time that was set at more than five
// seconds after now was set before the clock was put back, and counts as reached.
//
// # Notices
//
// What tells others how an update ended ([Options].Notices) is stored in the transaction
// that stores the end, and stays until it is delivered, a day at most. A process takes
// notices for two minutes, so that one that dies delays them and loses none.
//
// # Invariants
//
//   - What Accept returned without an error is in the store, and stays until it
//     ended and left the history (Options.Retention, Options.MaxHistory).
//   - At most one job per branch is available, scheduled or running. A job that
//     completes looks for waiting tasks in the transaction that completes it, so
//     no wake-up is lost. On PostgreSQL both sides hold the branch's advisory lock.
//   - On PostgreSQL each process has a heartbeat. The branches of one that died are taken
//     over within half a minute; its jobs end, so that should it live after all, what it
//     still does changes nothing in the store.
//   - Apply may be called again with what it was given before (a crash, a store
//     that went away), so it must be idempotent.
//   - A commit is announced ([Queue.Announce]) before its ref is sent. An older
//     task never follows a newer one that was carried out, by any replica, and a
//     task that is claimed again gets the commit that may be on the branch.
//   - A task that was claimed several times without an outcome may be what ends the
//     process. It is then applied alone, a few times, and fails after that.
//
// # Stores
//
// sqlite:PATH is one file for one process; a second one is refused. It has one
// connection that writes, which is what SQLite can do, and a few that only read:
// with write-ahead logging neither waits for the other. Since no other process
// may come in, that is held by a lock file beside it (PATH.lock) rather than by
// SQLite's exclusive locking mode, which would keep the readers out too. Sweeps give the
// space of what was deleted back to the system.
// postgres://… is for several replicas. A group of acceptances takes a constant
// number of round trips to it.
//
// The package is a leaf: it knows neither GitHub nor HTTP, its payload is plain data.
package queue
