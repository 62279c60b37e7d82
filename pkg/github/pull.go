package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v62/github"
)

const (
	opPulls    = "GET /repos/{owner}/{repo}/pulls"
	opNewPull  = "POST /repos/{owner}/{repo}/pulls"
	opEditPull = "PATCH /repos/{owner}/{repo}/pulls/{pull_number}"
	opComments = "GET /repos/{owner}/{repo}/issues/{issue_number}/comments"
	opComment  = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"

	pullsWrite = "pull_requests=write"
	// pullsListed is how many of a branch's pull requests are looked at, the newest first.
	pullsListed = 10
	// maxTitle and maxBody are GitHub's bounds of a pull request's texts, in characters.
	maxTitle = 256
	maxBody  = 65536
)

// PullRequest is a pull request as GitHub shows it.
type PullRequest struct {
	Number int
	URL    string // for people
	Title  string
	Body   string
	// Open reports that it is open; Merged that it is closed with a merge.
	Open, Merged bool
	Draft        bool
	// Head is the commit that its branch is at, or was at when it was closed.
	Head SHA
	// MergeCommit is the commit that a merge made; "" when there was none.
	MergeCommit SHA
	// Updated is when something about it changed.
	Updated time.Time
	// Labels are the names of its labels.
	Labels []string
}

// State is GitHub's word: open, closed, or merged.
func (p PullRequest) State() string {
	switch {
	case p.Open:
		return "open"
	case p.Merged:
		return "merged"
	}
	return "closed"
}

// PullText is what a pull request says. A text that is longer than GitHub takes is cut.
type PullText struct {
	Title, Body string
	Draft       bool // of a new one alone
}

func pullRequest(p *gh.PullRequest) PullRequest {
	out := PullRequest{
		Number: p.GetNumber(), URL: p.GetHTMLURL(), Title: p.GetTitle(), Body: p.GetBody(),
		Open: p.GetState() == "open", Merged: p.MergedAt != nil, Draft: p.GetDraft(),
		Head: SHA(p.GetHead().GetSHA()), Updated: p.GetUpdatedAt().UTC(),
	}
	if out.Merged {
		out.MergeCommit = SHA(p.GetMergeCommitSHA())
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.GetName())
	}
	return out
}

// list reads the branch's pull requests into the base, the newest first. An answer
// that nothing changed costs nothing of the hourly budget.
func (p *Proposal) list(ctx context.Context, at place) ([]PullRequest, error) {
	query := url.Values{
		"head": {at.repo.Owner + ":" + p.head}, "base": {at.branch}, "state": {"all"}, "sort": {"created"}, "direction": {"desc"},
		"per_page": {fmt.Sprint(pullsListed)},
	}
	address := fmt.Sprintf("repos/%s/%s/pulls?%s", at.repo.Owner, at.repo.Name, query.Encode())
	var found []*gh.PullRequest
	tag, last := p.known.pulls(address)
	etag, err := p.b.client.askTagged(ctx, request{op: opPulls, repo: at.repo}, address, tag, &found)
	if err != nil {
		return nil, needsPulls(err)
	}
	if etag == tag && tag != "" {
		return last, nil
	}
	list := make([]PullRequest, 0, len(found))
	for _, one := range found {
		if SHA(one.GetHead().GetSHA()).valid() && one.GetNumber() > 0 {
			list = append(list, pullRequest(one))
		}
	}
	p.known.keepPulls(address, etag, list)
	return list, nil
}

// askTagged reads address into answer unless it is what it was with tag, and returns
// the entity tag of what it is now.
func (c *Client) askTagged(ctx context.Context, r request, address, tag string, answer any) (now string, err error) {
	err = c.ask(ctx, r, func(ctx context.Context) (*gh.Response, error) {
		req, err := c.api.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		resp, err := c.api.Do(ctx, req, answer)
		if resp == nil {
			return nil, err
		}
		now = resp.Header.Get("ETag")
		if resp.StatusCode == http.StatusNotModified && tag != "" {
			now, err = tag, nil
		}
		return resp, err
	})
	return now, err
}

// needsPulls names the permission that every operation on pull requests needs.
func needsPulls(err error) error {
	var e *Error
	if errors.As(err, &e) && errors.Is(e.Kind, ErrForbidden) && isPermission(e.text) {
		e.Permission = pullsWrite
		e.Detail = "the credential lacks the permission pull_requests=write on the repository; grant Pull requests: write"
	}
	return err
}

// ErrNoDifference is returned by Proposal.Open when the branch has nothing that the
// base has not.
var ErrNoDifference = errors.New("no commits between base and branch")

// Open opens the pull request of the branch, or returns the one that is open already;
// opened reports which. A repository without drafts gets one that is none.
func (p *Proposal) Open(ctx context.Context, text PullText) (pull PullRequest, opened bool, err error) {
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return PullRequest{}, false, err
	}
	if err := p.b.limits().admitCommit(ctx); err != nil {
		return PullRequest{}, false, translate(ctx, opNewPull, nil, err)
	}
	body := &gh.NewPullRequest{
		Title: gh.String(cut(text.Title, maxTitle)), Body: gh.String(cut(text.Body, maxBody)),
		Head: gh.String(p.head), Base: gh.String(at.branch), Draft: gh.Bool(text.Draft),
	}
	r := request{op: opNewPull, repo: at.repo, write: true, again: func(e *Error) bool {
		// The branch was made a moment ago, and is not known everywhere yet.
		return e.Status == http.StatusUnprocessableEntity && strings.Contains(e.text, "head invalid")
	}}
	var made *gh.PullRequest
	post := func(ctx context.Context) (resp *gh.Response, err error) {
		made, resp, err = p.b.client.api.PullRequests.Create(ctx, at.repo.Owner, at.repo.Name, body)
		if err == nil && (made.GetNumber() <= 0 || made.GetHead().GetRef() != p.head) {
			err = fmt.Errorf("the new pull request is number %d of the branch %.60q", made.GetNumber(), made.GetHead().GetRef())
		}
		return resp, err
	}
	err = p.b.client.ask(ctx, r, post)
	var e *Error
	if errors.As(err, &e) && strings.Contains(e.text, "draft pull requests are not supported") {
		body.Draft = gh.Bool(false)
		err = p.b.client.ask(ctx, r, post)
	}
	switch {
	case err == nil:
		p.known.forgetPulls()
		return pullRequest(made), true, nil
	case !errors.As(err, &e):
		return PullRequest{}, false, err
	case strings.Contains(e.text, "pull request already exists"):
		pull, err = p.await(ctx, at)
		return pull, false, err
	case strings.Contains(e.text, "no commits between"):
		return PullRequest{}, false, ErrNoDifference
	}
	return PullRequest{}, false, needsPulls(err)
}

// await reads the open pull request that GitHub says there is, and does not list yet.
func (p *Proposal) await(ctx context.Context, at place) (PullRequest, error) {
	for attempt := 1; ; attempt++ {
		p.known.forgetPulls()
		list, err := p.list(ctx, at)
		if err != nil {
			return PullRequest{}, err
		}
		for _, one := range list {
			if one.Open {
				return one, nil
			}
		}
		if attempt == maxAttempts || p.b.client.pause(ctx, attempt) != nil {
			return PullRequest{}, &Error{Kind: ErrUpstream, Op: opPulls, Detail: "GitHub says that the pull request exists already and does not show it"}
		}
	}
}

// cut shortens a text to what GitHub takes, in characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	runes := []rune(text)
	return string(runes[:min(most, len(runes))])
}

// Edit sets title and body of a pull request.
func (p *Proposal) Edit(ctx context.Context, number int, text PullText) (PullRequest, error) {
	return p.edit(ctx, number, &gh.PullRequest{Title: gh.String(cut(text.Title, maxTitle)), Body: gh.String(cut(text.Body, maxBody))})
}

// Close closes a pull request and sets its body.
func (p *Proposal) Close(ctx context.Context, number int, body string) (PullRequest, error) {
	return p.edit(ctx, number, &gh.PullRequest{State: gh.String("closed"), Body: gh.String(cut(body, maxBody))})
}

func (p *Proposal) edit(ctx context.Context, number int, to *gh.PullRequest) (PullRequest, error) {
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return PullRequest{}, err
	}
	if err := p.b.limits().admitCommit(ctx); err != nil {
		return PullRequest{}, translate(ctx, opEditPull, nil, err)
	}
	var edited *gh.PullRequest
	err = p.b.client.ask(ctx, request{op: opEditPull, repo: at.repo, write: true}, func(ctx context.Context) (resp *gh.Response, err error) {
		edited, resp, err = p.b.client.api.PullRequests.Edit(ctx, at.repo.Owner, at.repo.Name, number, to)
		return resp, err
	})
	if err != nil {
		return PullRequest{}, needsPulls(err)
	}
	p.known.forgetPulls()
	return pullRequest(edited), nil
}

// saidBefore is how old a comment may be that an earlier try made.
const saidBefore = time.Hour

// Comment adds a comment to a pull request, unless it has the same one since an hour.
func (p *Proposal) Comment(ctx context.Context, number int, text string) error {
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return err
	}
	said, err := p.isSaid(ctx, at, number, text)
	if err != nil || said {
		return err
	}
	if err := p.b.limits().admitCommit(ctx); err != nil {
		return translate(ctx, opComment, nil, err)
	}
	r := request{op: opComment, repo: at.repo, write: true, once: true} // a second one would be a second comment
	return needsPulls(p.b.client.ask(ctx, r, func(ctx context.Context) (resp *gh.Response, err error) {
		_, resp, err = p.b.client.api.Issues.CreateComment(ctx, at.repo.Owner, at.repo.Name, number, &gh.IssueComment{Body: gh.String(cut(text, maxBody))})
		return resp, err
	}))
}

// isSaid reports whether the pull request has the comment.
func (p *Proposal) isSaid(ctx context.Context, at place, number int, text string) (bool, error) {
	since := p.b.client.now().Add(-saidBefore)
	o := &gh.IssueListCommentsOptions{Since: &since, ListOptions: gh.ListOptions{PerPage: 100}}
	var found []*gh.IssueComment
	err := p.b.client.ask(ctx, request{op: opComments, repo: at.repo}, func(ctx context.Context) (resp *gh.Response, err error) {
		found, resp, err = p.b.client.api.Issues.ListComments(ctx, at.repo.Owner, at.repo.Name, number, o)
		return resp, err
	})
	return slices.ContainsFunc(found, func(c *gh.IssueComment) bool { return c.GetBody() == text }), needsPulls(err)
}
