package sandbox

import "strings"

func getRepository(c *call) (*response, error) {
	body, err := c.repositoryBody(c.repo)
	return &response{body: body}, err
}

// repositoryBody has everything GitHub's description requires; what the
// embedded GitHub has no notion of is zero, null or an address that answers
// 501.
func (c *call) repositoryBody(repo *Repository) (map[string]any, error) {
	of := *c
	of.repo = repo
	return of.ownRepositoryBody()
}

func (c *call) ownRepositoryBody() (map[string]any, error) {
	owner, name, _ := strings.Cut(c.repo.Name(), "/")
	private, archived := c.repo.visibility()
	branch, err := c.repo.git.HeadBranch()
	if err != nil {
		return nil, err
	}
	created := c.repo.created.UTC().Format(dateFormat)
	page := c.pageURL()
	body := map[string]any{
		"id": c.repo.id, "node_id": nodeID("R", c.repo.id, ""), "name": name, "full_name": c.repo.Name(),
		"owner": c.account(owner), "private": private, "visibility": "public", "fork": false,
		"archived": archived, "disabled": false, "default_branch": branch, "description": nil,
		"html_url": page, "url": c.repoURL(), "clone_url": page + ".git", "svn_url": page,
		"git_url": "git:" + page[strings.Index(page, ":")+1:] + ".git", "ssh_url": "git@example.com:" + c.repo.Name() + ".git",
		"created_at": created, "updated_at": created, "pushed_at": created,
		"delete_branch_on_merge": c.repo.deletesBranches(), "homepage": nil, "language": nil, "license": nil, "mirror_url": nil, "topics": []string{},
	}
	if private {
		body["visibility"] = "private"
	}
	for _, count := range []string{
		"forks", "forks_count", "network_count", "open_issues", "open_issues_count", "size", "stargazers_count",
		"subscribers_count", "watchers", "watchers_count",
	} {
		body[count] = 0
	}
	for _, feature := range []string{"issues", "projects", "wiki", "pages", "discussions", "downloads"} {
		body["has_"+feature] = false
	}
	for field, path := range repositoryLinks() {
		body[field+"_url"] = c.repoURL() + path
	}
	if t := c.caller.token; t != nil {
		body["permissions"] = c.permissionsOf(t, archived)
	}
	return body, nil
}

func (c *call) permissionsOf(t *Token, archived bool) map[string]bool {
	reaches := t.reaches(c.repo)
	return map[string]bool{
		"admin":    reaches && t.Permissions.allow(need{"administration", Write}),
		"maintain": false,
		"push":     reaches && !archived && t.Permissions.allow(need{"contents", Write}),
		"triage":   false,
		"pull":     true,
	}
}

// repositoryLinks are the addresses below a repository, by the field's name
// without _url.
func repositoryLinks() map[string]string {
	return map[string]string{
		"archive": "/{archive_format}{/ref}", "assignees": "/assignees{/user}", "blobs": "/git/blobs{/sha}",
		"branches": "/branches{/branch}", "collaborators": "/collaborators{/collaborator}", "comments": "/comments{/number}",
		"commits": "/commits{/sha}", "compare": "/compare/{base}...{head}", "contents": "/contents/{+path}",
		"contributors": "/contributors", "deployments": "/deployments", "downloads": "/downloads", "events": "/events",
		"forks": "/forks", "git_commits": "/git/commits{/sha}", "git_refs": "/git/refs{/sha}", "git_tags": "/git/tags{/sha}",
		"hooks": "/hooks", "issue_comment": "/issues/comments{/number}", "issue_events": "/issues/events{/number}",
		"issues": "/issues{/number}", "keys": "/keys{/key_id}", "labels": "/labels{/name}", "languages": "/languages",
		"merges": "/merges", "milestones": "/milestones{/number}", "notifications": "/notifications{?since,all,participating}",
		"pulls": "/pulls{/number}", "releases": "/releases{/id}", "stargazers": "/stargazers", "statuses": "/statuses/{sha}",
		"subscribers": "/subscribers", "subscription": "/subscription", "tags": "/tags", "teams": "/teams", "trees": "/git/trees{/sha}",
	}
}
