package sandbox

import (
	"errors"
	"strconv"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// pullBody is a pull request as lists have it; with full as it is by itself.
func (c *call) pullBody(p *pull, full bool) (map[string]any, error) {
	repo, err := c.repositoryBody(c.repo)
	if err != nil {
		return nil, err
	}
	number := strconv.Itoa(p.Number)
	self, issue, page := c.repoURL("pulls", number), c.repoURL("issues", number), c.pageURL("pull", number)
	owner := ownerOf(c.repo.Name())
	side := func(branch string, h bare.Hash) map[string]any {
		return map[string]any{"label": owner + ":" + branch, "ref": branch, "sha": h.String(), "user": c.account(owner), "repo": repo}
	}
	statuses := c.repoURL("statuses", p.headHash.String())
	body := map[string]any{
		"id": c.repo.id + int64(p.Number), "node_id": nodeID("PR", c.repo.id, number), "number": p.Number, "state": p.State,
		"locked": false, "title": p.Title, "body": orNil(p.Body), "user": c.account(p.User), "draft": p.Draft,
		"url": self, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch", "issue_url": issue,
		"commits_url": self + "/commits", "comments_url": issue + "/comments", "review_comments_url": self + "/comments",
		"review_comment_url": self + "/comments{/number}", "statuses_url": statuses,
		"created_at": date(p.Created), "updated_at": date(p.Updated), "closed_at": date(p.Closed), "merged_at": nil,
		"merge_commit_sha": orNil(p.MergeSHA), "assignee": nil, "assignees": c.accounts(p.Assignees),
		"requested_reviewers": c.accounts(p.Reviewers), "requested_teams": c.teams(p.Teams), "labels": c.labels(p.Labels),
		"milestone": nil, "author_association": "CONTRIBUTOR", "auto_merge": nil, "active_lock_reason": nil,
		"head": side(p.Head, p.headHash), "base": side(p.Base, p.baseHash),
		"_links": links(map[string]string{
			"self": self, "html": page, "issue": issue, "comments": issue + "/comments", "review_comments": self + "/comments",
			"review_comment": self + "/comments{/number}", "commits": self + "/commits", "statuses": statuses,
		}),
	}
	if len(p.Assignees) > 0 {
		body["assignee"] = c.account(p.Assignees[0])
	}
	if p.Merged {
		body["merged_at"] = date(p.Closed)
	}
	if full {
		return body, c.addFull(body, p)
	}
	return body, nil
}

// addFull adds what only a single pull request tells.
func (c *call) addFull(body map[string]any, p *pull) error {
	compared, err := c.repo.git.Compare(p.baseHash, p.headHash)
	if err != nil {
		return err
	}
	changed, err := c.repo.git.Diff(compared.MergeBase, p.headHash)
	if err != nil {
		return err
	}
	var mergeable any
	state := "unknown"
	if p.State == pullOpen {
		_, err := c.repo.mergedTree(p)
		if err != nil && !errors.Is(err, bare.ErrConflict) {
			return err
		}
		mergeable, state = err == nil, c.repo.mergeableState(p, err != nil)
	}
	body["merged"], body["merged_by"] = p.Merged, nil
	if p.Merged && p.MergedBy != "" {
		body["merged_by"] = c.account(p.MergedBy)
	}
	body["mergeable"], body["mergeable_state"], body["rebaseable"] = mergeable, state, mergeable
	body["comments"], body["review_comments"], body["commits"] = len(p.Comments), 0, len(compared.Ahead)
	body["additions"], body["deletions"], body["changed_files"] = 0, 0, len(changed)
	body["maintainer_can_modify"] = false
	return nil
}

func links(to map[string]string) map[string]any {
	out := map[string]any{}
	for name, address := range to {
		out[name] = map[string]string{"href": address}
	}
	return out
}

func (c *call) accounts(logins []string) []map[string]any {
	out := []map[string]any{}
	for _, login := range logins {
		out = append(out, c.account(login))
	}
	return out
}

func (c *call) teams(slugs []string) []map[string]any {
	out := []map[string]any{}
	owner := ownerOf(c.repo.Name())
	for _, slug := range slugs {
		id := userID("team " + slug)
		self := c.apiURL("orgs", owner, "teams", slug)
		out = append(out, map[string]any{
			"id": id, "node_id": nodeID("T", id, slug), "name": slug, "slug": slug, "description": nil, "privacy": "closed",
			"permission": "push", "parent": nil, "url": self, "members_url": self + "/members{/member}", "repositories_url": self + "/repos",
			"html_url": c.bases().pages + "/" + escapePath([]string{"orgs", owner, "teams", slug}),
			"type":     "organization", "organization_id": userID(owner),
		})
	}
	return out
}

func (c *call) labels(names []string) []map[string]any {
	out := []map[string]any{}
	for _, name := range names {
		id := userID("label " + name)
		out = append(out, map[string]any{
			"id": id, "node_id": nodeID("LA", id, name), "url": c.repoURL("labels", name), "name": name,
			"description": nil, "color": "ededed", "default": false,
		})
	}
	return out
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func date(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(dateFormat)
}
