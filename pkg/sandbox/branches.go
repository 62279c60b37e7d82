package sandbox

import (
	"errors"
	"net/http"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// branchCommitJSON is a commit of the repository, as opposed to one of git: it
// has the git one inside.
type branchCommitJSON struct {
	SHA         string        `json:"sha"`
	NodeID      string        `json:"node_id"`
	Commit      gitCommitJSON `json:"commit"`
	URL         string        `json:"url"`
	HTMLURL     string        `json:"html_url"`
	CommentsURL string        `json:"comments_url"`
	Author      *struct{}     `json:"author"` // null: mail addresses belong to no account here
	Committer   *struct{}     `json:"committer"`
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

func getBranch(c *call) (*response, error) {
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
	return &response{body: branchJSON{
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
