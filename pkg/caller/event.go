package caller

import (
	"slices"
	"strings"
)

// refusedEvent returns a *ForbiddenError for a job whose event strangers can cause,
// unless the caller's claims name the event.
func refusedEvent(f Federated, c Claims) error {
	switch {
	case isGitHub(c):
		event := c.text("event_name")
		if _, own := f.Claims["event_name"]; own || slices.Contains(gitHubEvents, event) {
			return nil
		}
		return &ForbiddenError{Reason: "jobs of the event " + quoted(event) + " may run a stranger's code and are refused: call from " +
			strings.Join(gitHubEvents[:3], ", ") + " or another event of the repository itself, or let the caller's claims name event_name"}
	case isGitLab(c):
		event := c.text("pipeline_source")
		if _, own := f.Claims["pipeline_source"]; own || !slices.Contains(gitLabRefused, event) {
			return nil
		}
		return &ForbiddenError{Reason: "pipelines of " + quoted(event) + " may run a stranger's code and are refused: call from a branch's or tag's pipeline, or let the caller's claims name pipeline_source"}
	}
	return nil
}

// eventOf returns the name of the claim that says why the job runs, or "" where none does.
func eventOf(c Claims) string {
	switch {
	case isGitHub(c):
		return "event_name"
	case isGitLab(c):
		return "pipeline_source"
	}
	return ""
}

// sourceOf returns where the job runs, as far as the claims have it.
func sourceOf(c Claims) Source {
	switch {
	case isGitHub(c):
		return gitHubSource(c)
	case isGitLab(c):
		return gitLabSource(c)
	}
	return Source{}
}

// isGitHub reports whether the claims are those of a job of GitHub Actions, on
// github.com, in an enterprise or on a GitHub Enterprise Server.
func isGitHub(c Claims) bool {
	iss := c.text("iss")
	return strings.HasPrefix(iss, "https://token.actions.") || strings.HasSuffix(iss, "/_services/token") || c.text("event_name") != "" && c.text("repository") != ""
}

func isGitLab(c Claims) bool { return c.text("pipeline_source") != "" && c.text("project_path") != "" }

// quoted shortens a claim's text for an error.
func quoted(text string) string {
	const most = 40
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(clean) > most {
		clean = clean[:most] + "…"
	}
	return "'" + clean + "'"
}
