package sandbox

import (
	"net/http"
	"slices"
	"strconv"
)

// A pull request is an issue for its labels, assignees and comments.

// maxLabel is GitHub's bound of a label's name, in characters.
const maxLabel = 50

func addLabels(c *call, p *pull) (*response, error) {
	f, err := parseFieldsOrList(c.body, "labels")
	if err != nil {
		return nil, err
	}
	names, err := f.texts("labels")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if n := len([]rune(name)); n == 0 || n > maxLabel {
			return nil, validationFailed(fieldError{Resource: "Label", Code: "invalid", Field: "name"})
		}
	}
	p.Labels = join(p.Labels, names)
	p.Updated = c.repo.clock()
	return &response{body: c.labels(p.Labels)}, nil
}

// addAssignees leaves out whom it does not know, without a word, as GitHub does.
func addAssignees(c *call, p *pull) (*response, error) {
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	names, err := f.texts("assignees")
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return c.repo.pulls.people != nil && !c.repo.pulls.people[name] })
	p.Assignees = join(p.Assignees, names)
	p.Updated = c.repo.clock()
	return &response{status: http.StatusCreated, body: c.issueBody(p)}, nil
}

// requestReviewers asks for reviews; one name that GitHub does not take refuses all.
func requestReviewers(c *call, p *pull) (*response, error) {
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	reviewers, err := f.texts("reviewers")
	if err != nil {
		return nil, err
	}
	teams, err := f.texts("team_reviewers")
	if err != nil {
		return nil, err
	}
	known := func(names []string, among map[string]bool) bool {
		return among == nil || !slices.ContainsFunc(names, func(name string) bool { return !among[name] })
	}
	switch {
	case slices.Contains(reviewers, p.User):
		return nil, invalid("Review cannot be requested from pull request author.")
	case !known(reviewers, c.repo.pulls.people) || !known(teams, c.repo.pulls.teams):
		return nil, invalid("Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the %s repository.", c.repo.Name())
	}
	p.Reviewers, p.Teams = join(p.Reviewers, reviewers), join(p.Teams, teams)
	p.Updated = c.repo.clock()
	body, err := c.pullBody(p, false)
	return &response{status: http.StatusCreated, body: body}, err
}

func addComment(c *call, p *pull) (*response, error) {
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	text, err := f.text("body")
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, validationFailed(fieldError{Resource: "IssueComment", Code: "missing_field", Field: "body"})
	}
	c.repo.pulls.comments++
	p.Comments = append(p.Comments, Comment{ID: c.repo.pulls.comments, User: c.caller.login(), Body: text, Created: c.repo.clock()})
	p.Updated = c.repo.clock()
	return &response{status: http.StatusCreated, body: c.commentBody(p, p.Comments[len(p.Comments)-1])}, nil
}

func listComments(c *call, p *pull) (*response, error) {
	list := []map[string]any{}
	for _, one := range page(p.Comments, c.r.URL.Query().Get("per_page"), c.r.URL.Query().Get("page")) {
		list = append(list, c.commentBody(p, one))
	}
	return &response{body: list}, nil
}

func (c *call) commentBody(p *pull, one Comment) map[string]any {
	number, id := strconv.Itoa(p.Number), strconv.FormatInt(one.ID, 10)
	return map[string]any{
		"id": one.ID, "node_id": nodeID("IC", c.repo.id, id), "user": c.account(one.User), "body": one.Body,
		"url": c.repoURL("issues", "comments", id), "issue_url": c.repoURL("issues", number),
		"html_url":   c.pageURL("pull", number) + "#issuecomment-" + id,
		"created_at": date(one.Created), "updated_at": date(one.Created), "author_association": "CONTRIBUTOR",
	}
}

func (c *call) issueBody(p *pull) map[string]any {
	number := strconv.Itoa(p.Number)
	self := c.repoURL("issues", number)
	body := map[string]any{
		"id": c.repo.id + int64(p.Number), "node_id": nodeID("PR", c.repo.id, number), "number": p.Number, "state": p.State,
		"title": p.Title, "body": orNil(p.Body), "user": c.account(p.User), "locked": false, "comments": len(p.Comments),
		"assignee": nil, "assignees": c.accounts(p.Assignees), "labels": c.labels(p.Labels), "milestone": nil,
		"url": self, "repository_url": c.repoURL(), "labels_url": self + "/labels{/name}", "comments_url": self + "/comments",
		"events_url": self + "/events", "html_url": c.pageURL("pull", number), "author_association": "CONTRIBUTOR",
		"created_at": date(p.Created), "updated_at": date(p.Updated), "closed_at": date(p.Closed),
	}
	if len(p.Assignees) > 0 {
		body["assignee"] = c.account(p.Assignees[0])
	}
	return body
}

// join adds what is new to a list.
func join(list, more []string) []string {
	for _, one := range more {
		if !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}
