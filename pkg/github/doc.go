// Package github reads a branch and commits to it through GitHub's REST API,
// without a clone, at a cost in requests that does not grow with the
// repository.
//
// # Model
//
// A [Client] holds one credential: its budget, its pace and its memory are shared by
// everything that is done with it. A [Branch] is one branch of one repository and
// remembers the newest [Snapshot] it knows. A snapshot is the
// branch at one commit: the commit, its tree and the list of its files. From it
// the caller plans a [Changeset], and [Branch.Commit] puts that on the branch as
// exactly one commit whose parent is the snapshot's commit.
//
// A [Proposal] is the other way for a changeset: one commit on a branch of its own, and
// a pull request of it into the Branch.
//
// What is named by its content (blobs, trees, commits) is not asked for twice while
// there is memory for it, and every blob that arrives is hashed and compared with the
// name it was asked by. The tree that GitHub builds is compared with the one that the
// edits must give before a commit is made of it. Only the head of a branch can change; it
// is read with If-None-Match.
//
// GitHub's reads lag behind its writes by some seconds. So for ten seconds after a
// write of a Branch, a head that is that write's parent is taken for an old answer,
// and for as long a head that was read or written is committed on without another
// look. The price is a window for somebody who sets the branch back with force:
// within it, a branch that is back at such a parent is still read as the own write,
// and a commit may bring back what was taken away. After it neither can happen but
// between the look and the update of the ref, which GitHub offers no way to join.
//
// Blobs come one by one, or from one archive of the commit where that is cheaper in
// time and in requests. The tree of a commit is made by one request, or by several side
// by side when the edits are too many for one: each makes some folders, and one more
// names them.
//
// # Invariants
//
//   - The branch only moves by fast-forward: force is sent as true for the branch of a
//     pull request alone (see [Proposal]), which is the service's own.
//   - A commit's parent is the head that it was planned on.
//   - A ref update once sent is followed to its end. When its answer is lost, the
//     branch is looked at, and only the very same commit is ever sent again.
//   - No request goes out into a limit that is known, and nobody waits for longer
//     than its own deadline.
//   - The credential goes to the API's host alone: redirects to another host are
//     not followed, and archives are fetched without it.
//
// # Errors
//
// Every error that comes from GitHub is an [*Error] that wraps one of the
// sentinel errors of this package, or a [*RateLimitError]. They are made in one
// place, translate.go.
//
// # Maintainer's notes
//
// go-github v62 does not know 429, keeps limits by its own clock, loses the
// message of an error whose errors field is a bare string, and its GetBranch and
// GetArchiveLink go around its error handling. So limits are recognised in a
// RoundTripper below it, which also takes the rate headers away from it, error
// bodies are read here, and those two endpoints are asked by NewRequest.
package github
