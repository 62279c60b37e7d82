package github

import (
	"context"
	"time"
)

// SHA is the name of a git object: 40 lower-case hexadecimal digits.
type SHA string

// valid reports whether s may stand in a request's path.
func (s SHA) valid() bool {
	if len(s) != 40 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Mode is the mode of a tree entry as git writes it.
type Mode string

// The modes of a tree entry.
const (
	ModeFile       Mode = "100644"
	ModeExecutable Mode = "100755"
	ModeSymlink    Mode = "120000"
	modeSubmodule  Mode = "160000"
	modeTree       Mode = "040000"
)

// Entry is one blob of a branch's tree.
type Entry struct {
	Path string // slash-separated, from the root of the repository
	Mode Mode
	SHA  SHA
	Size int64 // in bytes
}

// Snapshot is a branch at one commit: everything that is needed to plan a
// change of it. It is immutable and may be shared by goroutines.
type Snapshot struct {
	// Repo is the repository's present name, which is another than the one asked
	// for when it was renamed.
	Repo   Repo
	Branch string
	Commit SHA
	Tree   SHA
	// Entries are the blobs and symbolic links of the tree, sorted by path.
	// Submodules and directories are left out, and so are files whose path is not
	// UTF-8: GitHub's API has no way to name them.
	Entries []Entry

	listing *listing
	// read is when GitHub said that this is the branch's head, for a snapshot
	// that was asked for; zero for one out of memory.
	read time.Time
}

// Edit is the new content of one file that exists already.
type Edit struct {
	Path    string
	Mode    Mode // of the entry it replaces
	Content []byte
}

// Changeset is what one commit writes on top of a Snapshot.
type Changeset struct {
	Edits   []Edit
	Message string
	// Author of the commit; nil means that of the client's Options.
	Author *Signature
	// BeforeRef, when it is set, is called with the new commit's SHA before the
	// branch is first asked to move there. An error of it ends the commit: it is
	// returned as it is, and nothing is on the branch. It is called again, with
	// another SHA, when GitHub refuses the first commit for its workflow files and
	// one without them follows.
	BeforeRef func(ctx context.Context, sha SHA) error
}

// Commit is a commit that is on the branch.
type Commit struct {
	SHA     SHA
	URL     string // for people
	Message string
	Time    time.Time
	// LeftOut are the paths whose edits are not part of the commit, sorted,
	// because the credential may not change workflow files.
	LeftOut []string
}
