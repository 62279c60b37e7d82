package config

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// PullRequest says what the pull requests of a target are like. Its zero value is that of a
// target that says nothing of them.
type PullRequest struct {
	// Group is "image" or "target": what shares a pull request. Empty means image.
	Group string
	// Prefix begins the names of the branches; empty means versions/.
	Prefix string
	// Title and Body are templates; zero means the service's own.
	Title, Body Message
	// Labels, Reviewers, Teams and Assignees are added to each new one.
	Labels, Reviewers, Teams, Assignees []string
	Draft                               bool
	// WhenReady reports whether GitHub is to merge it: merge: when_ready in the file.
	WhenReady bool
	// Method is "squash", "merge" or "rebase". Empty means squash.
	Method string
	// Timeout is how long a merge is tried; zero means a day.
	Timeout time.Duration
}

// GitHub takes at most so many of each, and so long names.
const (
	maxLabels    = 20
	maxReviewers = 15
	maxAssignees = 10
	maxLabelName = 50
	maxPrefix    = 100

	minMergeTimeout = time.Minute
	maxMergeTimeout = 30 * 24 * time.Hour
)

var (
	loginPattern = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?(?:\[bot\])?$`)
	teamPattern  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)
)

func (p *PullRequest) read(v value) {
	v.object(
		field{name: "group", read: parsed(&p.Group, oneOf("image", "target"))},
		field{name: "branch_prefix", read: parsed(&p.Prefix, branchPrefix)},
		field{name: "title", read: parsed(&p.Title, title)},
		field{name: "body", read: parsed(&p.Body, ParseMessage)},
		field{name: "labels", read: bounded(&p.Labels, maxLabels, label)},
		field{name: "reviewers", read: bounded(&p.Reviewers, maxReviewers, login)},
		field{name: "team_reviewers", read: bounded(&p.Teams, maxReviewers, team)},
		field{name: "assignees", read: bounded(&p.Assignees, maxAssignees, login)},
		field{name: "draft", read: boolean(&p.Draft)},
		field{name: "merge", read: func(v value) {
			merge := ""
			parsed(&merge, oneOf("never", "when_ready"))(v)
			p.WhenReady = merge == "when_ready"
		}},
		field{name: "method", read: parsed(&p.Method, oneOf("squash", "merge", "rebase"))},
		field{name: "merge_timeout", read: duration(&p.Timeout, minMergeTimeout, maxMergeTimeout)},
	)
}

// bounded reads a list of at most most different names.
func bounded(into *[]string, most int, parse func(string) (string, error)) func(value) {
	return func(v value) {
		list(into, each(parse))(v)
		if len(*into) > most {
			v.refuse("has %d entries: at most %d are taken", len(*into), most)
			*into = nil
			return
		}
		seen := make(map[string]bool, len(*into))
		for _, name := range *into {
			fold := strings.ToLower(name)
			if name != "" && seen[fold] {
				v.refuse("has %s twice", quote(name))
				return
			}
			seen[fold] = true
		}
	}
}

// oneOf accepts one of some words.
func oneOf(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		for _, word := range words {
			if text == word {
				return text, nil
			}
		}
		return "", fmt.Errorf("%s is not one of %s", quote(text), strings.Join(words, ", "))
	}
}

func branchPrefix(text string) (string, error) {
	if _, err := branch(text + "x"); err != nil || len(text) > maxPrefix {
		return "", fmt.Errorf("%s cannot begin the name of a branch, such as versions/", quote(text))
	}
	return text, nil
}

// title accepts a template of one line.
func title(text string) (Message, error) {
	m, err := ParseMessage(text)
	if err == nil && strings.Contains(m.template, "\n") {
		return Message{}, fmt.Errorf("the title has more than one line")
	}
	return m, err
}

func label(text string) (string, error) {
	if utf8.RuneCountInString(text) > maxLabelName || hasControl(text) || strings.Contains(text, ",") {
		return "", fmt.Errorf("%s is no label: up to %d characters on one line, without a comma", quote(text), maxLabelName)
	}
	return text, nil
}

func login(text string) (string, error) {
	if !loginPattern.MatchString(text) {
		return "", fmt.Errorf("%s is not the name of an account, without @", quote(text))
	}
	return text, nil
}

func team(text string) (string, error) {
	if !teamPattern.MatchString(text) {
		return "", fmt.Errorf("%s is not the short name of a team, without @ and organization", quote(text))
	}
	return text, nil
}
