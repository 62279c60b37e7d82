package sandbox

import (
	"fmt"
	"net/http"
)

// listCommits lists a commit and its ancestors as git log does without options: of the
// commits whose children were listed, or that have none, the youngest first.
func listCommits(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	q := c.r.URL.Query()
	for _, filter := range []string{"path", "author", "committer", "since", "until"} {
		if q.Get(filter) != "" {
			return nil, &refusal{
				status: http.StatusNotImplemented, doc: docsRoot,
				message: fmt.Sprintf("The embedded GitHub cannot filter commits by %s. The real one can: this is a gap of the embedded one.", filter),
			}
		}
	}
	name := q.Get("sha")
	if name == "" {
		name = c.repo.defaultBranch()
	}
	from, err := c.readRevision(name)
	if err != nil {
		return nil, notFound()
	}
	hashes, err := c.repo.git.ByDate(from)
	if err != nil {
		return nil, err
	}
	body := []branchCommitJSON{}
	for _, h := range page(hashes, q.Get("per_page"), q.Get("page")) {
		commit, err := c.branchCommitJSON(h)
		if err != nil {
			return nil, err
		}
		body = append(body, commit)
	}
	return &response{body: body}, nil
}
