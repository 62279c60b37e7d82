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
//	drain:   one live job per branch; each turn is one transaction
//	         { settle what was applied; drop what a newer one replaced;
//	           take what is due, or complete the job when nothing is }
//	         and between two turns Apply runs, outside of any transaction
//
// # Invariants
//
//   - What Accept returned without an error is in the store, and stays until it
//     ended and Options.Retention is over.
//   - At most one job per branch is available, scheduled or running. A job that
//     completes looks for waiting tasks in the transaction that completes it, so
//     no wake-up is lost. On PostgreSQL both sides hold the branch's advisory lock.
//   - Apply may be called again with what it was given before (a crash, a store
//     that went away), so it must be idempotent.
//   - Tasks of one target, image and scope are ordered by the time of the push,
//     then by arrival. At most one of them waits; an older one never follows a
//     newer one that waits, was committed, or found nothing to do.
//
// # Stores
//
// sqlite:PATH is one file for one process; a second one is refused. It has one
// connection that writes, which is what SQLite can do, and a few that only read:
// with write-ahead logging neither waits for the other. Since no other process
// may come in, that is held by a lock file beside it (PATH.lock) rather than by
// SQLite's exclusive locking mode, which would keep the readers out too.
// postgres://… is for several replicas.
//
// The package is a leaf: it knows neither GitHub nor HTTP, its payload is plain data.
package queue
