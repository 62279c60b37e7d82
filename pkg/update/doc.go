// Package update is the use case: images, each to a version, everywhere they are
// referenced on a branch, in one commit.
//
// # Model
//
// A [Target] is a branch of a repository. A [Request] moves one image or several. For each
// target a request goes through the same steps, in Service.write:
//
//	snapshot := the branch at one commit
//	plan     := edits over the snapshot's YAML files; pure
//	nothing to write: the answer, no commit
//	commit   := one tree and one commit on the snapshot, a fast-forward of the branch
//	branch moved: from the top on the new head, a bounded number of times
//
// # Invariants
//
//   - A commit's parent is the commit it was planned on. Nothing is forced.
//   - A branch has at most one commit in flight in this process, whichever of its
//     targets it is for. Requests that arrive meanwhile wait, and share the next plan
//     and the next commit: those of Service.Update in memory, those of Service.Apply
//     where they are stored.
//   - Of a request's images each target gets those that it names, in one commit or not at
//     all. An image that no target of the request names ends all of the request.
//   - A request that returns an error has written nothing, except when the outcome of
//     its commit is unknown (see [github.UnknownOutcomeError]).
//   - The first plan may rest on a snapshot that is remembered from an earlier
//     update. It is only believed when its commit lands on the branch; an answer
//     that writes nothing always rests on the branch as GitHub shows it now.
//
// # Which targets are asked
//
// A request that goes to more than sixteen branches leaves out those that rest: those that
// were read less than five minutes ago, have no mark since (see [Marks]), and whose files, as
// they were read, name none of its images. When no other branch names an image either, all
// of them are asked, at a pace, before that is the answer. What is remembered of a branch
// is the commit and the time of its last reading; the files are those of the snapshot that
// its Repository remembers, and without one the branch is asked.
//
// # The newest push wins
//
// Of two requests for one image on one target, the newer one wins. Newer means later in
// the order, [Request.At], never a higher version. The order is that of arrival at the
// store, for all replicas, or this process's clock while the store is unavailable.
// Requests of different scopes (see [Request.Scope]) do not replace each other, but one
// of the scope "", which is everything, replaces older ones of every scope. The rule is
// applied wherever an older request could still get past a newer one:
//
//	in the store        package queue supersedes queued tasks when a newer one arrives,
//	                    and late arrivals; among one sender's pushes by its own times
//	in one call         coalesce keeps the last of the requests that share a plan
//	in this process     order supersedes a request when a newer one was carried out
//	                    while it waited
//	between replicas    announce asks the Ledger before the branch moves, after every
//	                    lost race and every wait
//
// A replaced request ends as Superseded, which is not an error, and is not written
// afterwards. The rule holds for each image of a request by itself: one that a newer
// request asks for is left to that one ([Result.Superseded]), whatever becomes of it, and
// the others go on; a request is Superseded when that is so of all its images.
//
// # Failures and the stored form
//
// A request that fails has an error, and every error maps to one [Failure]: a code, a
// sentence and whether it is temporary. [FailureOf] is the only such table. [EncodeRequest]
// and [EncodeResult] write the stored form, with a version; rows of every version are
// read, and testdata/stored holds examples of each.
//
// The package knows neither HTTP nor GitHub's API: a target's branch is reached
// through the [Repository] it declares.
package update
