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
// The package knows neither HTTP nor GitHub's API: a target's branch is reached
// through the [Repository] it declares.
package update
