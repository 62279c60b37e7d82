// Package inventory tells which images stand at which version in the targets.
//
// # Model
//
// A [Reference] is one place of a file that names an image, as an update would find it:
// the finder is that of package manifest, and the files are those that updates of the
// target look into. Its state is [Current] when an update of the image would move it, or
// the reason why not.
//
//	snapshot  := the branch as it is now, one conditional request
//	records   := of each file, by its blob, what it says of images
//	overrides := the versions that stand in another file than the name of their image
//
// A record is made once for each content and is small; the content is not kept. The
// records are in a cache with a bound. What fell out of it is read again.
//
// # Invariants
//
//   - References are in the order of target, path, line, column and name, and a walk can
//     begin behind any position, also when the branch has moved meanwhile.
//   - A branch that did not move costs one request, and one that did costs the changed
//     files besides. A first look costs no more requests than a first update.
//   - Memory is that of the cache, and of the records of a few targets at a time,
//     however many targets there are.
//   - What the query's caller may not read is neither told nor asked of GitHub.
package inventory
