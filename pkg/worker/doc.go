// Package worker is the bridge between the queue, which keeps updates as plain data,
// and the use case, which carries out requests.
//
// # Model
//
//	FromRequest, FromPush:  a request, or a webhook's push → an update to store
//	Ended:                  a request that was carried out at once → an update for the history
//	Apply:                  a batch of the queue → requests → results → outcomes
//
// An update keeps its request, and each of its tasks the last result, in the stored
// forms of package update. What the queue has columns for, such as the id, the
// caller and the place in the order, is there alone.
//
// # Invariants
//
//   - Apply is idempotent: what is on the branch already is found unchanged, or as the
//     commit that an earlier try announced.
//   - Whether a failure is worth another try is decided here, from its update.Failure:
//     one that passes is queued again, a limit of GitHub without spending an attempt; a
//     target that does not name the image is absent; everything else has failed.
//   - A row that cannot be read has failed with that reason, and leaves the others alone.
//
// The package knows neither HTTP nor GitHub's API.
package worker
