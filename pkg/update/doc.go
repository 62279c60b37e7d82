// Package update is the use case: one image to one version, everywhere it is
// referenced on a branch, in one commit.
//
// # Model
//
// A [Target] is a branch of a repository. A [Request] moves one image. For each
// target a request goes through the same story, told by Service.write:
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
//   - A request that was told of a failure has written nothing, but for one
//     whose commit GitHub took without saying so and could not be asked about.
//   - The first plan may rest on a snapshot that is remembered from an earlier
//     update. It is only believed when its commit lands on the branch; an answer
//     that writes nothing always rests on the branch as GitHub shows it now.
//
// # The newest push wins
//
// Of two requests for one image on one target the newer one stands at the end. Newer
// is the one with the later place in the order, [Request.At], never the one with the
// higher version: the order of arrival at the store for all replicas, or the clock of
// this process while the store is away.
// Requests of different scopes (see [Request.Scope]) do not replace each other, but one
// of the scope "", which is everything, replaces older ones of every scope. The rule is
// applied wherever an older request could still get past a newer one:
//
//	in the store        package queue supersedes what waits when a newer one arrives,
//	                    and what arrives late; by a sender's own times among its pushes
//	in one call         coalesce lets the last of the requests that share a plan win
//	in this process     order supersedes a request when a newer one was carried out
//	                    while it waited
//	between replicas    announce asks the Ledger before the branch moves, after every
//	                    lost race and every wait
//
// A request that is replaced ends as Superseded. It is never an error, and nothing of
// it is written afterwards.
//
// # Failures and the stored form
//
// A request that comes to nothing has an error, and every error means one [Failure]: a
// code, a sentence, whether it passes. [FailureOf] is the one table. What outlasts the
// process is written by [EncodeRequest] and [EncodeResult], with a version; rows of
// every version are read, and testdata/stored keeps some of each.
//
// The package knows neither HTTP nor GitHub's API: a target's branch is reached
// through the [Repository] it declares.
package update
