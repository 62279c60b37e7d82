package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// owned reports whether the branch may be set: it is not there, or at a commit of the
// service's own, or its commits are on the base.
func (d *draft) owned(ctx context.Context) (bool, error) {
	head := d.sight.Head
	if head == "" || d.before.owns(head) || slices.ContainsFunc(d.requests, func(r Request) bool { return r.Sent == head }) {
		return true, nil
	}
	if len(d.sight.Pulls) > 0 && d.sight.Pulls[0].Merged && d.sight.Pulls[0].Head == head {
		return true, nil
	}
	landed, err := d.t.Repository.Landed(ctx, head)
	if err != nil || landed != nil {
		return landed != nil, err
	}
	if d.isOpen {
		return false, nil
	}
	// Nothing is known of the branch, and it has no pull request: an update that was cut
	// short, of a service that has lost its database since.
	origin, err := d.pr.Origin(ctx, head)
	return err == nil && len(d.sight.Pulls) == 0 && len(origin.Parents) == 1 && strings.Contains(origin.Message, "\nUpdate-Id: "), err
}

// standing returns the commit that the branch is at when it is what the plan would make.
func (d *draft) standing(ctx context.Context) (github.Commit, bool, error) {
	head := d.sight.Head
	if head == "" {
		return github.Commit{}, false, nil
	}
	tree, ok := d.snapshot.TreeWith(d.plan.edits())
	if !ok {
		return github.Commit{}, false, nil
	}
	origin, err := d.pr.Origin(ctx, head)
	if err != nil {
		return github.Commit{}, false, err
	}
	if len(origin.Parents) != 1 || origin.Tree != tree {
		if d.follow && d.isOpen && len(origin.Parents) == 1 && !d.restless() && d.unaffected(origin) {
			return d.commit(origin), true, nil
		}
		return github.Commit{}, false, nil
	}
	if origin.Parents[0] != d.snapshot.Commit {
		return github.Commit{}, false, nil
	}
	return d.commit(origin), true, nil
}

func (d *draft) commit(o github.Origin) github.Commit {
	return github.Commit{SHA: d.sight.Head, URL: commitURL(d.open.URL, d.sight.Head), Message: o.Message}
}

// commitURL is the page of a commit, from that of a pull request of the same repository.
func commitURL(pull string, sha github.SHA) string {
	repository, _, ok := strings.Cut(pull, "/pull/")
	if !ok {
		return ""
	}
	return repository + "/commit/" + string(sha)
}

// restless reports whether a new commit may help a merge that failed.
func (d *draft) restless() bool {
	return d.before.Merge != nil && d.before.Merge.Status == github.MergeFailed && d.before.Base != d.snapshot.Commit
}

// unaffected reports whether the base has moved and the pull request is what it was for
// it: the same entries, whose files are as they were on the commit that it stands on.
func (d *draft) unaffected(o github.Origin) bool {
	return d.before.Base == o.Parents[0] && sameContent(d.before.Entries, d.after.Entries) && d.before.Blobs == d.plan.blobs()
}

// blobs stands for the files that the plan changes, as they are on the base.
func (p *plan) blobs() string {
	hash := sha256.New()
	for _, f := range p.files {
		fmt.Fprintf(hash, "%s %s\x00", f.entry.SHA, f.entry.Path)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
