package github

import (
	"context"
	"errors"
	"net/http"

	gh "github.com/google/go-github/v62/github"
)

// Landing is a commit that was found on a branch.
type Landing struct {
	Commit Commit
	Repo   Repo
	Branch string
}

// Landed looks for a commit on the branch as it is now, at its head or below it.
// It returns nil when the commit is not there, or GitHub does not know it.
func (b *Branch) Landed(ctx context.Context, commit SHA) (*Landing, error) {
	at, err := b.readHead(ctx)
	if err != nil {
		return nil, err
	}
	compared, err := b.compare(ctx, at, commit)
	var unknown *Error
	switch {
	case errors.As(err, &unknown) && unknown.Status == http.StatusNotFound:
		return nil, nil
	case err != nil:
		return nil, err
	case compared.GetStatus() != "ahead" && compared.GetStatus() != "identical":
		return nil, nil
	}
	base := compared.GetBaseCommit()
	return &Landing{Repo: at.repo, Branch: at.branch, Commit: Commit{
		SHA: commit, URL: base.GetHTMLURL(), Message: base.GetCommit().GetMessage(), Time: base.GetCommit().GetCommitter().GetDate().UTC(),
	}}, nil
}

// compare asks how the head lies to the commit.
func (b *Branch) compare(ctx context.Context, at head, commit SHA) (*gh.CommitsComparison, error) {
	c := b.client
	var compared *gh.CommitsComparison
	err := c.ask(ctx, request{op: opCompare, repo: at.repo}, func(ctx context.Context) (resp *gh.Response, err error) {
		one := &gh.ListOptions{PerPage: 1} // the commits are not wanted
		compared, resp, err = c.api.Repositories.CompareCommits(ctx, at.repo.Owner, at.repo.Name, string(commit), string(at.commit), one)
		return resp, err
	})
	return compared, err
}
