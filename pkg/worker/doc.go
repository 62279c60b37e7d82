// Package worker is the bridge between the queue, which keeps updates as plain data,
// and the use case, which carries out requests.
//
// # Model
//
//	FromRequest, FromPush:  a request, or a webhook's push → an update to store
//	Ended:                  a request that was carried out at once → an update for the history
//	Apply:                  a batch of the queue → requests → results → outcomes
//	Holds, Marks:           what all replicas share, for the use case
//
// A task is one image on its way to one target. Those of one update and target are one
// request, and have one result, which the first of them keeps.
//
// An update keeps its request, and each of its tasks the last result, in the stored
// forms of package update. Values that have a column in the queue, such as the id, the
// caller and the position in the order, are stored only there.
//
// # Invariants
//
//   - Apply is idempotent: a version that is on the branch already is Unchanged, or
//     Committed when an earlier attempt announced its commit.
//   - This package decides whether to retry a failure, from its update.Failure: a temporary
//     one is queued again, after a rate limit without spending an attempt; a target that
//     does not name the image is Absent; every other failure is final.
//   - A row that cannot be read fails with that reason and does not affect the others.
//
// The package knows neither HTTP nor GitHub's API.
package worker
