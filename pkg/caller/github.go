package caller

import (
	"net/url"
	"strings"
)

// gitHubEvents are the events whose jobs run the repository's own code. A job for a
// pull request may run a fork's code, and its token still names the repository.
// https://docs.github.com/en/actions/reference/security/oidc
var gitHubEvents = []string{
	"push", "release", "create", "schedule", "workflow_dispatch", "repository_dispatch", "merge_group", "deployment",
}

// gitHubSource is the run of a job of GitHub Actions.
func gitHubSource(c Claims) Source {
	s := Source{Repository: c.text("repository"), Revision: c.text("sha")}
	if server, run := gitHubServer(c.text("iss")), c.text("run_id"); server != "" && run != "" && s.Repository != "" {
		s.URL = server + "/" + s.Repository + "/actions/runs/" + url.PathEscape(run)
	}
	return s
}

// gitHubServer returns where people read what runs under the issuer, or "" when that is not
// known. An enterprise may have an issuer of its own, github.com's with its name behind; one
// with data residency has it beside SUBDOMAIN.ghe.com, and an Enterprise Server on its host.
func gitHubServer(iss string) string {
	if iss == IssuerGitHub || strings.HasPrefix(iss, IssuerGitHub+"/") {
		return "https://github.com"
	}
	u, err := url.Parse(iss)
	if err != nil {
		return ""
	}
	if host, ok := strings.CutPrefix(u.Host, "token.actions."); ok && strings.HasSuffix(host, ".ghe.com") {
		return "https://" + host
	}
	if u.Path == "/_services/token" {
		return u.Scheme + "://" + u.Host
	}
	return ""
}
