// Package update is the use case: one image to one version, everywhere it is
// referenced on a branch, in one commit.
//
// # Model
//
// A [Target] is a branch of a repository. A [Request] moves one image. For each
// target a request goes through the same story, told by Service.apply:
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
//   - A branch has at most one commit in flight in this process. Requests that
//     arrive meanwhile wait, and share the next plan and the next commit: those
//     of Service.Update in memory, those of Service.Apply where they are stored.
//   - A request that was told of a failure has written nothing, but for one
//     whose commit GitHub took without saying so and could not be asked about.
//   - The first plan may rest on a snapshot that is remembered from an earlier
//     update. It is only believed when its commit lands on the branch; an answer
//     that writes nothing always rests on the branch as GitHub shows it now.
//
// # The newest wins
//
// Of two requests for one image under the same paths the newer one is written, and
// newest means by arrival, never by version number. A request for every path also
// replaces older ones for some paths. Three places see to it, each where the others
// do not reach:
//
//   - The store, package queue, gives each update its place in one order of all
//     replicas, Request.At, and ends those that wait and that a newer one replaces.
//   - In this process, arrange keeps the last of the requests that share a plan, and
//     order ends one that is older than what was applied before it. That covers
//     requests that the store has not heard of yet.
//   - Before a commit reaches the branch the [Ledger] is asked once more: another
//     replica may have carried out a newer request while this one waited.
//
// The package knows neither HTTP nor GitHub's API: a target's branch is reached
// through the [Repository] it declares.
package update
