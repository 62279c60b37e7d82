package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	gh "github.com/google/go-github/v62/github"
)

const (
	opBranch = "GET /repos/{owner}/{repo}/branches/{branch}"
	opRef    = "GET /repos/{owner}/{repo}/git/ref/{ref}"
	opCommit = "GET /repos/{owner}/{repo}/git/commits/{commit_sha}"
)

// defaultAge is for how long the name of a repository's default branch is taken to
// be still the same.
const defaultAge = 5 * time.Minute

// head is where a branch is.
type head struct {
	repo   Repo
	branch string
	commit SHA
	tree   SHA
}

// place is where a Branch is found: its repository's present name and its own.
type place struct {
	repo   Repo
	branch string
	// found is when the default branch was looked up.
	found time.Time
	// plain reports that the server has no branches endpoint, only refs.
	plain bool
}

// readHead asks where the branch is now. An answer that nothing changed costs
// nothing of the hourly budget.
func (b *Branch) readHead(ctx context.Context) (head, error) {
	h, err := b.readPlace(ctx)
	if (errors.Is(err, ErrBranchNotFound) || errors.Is(err, ErrRepositoryNotFound)) && b.forgetPlace() {
		h, err = b.readPlace(ctx) // another default branch, or another repository under the old name
	}
	var e *Error
	switch {
	case err == nil:
		b.standing.accepted(false)
	case errors.As(err, &e) && errors.Is(e.Kind, ErrBranchNotFound):
		b.standing.refused(e, false)
	}
	return h, err
}

func (b *Branch) readPlace(ctx context.Context) (head, error) {
	at, err := b.findPlace(ctx)
	if err != nil {
		return head{}, err
	}
	if at.plain {
		return b.readRef(ctx, at)
	}
	h, err := b.readBranch(ctx, at)
	var e *Error
	if !errors.As(err, &e) {
		return h, err
	}
	switch e.Status {
	case http.StatusNotFound:
		return b.missing(ctx, at)
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return b.readRef(ctx, at)
	}
	return h, err
}

// findPlace returns where the branch was last. The default branch is looked up when
// its name is not known yet or may be another one by now.
func (b *Branch) findPlace(ctx context.Context) (place, error) {
	at, _ := b.where.get()
	if at.repo.IsZero() {
		at.repo = b.asked
	}
	if at.branch == "" {
		at.branch = b.configured
	}
	if at.branch != "" && !b.defaultDue() {
		return at, nil
	}
	// A name that is known serves on when GitHub does not tell it this time.
	found, err := b.client.askRepository(ctx, request{op: opRepository, repo: at.repo, once: at.branch != ""})
	switch {
	case err != nil && at.branch != "":
		return at, nil
	case err != nil:
		return at, err
	case found.GetDefaultBranch() == "":
		return at, &Error{Kind: ErrBranchNotFound, Op: opRepository, Detail: "the repository has no default branch; push a first commit"}
	}
	at.branch, at.found = found.GetDefaultBranch(), b.client.now()
	if name, err := ParseRepo(found.GetFullName()); err == nil {
		at.repo = name
	}
	b.setPlace(at)
	return at, nil
}

// defaultDue reports whether the name of the default branch was looked up too long
// ago.
func (b *Branch) defaultDue() bool {
	if b.configured != "" {
		return false
	}
	at, _ := b.where.get()
	return at.branch != "" && b.client.now().Sub(at.found) >= defaultAge
}

// setPlace remembers where the branch is. What is known of another branch says
// nothing of it.
func (b *Branch) setPlace(at place) {
	if !at.repo.Equal(b.asked) {
		b.client.renamed(b.asked, at.repo)
	}
	if b.where.set(at) {
		b.own.forget()
		b.races.forgetHead()
		b.known.leaveAll()
	}
}

// forgetPlace reports whether there was something to forget.
func (b *Branch) forgetPlace() bool {
	at := b.where.forget()
	return b.configured == "" && at.branch != "" || !at.repo.IsZero() && !at.repo.Equal(b.asked)
}

// tagged is a head with the entity tag that it was answered with.
type tagged struct {
	etag string
	head head
}

// branchAnswer is what is needed of GET branches/{branch}.
type branchAnswer struct {
	Name   string `json:"name"`
	Commit struct {
		SHA    SHA `json:"sha"`
		Commit struct {
			Tree struct {
				SHA SHA `json:"sha"`
			} `json:"tree"`
		} `json:"commit"`
	} `json:"commit"`
}

func (b *Branch) readBranch(ctx context.Context, at place) (head, error) {
	var answer branchAnswer
	address := fmt.Sprintf("repos/%s/%s/branches/%s", at.repo.Owner, at.repo.Name, url.PathEscape(at.branch))
	h, resp, err := b.conditional(ctx, request{op: opBranch, repo: at.repo}, address, &answer)
	if err != nil || !h.repo.IsZero() {
		return h, err
	}
	if answer.Name != "" && answer.Name != at.branch {
		return head{}, &Error{
			Kind: ErrBranchNotFound, Op: opBranch,
			Detail: fmt.Sprintf("the branch %s was renamed to %s; set that as the target's branch", oneLine(at.branch), oneLine(answer.Name)),
		}
	}
	if at.repo, err = b.followRename(ctx, at, resp); err != nil {
		return head{}, err
	}
	h = head{repo: at.repo, branch: at.branch, commit: answer.Commit.SHA, tree: answer.Commit.Commit.Tree.SHA}
	return b.complete(ctx, h, resp)
}

// readRef is readBranch for a server without that endpoint.
func (b *Branch) readRef(ctx context.Context, at place) (head, error) {
	var answer struct {
		Object struct {
			SHA SHA `json:"sha"`
		} `json:"object"`
	}
	address := fmt.Sprintf("repos/%s/%s/git/ref/heads/%s", at.repo.Owner, at.repo.Name, escapeRef(at.branch))
	h, resp, err := b.conditional(ctx, request{op: opRef, repo: at.repo}, address, &answer)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		e.Kind = ErrBranchNotFound
		e.Detail = fmt.Sprintf("%s has no branch %s; check the name", at.repo, oneLine(at.branch))
	}
	if err != nil || !h.repo.IsZero() {
		return h, err
	}
	at.plain = true
	b.setPlace(at)
	return b.complete(ctx, head{repo: at.repo, branch: at.branch, commit: answer.Object.SHA}, resp)
}

// conditional reads into answer and returns a zero head or, when GitHub answers that
// nothing changed, returns the last head.
func (b *Branch) conditional(ctx context.Context, r request, address string, answer any) (h head, resp *gh.Response, err error) {
	_, last := b.where.get()
	err = b.client.ask(ctx, r, func(ctx context.Context) (*gh.Response, error) {
		req, err := b.client.api.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		if last.etag != "" {
			req.Header.Set("If-None-Match", last.etag)
		}
		resp, err = b.client.api.Do(ctx, req, answer)
		if resp != nil && resp.StatusCode == http.StatusNotModified && last.etag != "" {
			h, err = last.head, nil
		}
		return resp, err
	})
	return h, resp, err
}

// complete adds the tree where the answer has none, and remembers the head with
// its entity tag.
func (b *Branch) complete(ctx context.Context, h head, resp *gh.Response) (head, error) {
	if !h.commit.valid() {
		return head{}, nonsense(opBranch, resp.StatusCode, fmt.Errorf("%.60q is not the name of a commit", h.commit))
	}
	if !h.tree.valid() {
		tree, err := b.client.treeOf(ctx, h.repo, h.commit)
		if err != nil {
			return head{}, err
		}
		h.tree = tree
	}
	b.where.tag(tagged{etag: resp.Header.Get("ETag"), head: h})
	return h, nil
}

func (c *Client) treeOf(ctx context.Context, repo Repo, commit SHA) (SHA, error) {
	var found *gh.Commit
	err := c.ask(ctx, request{op: opCommit, repo: repo}, func(ctx context.Context) (resp *gh.Response, err error) {
		found, resp, err = c.api.Git.GetCommit(ctx, repo.Owner, repo.Name, string(commit))
		return resp, err
	})
	return SHA(found.GetTree().GetSHA()), err
}

// followRename returns the repository's new name when the answer came from a
// redirect.
func (b *Branch) followRename(ctx context.Context, at place, resp *gh.Response) (Repo, error) {
	if resp.Request == nil || !strings.Contains(resp.Request.URL.Path, "/repositories/") {
		return at.repo, nil
	}
	found, err := b.client.repository(ctx, at.repo)
	if err != nil {
		return at.repo, err
	}
	name, err := ParseRepo(found.GetFullName())
	if err != nil {
		return at.repo, nonsense(opRepository, http.StatusOK, err)
	}
	at.repo = name
	b.setPlace(at)
	return name, nil
}

// missing classifies a 404 for the branch: no such repository, an
// empty one, no such branch, or a server that only has refs.
func (b *Branch) missing(ctx context.Context, at place) (head, error) {
	if _, err := b.client.repository(ctx, at.repo); err != nil {
		return head{}, err
	}
	return b.readRef(ctx, at)
}

func escapeRef(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}
