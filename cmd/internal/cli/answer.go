package cli

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// These are the parts of the interface that are shown; openapi.yaml describes them.

// update is the outcome of an update, or its record.
type update struct {
	ID      string         `json:"id"`
	Status  string         `json:"status"`
	Image   string         `json:"image"`
	Version string         `json:"version"`
	Images  []imageVersion `json:"images"`
	Targets []target       `json:"targets"`
	LeftOut []struct {
		Image  string `json:"image"`
		Reason string `json:"reason"`
	} `json:"left_out"`
	HoldID        string    `json:"hold_id"`
	LastError     string    `json:"last_error"`
	NextAttemptAt time.Time `json:"next_attempt_at"`
}

type target struct {
	Name       string `json:"name"`
	Repository string `json:"repository"`
	Branch     string `json:"branch"`
	Status     string `json:"status"`
	Reason     string `json:"reason"`
	Commit     *struct {
		SHA string `json:"sha"`
		URL string `json:"url"`
	} `json:"commit"`
	PullRequest *struct {
		Number int    `json:"number"`
		URL    string `json:"url"`
	} `json:"pull_request"`
	Files []struct {
		Path    string   `json:"path"`
		Changes []change `json:"changes"`
	} `json:"files"`
	Skipped []struct {
		Path   string `json:"path"`
		Line   int    `json:"line"`
		Reason string `json:"reason"`
	} `json:"skipped"`
	MergedVersions []string    `json:"merged_versions"`
	Holds          []heldImage `json:"holds"`
	Diff           string      `json:"diff"`
	Problem        *problem    `json:"problem"`
}

type change struct {
	Image      string `json:"image"`
	Line       int    `json:"line"`
	From       string `json:"from"`
	To         string `json:"to"`
	FromDigest string `json:"from_digest"`
	ToDigest   string `json:"to_digest"`
}

// problem is why something failed (RFC 9457).
type problem struct {
	Status    int      `json:"status"`
	Code      string   `json:"code"`
	Title     string   `json:"title"`
	Detail    string   `json:"detail"`
	Reasons   []string `json:"reasons"`
	RequestID string   `json:"request_id"`
}

// pending reports whether the service still works on the update.
func (u update) pending() bool {
	return u.Status == "queued" || slices.ContainsFunc(u.Targets, func(t target) bool { return t.Status == "queued" })
}

// exitCode is the exit code for the outcome.
func (u update) exitCode() int {
	failures := map[int]bool{}
	others := 0
	for _, t := range u.Targets {
		if t.Status != "failed" {
			others++
			continue
		}
		code := exitRefused
		if t.Problem != nil {
			code = t.Problem.exitCode()
		}
		failures[code] = true
	}
	switch {
	case u.pending():
		return exitTimeout
	case slices.Contains([]string{"committed", "unchanged", "superseded", "held", "proposed", "planned"}, u.Status):
		return exitDone
	case u.Status != "failed":
		return exitFault
	case others == 0 && len(failures) == 1:
		for code := range failures {
			return code
		}
	case len(u.Targets) == 0:
		return exitRefused
	}
	return exitPartly
}

// exitCode is the exit code for a request that ended so.
func (p problem) exitCode() int {
	switch {
	case p.Code == "image_not_referenced":
		return exitUnreferenced
	case p.Status >= http.StatusInternalServerError, p.Status == http.StatusTooManyRequests:
		return exitAway
	}
	return exitRefused
}

// readProblem reads the problem of a reply that is none of success.
func readProblem(r reply) problem {
	var p problem
	if json.Unmarshal(r.body, &p) != nil || p.Code == "" {
		p = problem{Detail: "the answer is none of versions-service; check the URL of the service"}
	}
	p.Status = r.status
	return p
}
