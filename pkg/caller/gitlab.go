package caller

import "net/url"

// gitLabRefused are the sources of pipelines that run a stranger's code.
// https://docs.gitlab.com/ci/secrets/id_token_authentication/
var gitLabRefused = []string{"merge_request_event", "external_pull_request_event"}

// gitLabSource is the job of a GitLab pipeline.
func gitLabSource(c Claims) Source {
	s := Source{Repository: c.text("project_path"), Revision: c.text("sha")}
	if job := c.text("job_id"); job != "" && s.Repository != "" {
		s.URL = c.text("iss") + "/" + s.Repository + "/-/jobs/" + url.PathEscape(job)
	}
	return s
}
