package sandbox

import (
	"errors"
	"net/http"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// userJSON is an account, as far as anybody looks.
type userJSON struct {
	Login   string `json:"login"`
	ID      int64  `json:"id"`
	NodeID  string `json:"node_id"`
	URL     string `json:"url"`
	HTMLURL string `json:"html_url"`
	Type    string `json:"type"`
}

func (c *call) userJSON(login string) userJSON {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	id := userID(login)
	return userJSON{login, id, nodeID("U", id, login), c.apiURL("users", login), c.bases().pages + "/" + login, kind}
}

type repositoryJSON struct {
	ID            int64           `json:"id"`
	NodeID        string          `json:"node_id"`
	Name          string          `json:"name"`
	FullName      string          `json:"full_name"`
	Private       bool            `json:"private"`
	Owner         userJSON        `json:"owner"`
	HTMLURL       string          `json:"html_url"`
	URL           string          `json:"url"`
	Fork          bool            `json:"fork"`
	Archived      bool            `json:"archived"`
	Disabled      bool            `json:"disabled"`
	Visibility    string          `json:"visibility"`
	DefaultBranch string          `json:"default_branch"`
	Permissions   map[string]bool `json:"permissions,omitempty"`
}

func getRepository(c *call) (*answer, error) {
	owner, name, _ := strings.Cut(c.repo.Name(), "/")
	private, archived := c.repo.visibility()
	branch, err := c.repo.git.HeadBranch()
	if err != nil {
		return nil, err
	}
	body := repositoryJSON{
		ID: c.repo.id, NodeID: nodeID("R", c.repo.id, ""), Name: name, FullName: c.repo.Name(),
		Private: private, Archived: archived, Visibility: "public", DefaultBranch: branch,
		Owner: c.userJSON(owner), HTMLURL: c.pageURL(), URL: c.repoURL(),
	}
	if private {
		body.Visibility = "private"
	}
	if t := c.caller.token; t != nil {
		reaches := t.reaches(c.repo)
		body.Permissions = map[string]bool{
			"admin": reaches && t.Permissions.allow(need{"administration", Write}), "maintain": false,
			"push": reaches && !archived && t.Permissions.allow(need{"contents", Write}), "triage": false, "pull": true,
		}
	}
	return &answer{body: body}, nil
}

// branchCommitJSON is a commit of the repository, as opposed to one of git: it
// has the git one inside.
type branchCommitJSON struct {
	SHA         string        `json:"sha"`
	NodeID      string        `json:"node_id"`
	Commit      gitCommitJSON `json:"commit"`
	URL         string        `json:"url"`
	HTMLURL     string        `json:"html_url"`
	CommentsURL string        `json:"comments_url"`
	Author      *userJSON     `json:"author"`
	Committer   *userJSON     `json:"committer"`
	Parents     []shaJSON     `json:"parents"`
}

type gitCommitJSON struct {
	Author       personJSON       `json:"author"`
	Committer    personJSON       `json:"committer"`
	Message      string           `json:"message"`
	Tree         *shaJSON         `json:"tree,omitempty"`
	URL          string           `json:"url"`
	CommentCount int              `json:"comment_count"`
	Verification verificationJSON `json:"verification"`
}

type branchJSON struct {
	Name          string            `json:"name"`
	Commit        branchCommitJSON  `json:"commit"`
	Links         map[string]string `json:"_links"`
	Protected     bool              `json:"protected"`
	Protection    map[string]any    `json:"protection"`
	ProtectionURL string            `json:"protection_url"`
}

func (c *call) branchCommitJSON(h bare.Hash) (branchCommitJSON, error) {
	commit, err := c.repo.git.Commit(h)
	if err != nil {
		return branchCommitJSON{}, err
	}
	sha, git := h.String(), c.commitJSON(h, commit)
	body := branchCommitJSON{
		SHA: sha, NodeID: git.NodeID,
		Commit: gitCommitJSON{
			Author: git.Author, Committer: git.Committer, Message: git.Message,
			Tree: &git.Tree, URL: git.URL, Verification: git.Verification,
		},
		URL: c.repoURL("commits", sha), HTMLURL: git.HTMLURL, CommentsURL: c.repoURL("commits", sha, "comments"),
		Parents: git.Parents,
	}
	for i, p := range commit.Parents {
		body.Parents[i].URL = c.repoURL("commits", p.String())
	}
	return body, nil
}

func getBranch(c *call) (*answer, error) {
	if c.set.NoBranches {
		return nil, notFound()
	}
	name := c.r.PathValue("branch")
	h, err := c.readRef("refs/heads/" + name)
	var unknown *refusal
	if errors.Is(err, bare.ErrNoRef) || errors.As(err, &unknown) {
		return nil, refuse(http.StatusNotFound, "Branch not found")
	}
	if err != nil {
		return nil, err
	}
	commit, err := c.branchCommitJSON(h)
	if err != nil {
		return nil, err
	}
	if c.set.BranchWithoutTree {
		commit.Commit.Tree = nil
	}
	_, protected := c.repo.protection("refs/heads/" + name)
	self := c.repoURL("branches", name)
	return &answer{body: branchJSON{
		Name: name, Commit: commit,
		Links:     map[string]string{"self": self, "html": c.pageURL("tree", name)},
		Protected: protected,
		Protection: map[string]any{
			"enabled":                protected,
			"required_status_checks": map[string]any{"enforcement_level": "off", "contexts": []string{}, "checks": []string{}},
		},
		ProtectionURL: self + "/protection",
	}}, nil
}
