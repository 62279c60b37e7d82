package cli

import (
	"net/url"
	"strings"
	"unicode"
)

// source is where a version came from, for the trailers of the commit.
type source struct {
	Repository string `json:"repository,omitempty"`
	Revision   string `json:"revision,omitempty"`
	URL        string `json:"url,omitempty"`
}

// sourceOf reads the variables of GitHub Actions, GitLab CI and Jenkins. What the
// interface would not take is left out: no update fails because of it.
func sourceOf(env map[string]string) *source {
	var s source
	switch {
	case env["GITHUB_RUN_ID"] != "":
		s = source{Repository: env["GITHUB_REPOSITORY"], Revision: env["GITHUB_SHA"]}
		if env["GITHUB_SERVER_URL"] != "" && s.Repository != "" {
			s.URL = env["GITHUB_SERVER_URL"] + "/" + s.Repository + "/actions/runs/" + env["GITHUB_RUN_ID"]
		}
	case env["CI_JOB_ID"] != "" || env["CI_PIPELINE_ID"] != "":
		s = source{Repository: env["CI_PROJECT_PATH"], Revision: env["CI_COMMIT_SHA"], URL: env["CI_JOB_URL"]}
		if s.URL == "" {
			s.URL = env["CI_PIPELINE_URL"]
		}
	case env["BUILD_TAG"] != "":
		s = source{Revision: env["GIT_COMMIT"], URL: env["BUILD_URL"]}
	}
	const most, mostURL = 255, 2048
	for _, field := range []*string{&s.Repository, &s.Revision} {
		if len(*field) > most || strings.ContainsFunc(*field, notPrintable) {
			*field = ""
		}
	}
	if u, err := url.Parse(s.URL); err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" ||
		len(s.URL) > mostURL || strings.ContainsFunc(s.URL, func(r rune) bool { return r == ' ' || notPrintable(r) }) {
		s.URL = ""
	}
	if s == (source{}) {
		return nil
	}
	return &s
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }
