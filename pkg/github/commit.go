package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v62/github"
)

const opNewCommit = "POST /repos/{owner}/{repo}/git/commits"

// ErrInvalidChange is returned by Branch.Commit for a Changeset that cannot be a
// commit: without edits, without a message, or with an edit of what is no file
// of the snapshot. No request was made.
var ErrInvalidChange = errors.New("not a change of the snapshot's files")

// Commit puts one commit with the edits on top of the snapshot's commit and
// moves the branch there by fast-forward.
//
// ErrBranchMoved means that the branch is at another commit and this one is not on it:
// take a new Snapshot and plan again. Edits of workflow files that the
// credential may not write are left out and named in Commit.LeftOut; when nothing
// remains the error is an ErrForbidden that names the permission.
//
// ctx bounds everything up to the update of the ref. Once the update is
// sent, Commit waits for its outcome, at most refPatience longer. An *UnknownOutcomeError
// means that even then it is not known whether the commit is on the branch.
func (b *Branch) Commit(ctx context.Context, s *Snapshot, c Changeset) (Commit, error) {
	edits, err := checkedEdits(s, c)
	if err != nil {
		return Commit{}, err
	}
	c.Edits = edits
	made, err := b.allowed(ctx, s, c, func(ctx context.Context, c Changeset) (Commit, error) { return b.commit(ctx, s, c) })
	var unknown *UnknownOutcomeError
	if errors.Is(err, ErrBranchMoved) || errors.As(err, &unknown) {
		b.known.leave(s.Commit)
	}
	return made, err
}

// allowed commits all of the edits, or those that the credential may write.
func (b *Branch) allowed(
	ctx context.Context, s *Snapshot, c Changeset, commit func(context.Context, Changeset) (Commit, error),
) (Commit, error) {
	made, err := commit(ctx, c)
	if refusesWorkflows(err) && touchesWorkflows(c.Edits) && b.client.identity.Load().session.widen(ctx, s.Repo) {
		made, err = commit(ctx, c)
	}
	if !refusesWorkflows(err) {
		return made, err
	}
	kept, leftOut := splitWorkflows(c.Edits)
	if len(leftOut) == 0 {
		return Commit{}, b.explain404(ctx, s.Repo, err)
	}
	if len(kept) == 0 {
		return Commit{}, workflowRefusal(err)
	}
	c.Edits = kept
	made, err = commit(ctx, c)
	if refusesWorkflows(err) {
		return Commit{}, b.explain404(ctx, s.Repo, err)
	}
	if err != nil {
		return Commit{}, err
	}
	made.LeftOut = leftOut
	return made, nil
}

// checkedEdits returns the edits by path. A tree entry without content would
// delete the file, and one without a file would make one.
func checkedEdits(s *Snapshot, c Changeset) ([]Edit, error) {
	if len(c.Edits) == 0 || c.Message == "" {
		return nil, fmt.Errorf("%w: it needs a message and at least one edit", ErrInvalidChange)
	}
	if s.listing == nil {
		return nil, fmt.Errorf("%w: the snapshot is none of this package's", ErrInvalidChange)
	}
	edits := slices.Clone(c.Edits)
	slices.SortFunc(edits, func(a, b Edit) int { return strings.Compare(a.Path, b.Path) })
	for i, e := range edits {
		at, ok := find(s.Entries, e.Path)
		if !ok || s.Entries[at].Mode == ModeSymlink || i > 0 && edits[i-1].Path == e.Path {
			return nil, fmt.Errorf("%w: %.200q is not one file of it", ErrInvalidChange, e.Path)
		}
	}
	return edits, nil
}

// commit is Commit for edits that are tried as they are.
func (b *Branch) commit(ctx context.Context, s *Snapshot, c Changeset) (Commit, error) {
	if err := b.limits().admitCommit(ctx); err != nil {
		return Commit{}, translate(ctx, opNewTree, nil, err)
	}
	next, checked := s.listing.edited(c.Edits)
	tree, made, err := b.build(ctx, s, c, next.certain(checked), func(tree SHA) error {
		switch {
		case checked && tree != next.root():
			return nonsense(opNewTree, http.StatusCreated, fmt.Errorf("the tree is %s, the edits give %s", tree, next.root()))
		case !checked && tree == s.Tree && s.changedBy(c.Edits):
			return nonsense(opNewTree, http.StatusCreated, fmt.Errorf("the tree is %s as before the edits", tree))
		}
		return nil
	})
	if err != nil {
		return Commit{}, err
	}
	next.dirs[0].SHA = tree
	err = b.fastForward(ctx, s, made, c.BeforeRef)
	b.standing.noteUpdate(err)
	if err != nil {
		if errors.Is(err, ErrBranchMoved) {
			b.draftNext(ctx, c)
		}
		return Commit{}, err
	}
	for _, e := range c.Edits {
		b.client.blobs.Put(blobSHA(e.Content), slices.Clip(slices.Clone(e.Content)))
	}
	b.wrote(s, &Snapshot{Repo: s.Repo, Branch: s.Branch, Commit: made.SHA, Tree: tree, Entries: next.files, listing: next})
	return made, nil
}

// changedBy reports whether an edit brings another content.
func (s *Snapshot) changedBy(edits []Edit) bool {
	return slices.ContainsFunc(edits, func(e Edit) bool {
		at, ok := find(s.Entries, e.Path)
		return ok && s.Entries[at].SHA != blobSHA(e.Content)
	})
}

// build makes the tree, which check must accept, and a commit of it, or takes a
// draft of both. next is as for newTree.
func (b *Branch) build(
	ctx context.Context, s *Snapshot, c Changeset, next *listing, check func(SHA) error,
) (tree SHA, made Commit, err error) {
	if d, ok := b.takeDraft(ctx, s, c); ok {
		return d.tree, d.made, check(d.tree)
	}
	stands := b.confirm(ctx, s)
	tree, err = b.newTree(ctx, s, c.Edits, next)
	if moved := stands(); moved != nil {
		return "", Commit{}, moved
	}
	if err == nil {
		err = check(tree)
	}
	if err != nil {
		return "", Commit{}, err
	}
	made, err = b.newCommit(ctx, s, tree, c)
	return tree, made, err
}

// confirm looks at the branch beside the first write, unless the snapshot is
// fresh: a branch that somebody has set back would take our commit as a
// fast-forward and get back what was taken from it. The function that it returns
// waits for the answer.
func (b *Branch) confirm(ctx context.Context, s *Snapshot) func() error {
	if b.trusted(s) {
		return func() error { return nil }
	}
	answer := make(chan error, 1)
	go func() {
		h, err := b.readHead(ctx)
		if err == nil && (h.commit != s.Commit || h.branch != s.Branch) {
			b.ranInto(h)
			err = moved(opBranch)
		}
		answer <- err
	}()
	return func() error { return <-answer }
}

// newCommit makes the commit, which is on no branch yet.
func (b *Branch) newCommit(ctx context.Context, s *Snapshot, tree SHA, changes Changeset) (Commit, error) {
	c := b.client
	who := c.identity.Load()
	author := cmp.Or(changes.Author, who.author)
	now := c.now().UTC().Truncate(time.Second)
	body := &gh.Commit{
		Message: gh.String(changes.Message), Tree: &gh.Tree{SHA: gh.String(string(tree))},
		Parents: []*gh.Commit{{SHA: gh.String(string(s.Commit))}},
		Author:  author.at(now), Committer: c.committer.at(now),
	}
	opts := &gh.CreateCommitOptions{}
	if who.signer != nil {
		opts.Signer = who.signer
	}
	var made *gh.Commit
	r := request{op: opNewCommit, repo: s.Repo, write: true, again: notReplicated}
	err := c.ask(ctx, r, func(ctx context.Context) (resp *gh.Response, err error) {
		made, resp, err = c.api.Git.CreateCommit(ctx, s.Repo.Owner, s.Repo.Name, body, opts)
		if err == nil {
			err = checkCommit(made, tree, s.Commit)
		}
		return resp, err
	})
	if err != nil {
		return Commit{}, err
	}
	if date := made.GetCommitter().GetDate(); !date.IsZero() {
		now = date.UTC()
	}
	return Commit{SHA: SHA(made.GetSHA()), URL: made.GetHTMLURL(), Message: changes.Message, Time: now}, nil
}

// checkCommit compares a new commit as GitHub tells it with what was asked for.
func checkCommit(made *gh.Commit, tree, parent SHA) error {
	switch sha := SHA(made.GetSHA()); {
	case !sha.valid():
		return fmt.Errorf("%.60q is not the name of a commit", sha)
	case sha == parent:
		return fmt.Errorf("the new commit is said to be its own parent %s", parent)
	case made.GetTree().GetSHA() != string(tree):
		return fmt.Errorf("the commit %s is of the tree %.60q and not of %s", sha, made.GetTree().GetSHA(), tree)
	case len(made.Parents) != 1 || made.Parents[0].GetSHA() != string(parent):
		return fmt.Errorf("the commit %s has other parents than %s", sha, parent)
	}
	return nil
}

// at is the signature as GitHub takes it, nil to leave it to GitHub.
func (s *Signature) at(t time.Time) *gh.CommitAuthor {
	if s == nil {
		return nil
	}
	return &gh.CommitAuthor{Name: gh.String(s.Name), Email: gh.String(s.Email), Date: &gh.Timestamp{Time: t}}
}

// notReplicated reports whether GitHub does not know yet, everywhere, what it has
// just made.
func notReplicated(e *Error) bool {
	if e.Status != http.StatusUnprocessableEntity {
		return false
	}
	return slices.ContainsFunc([]string{
		"tree sha does not exist", "parent sha does not exist", "not a valid tree", "is not a valid blob",
	}, func(words string) bool { return strings.Contains(e.text, words) })
}

// refusesWorkflows reports whether the edits of workflow files may be what GitHub
// refused. It answers 404 for a tree that holds one, 403 for a token without any
// permission to write, and says it in words when it finds out at the ref.
func refusesWorkflows(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Op == opNewTree && (e.Status == http.StatusNotFound || e.Status == http.StatusForbidden && e.Permission != "") ||
		mentionsWorkflow(e.text)
}

func touchesWorkflows(edits []Edit) bool {
	return slices.ContainsFunc(edits, func(e Edit) bool { return strings.HasPrefix(e.Path, workflows) })
}

func splitWorkflows(edits []Edit) (kept []Edit, leftOut []string) {
	for _, e := range edits {
		if strings.HasPrefix(e.Path, workflows) {
			leftOut = append(leftOut, e.Path)
		} else {
			kept = append(kept, e)
		}
	}
	return kept, leftOut
}

func workflowRefusal(err error) error {
	refused := &Error{
		Kind: ErrForbidden, Op: opNewTree, Permission: workflowsWrite, Err: err,
		Detail: "only workflow files would change, and those need the permission Workflows: write (the scope workflow of a classic token)",
	}
	var e *Error
	if errors.As(err, &e) {
		refused.Status = e.Status
	}
	return refused
}

// explain404 finds out what a 404 for a new tree means: the repository is gone,
// or the credential may read it but not write.
func (b *Branch) explain404(ctx context.Context, repo Repo, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound {
		return err
	}
	if _, err := b.client.repository(ctx, repo); err != nil {
		return err
	}
	e.Kind, e.Permission = ErrForbidden, contentsWrite
	e.Detail = fmt.Sprintf("the credential may read %s but not write to it; grant Contents: write", repo)
	b.client.note(request{op: e.Op, repo: repo, write: true}, e)
	return e
}
