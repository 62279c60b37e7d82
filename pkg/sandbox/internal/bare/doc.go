// Package bare keeps one bare git repository on disk, in the format of the git
// command line, so that both can work on the same folder at the same time.
//
// # Model
//
// A repository is three things: objects, named by the SHA-1 of what they hold
// and therefore immutable; references, which are the only thing that changes;
// and a graph, which follows from the commits.
//
// New objects are written loose, one file each, or many at once as a pack
// ([Repository.NewPack]). They are complete before they get their name, so a
// reader never sees half of one. Packs written by git itself, with deltas, are
// read through go-git.
//
// References follow git's own protocol: a new value is written to NAME.lock,
// which must not exist, and renamed over NAME. [Repository.Swap] is therefore
// atomic against other goroutines and against git processes alike.
//
// The package never deletes an object, never runs git and knows nothing of
// HTTP.
package bare
