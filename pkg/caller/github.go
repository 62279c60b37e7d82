package caller

import "net/url"

// gitHubEvents are those whose jobs run code of the repository itself, with its
// rights. Jobs for a pull request run a stranger's code, and say of a fork's that it
// is the repository's.
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
