package update

import (
	"context"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Repository is one branch of one repository, as this package needs it.
// *github.Branch is one. Its methods are safe for concurrent use, and their
// errors are those of package github.
type Repository interface {
	// Remembered returns the newest snapshot that is known without a request. It
	// may be behind the branch.
	Remembered() (*github.Snapshot, bool)
	// Snapshot returns the branch as it is now.
	Snapshot(ctx context.Context) (*github.Snapshot, error)
	// Read calls visit once for each entry, one call at a time, in any order, with
	// the entry's index and its content. The content is never changed afterwards
	// and must not be. An error of visit ends the reading and is returned.
	Read(ctx context.Context, s *github.Snapshot, entries []github.Entry, visit func(i int, content []byte) error) error
	// Commit puts one commit on top of the snapshot's. github.ErrBranchMoved says
	// that the branch is at another commit and nothing was written.
	Commit(ctx context.Context, s *github.Snapshot, c github.Changeset) (github.Commit, error)
}

// Target is a branch that updates are written to.
type Target struct {
	Repo github.Repo
	// Branch is empty for the repository's default branch.
	Branch     string
	Repository Repository
}

// target is a Target with the queue that serialises its commits.
type target struct {
	Target
	queue queue
}

func newTarget(t Target, share bool, apply func(context.Context, *target, []Request) []Result) *target {
	out := &target{Target: t}
	out.queue = queue{
		share: share,
		apply: func(ctx context.Context, requests []Request) []Result { return apply(ctx, out, requests) },
	}
	return out
}

// isRepo tells whether a request for repo means this target; one for none means
// any. A renamed repository goes by both names.
func (t *target) isRepo(repo github.Repo) bool {
	if repo.IsZero() || t.Repo.Equal(repo) {
		return true
	}
	snapshot, ok := t.Repository.Remembered()
	return ok && snapshot.Repo.Equal(repo)
}

// isBranch tells whether a request for branch means this target; one for "" means any.
func (t *target) isBranch(ctx context.Context, branch string) (bool, error) {
	if branch == "" || t.Branch != "" {
		return branch == "" || branch == t.Branch, nil
	}
	snapshot, ok := t.Repository.Remembered()
	if !ok {
		var err error
		if snapshot, err = t.Repository.Snapshot(ctx); err != nil {
			return false, err
		}
	}
	return branch == snapshot.Branch, nil
}

// failed is the result of a request that ended with err before its branch was read.
func (t *target) failed(err error) Result {
	return Result{Repo: t.Repo, Branch: t.Branch, Err: err}
}
