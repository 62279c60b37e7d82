// Package queue keeps accepted updates until they are done: durably, in order,
// and with a history.
//
// # Model
//
// An [Update] says that an image shall have a version. It has a [Task] for each
// target that it goes to, and ends when all its tasks have ended. The tables of
// updates and tasks are the one truth. A job of River beside them carries the
// key of a branch and nothing else; it means "look".
//
//	Accept:  one transaction { store updates and tasks; wake each branch }
//	drain:   one live job per branch; each step is one transaction
//	         { store what was applied; supersede what a newer one replaced;
//	           claim what is due, or complete the job when nothing is }
//	         and between two steps Apply runs, outside of any transaction
//
// # Order
//
// Tasks of one target and image are in one order, that of arrival; how the newest
// one wins is told in package update. A task's place is a time, but no clock decides
// it: it is later than every place before it, also when the clock was set back. A
// request that is carried out at once takes its place by [Queue.Enter].
//
// A later task supersedes those of its scope that wait. Two rules bend this, both
// for senders that tell when an image was pushed: of two pushes of one sender the
// one that it says is later wins; and a push that was delivered more than ten
// minutes late does not win over what others asked for since. One that is older than
// Options.Retention is not stored, because nobody remembers what came after it.
//
// Nothing that waits relies on a clock either: a time that was set more than
// seconds ahead of now was set before the clock was put back, and is over.
//
// # Invariants
//
//   - What Accept returned without an error is in the store, and stays until it
//     ended and left the history (Options.Retention, Options.MaxHistory).
//   - At most one job per branch is available, scheduled or running. A job that
//     completes looks for waiting tasks in the transaction that completes it, so
//     no wake-up is lost. On PostgreSQL both sides hold the branch's advisory lock.
//   - Apply may be called again with what it was given before (a crash, a store
//     that went away), so it must be idempotent.
//   - A commit is announced ([Queue.Announce]) before its ref is sent. An older
//     task never follows a newer one that was carried out, by any replica, and a
//     task that is claimed again gets the commit that may be on the branch.
//   - A task that was claimed several times without an end is applied while nothing
//     else is, a few times, and has failed then.
//
// # Stores
//
// sqlite:PATH is one file for one process; a second one is refused. It has one
// connection that writes, which is what SQLite can do, and a few that only read:
// with write-ahead logging neither waits for the other. Since no other process
// may come in, that is held by a lock file beside it (PATH.lock) rather than by
// SQLite's exclusive locking mode, which would keep the readers out too.
// postgres://… is for several replicas. A group of acceptances takes a constant
// number of round trips to it.
//
// The package is a leaf: it knows neither GitHub nor HTTP, its payload is plain data.
package queue
