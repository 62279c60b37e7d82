package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	gh "github.com/google/go-github/v62/github"
)

const (
	opLabels    = "POST /repos/{owner}/{repo}/issues/{issue_number}/labels"
	opAssignees = "POST /repos/{owner}/{repo}/issues/{issue_number}/assignees" //nolint:gosec // no credential
	opReviewers = "POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers"
)

// PullPeople is what a new pull request gets beside its texts.
type PullPeople struct {
	Labels, Reviewers, TeamReviewers, Assignees []string
}

// Decorate adds labels, reviewers and assignees to a pull request, and returns what
// GitHub refused of them as sentences. Of several reviewers those whom GitHub takes are
// asked.
func (p *Proposal) Decorate(ctx context.Context, number int, people PullPeople) (refused []string) {
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return []string{"labels, reviewers and assignees: " + sentence(err)}
	}
	note := func(what string, err error) {
		if err != nil {
			refused = append(refused, what+": "+sentence(err))
		}
	}
	if len(people.Labels) > 0 {
		note("labels "+strings.Join(people.Labels, ", "), p.people(ctx, at, opLabels, func(ctx context.Context) (*gh.Response, error) {
			_, resp, err := p.b.client.api.Issues.AddLabelsToIssue(ctx, at.repo.Owner, at.repo.Name, number, people.Labels)
			return resp, err
		}))
	}
	refused = append(refused, p.review(ctx, at, number, people)...)
	if len(people.Assignees) > 0 {
		var assigned *gh.Issue
		err := p.people(ctx, at, opAssignees, func(ctx context.Context) (resp *gh.Response, err error) {
			assigned, resp, err = p.b.client.api.Issues.AddAssignees(ctx, at.repo.Owner, at.repo.Name, number, people.Assignees)
			return resp, err
		})
		note("assignees "+strings.Join(people.Assignees, ", "), err)
		if missing := missingAssignees(assigned, people.Assignees); err == nil && len(missing) > 0 {
			refused = append(refused, fmt.Sprintf("assignees %s: GitHub did not assign them; they need access to the repository", strings.Join(missing, ", ")))
		}
	}
	return refused
}

// missingAssignees are those whom GitHub left out without a word.
func missingAssignees(issue *gh.Issue, asked []string) []string {
	if issue == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(asked), func(login string) bool {
		return slices.ContainsFunc(issue.Assignees, func(u *gh.User) bool { return strings.EqualFold(u.GetLogin(), login) })
	})
}

// review asks for all reviews at once, and one by one when GitHub refuses one of them.
func (p *Proposal) review(ctx context.Context, at place, number int, people PullPeople) (refused []string) {
	var single []gh.ReviewersRequest
	var names []string
	for _, login := range people.Reviewers {
		single, names = append(single, gh.ReviewersRequest{Reviewers: []string{login}}), append(names, "reviewer "+login)
	}
	for _, team := range people.TeamReviewers {
		single, names = append(single, gh.ReviewersRequest{TeamReviewers: []string{team}}), append(names, "team "+team)
	}
	if len(single) == 0 {
		return nil
	}
	err := p.askReview(ctx, at, number, gh.ReviewersRequest{Reviewers: people.Reviewers, TeamReviewers: people.TeamReviewers})
	var e *Error
	if err == nil {
		return nil
	}
	if len(single) == 1 || !errors.As(err, &e) || e.Status != http.StatusUnprocessableEntity {
		return []string{strings.Join(names, ", ") + ": " + sentence(err)}
	}
	for i, one := range single {
		if err := p.askReview(ctx, at, number, one); err != nil {
			refused = append(refused, names[i]+": "+sentence(err))
		}
	}
	return refused
}

func (p *Proposal) askReview(ctx context.Context, at place, number int, of gh.ReviewersRequest) error {
	return p.people(ctx, at, opReviewers, func(ctx context.Context) (*gh.Response, error) {
		_, resp, err := p.b.client.api.PullRequests.RequestReviewers(ctx, at.repo.Owner, at.repo.Name, number, of)
		return resp, err
	})
}

// people makes one paced request.
func (p *Proposal) people(ctx context.Context, at place, op string, send func(context.Context) (*gh.Response, error)) error {
	if err := p.b.limits().admitCommit(ctx); err != nil {
		return translate(ctx, op, nil, err)
	}
	return needsPulls(p.b.client.ask(ctx, request{op: op, repo: at.repo, write: true}, send))
}

// sentence is an error for the answer to a caller.
func sentence(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Detail != "" {
		return e.Detail
	}
	return oneLine(err.Error())
}
