package caller

import "net/url"

// gitHubEvents are the events whose jobs run the repository's own code. A job for a
// pull request may run a fork's code, and its token still names the repository.
// https://docs.github.com/en/actions/reference/security/oidc
var gitHubEvents = []string{
	"push", "release", "create", "schedule", "workflow_dispatch", "repository_dispatch", "merge_group", "deployment",
}

// gitHubSource is the run of a job of GitHub Actions; a GitHub Enterprise Server
// has its issuer on its own host.
func gitHubSource(c Claims) Source {
	s := Source{Repository: c.text("repository"), Revision: c.text("sha")}
	server := "https://github.com"
	if iss := c.text("iss"); iss != IssuerGitHub {
		u, err := url.Parse(iss)
		if err != nil || u.Path != "/_services/token" {
			return s
		}
		server = u.Scheme + "://" + u.Host
	}
	if run := c.text("run_id"); run != "" && s.Repository != "" {
		s.URL = server + "/" + s.Repository + "/actions/runs/" + url.PathEscape(run)
	}
	return s
}
