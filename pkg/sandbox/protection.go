package sandbox

import (
	"net/http"
	"strings"
)

// Protection keeps a branch from being moved through the API. The zero value
// is the classic kind that wants a review.
type Protection struct {
	// Ruleset selects the newer kind, which GET rules/branches lists and whose messages
	// differ.
	Ruleset bool `json:"ruleset"`
	// Message is the refusal's text; empty means GitHub's most usual one.
	Message string `json:"message,omitempty"`
	// Status is 422, which is seen, unless it says otherwise.
	Status int `json:"status,omitempty"`

	// Checks, by name, and Reviews that approve are what a pull request needs to be
	// merged. Both are judged when the merge runs.
	Checks  []string `json:"checks,omitempty"`
	Reviews int      `json:"reviews,omitempty"`
	// Queue, when it is set, is the merge queue that merges go through.
	Queue *MergeQueue `json:"queue,omitempty"`
}

// The usual texts of both kinds.
const (
	classicText = "At least 1 approving review is required by reviewers with write access."
	rulesetText = "Repository rule violations found\n\nChanges must be made through a pull request.\n\n"
	lockedText  = "Cannot change this locked branch"
	secretText  = "Repository rule violations found\n\nSecret detected in content\n\n"
	classicDoc  = "https://docs.github.com/articles/about-protected-branches"
	rulesetDoc  = docsRoot + "/git/refs#update-a-reference"
)

func (p Protection) refusal() *refusal {
	r := &refusal{status: http.StatusUnprocessableEntity, message: classicText, doc: classicDoc}
	if p.Ruleset {
		r.message, r.doc = rulesetText, rulesetDoc
	}
	if p.Message != "" {
		r.message = p.Message
	}
	if p.Status != 0 {
		r.status = p.Status
	}
	return r
}

// Protect puts a branch under protection, in place of any it had.
func (r *Repository) Protect(branch string, p Protection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules[branch] = p
}

// Unprotect takes the protection away.
func (r *Repository) Unprotect(branch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rules, branch)
}

// protection finds the one of a reference's full name.
func (r *Repository) protection(ref string) (Protection, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, ok := r.rules[strings.TrimPrefix(ref, "refs/heads/")]
	return p, ok
}

type ruleJSON struct {
	Type              string         `json:"type"`
	RulesetSourceType string         `json:"ruleset_source_type"`
	RulesetSource     string         `json:"ruleset_source"`
	RulesetID         int            `json:"ruleset_id"`
	Parameters        map[string]any `json:"parameters,omitempty"`
}

// getBranchRules lists rulesets only; classic protection is none of its
// business, as on GitHub.
func getBranchRules(c *call) (*response, error) {
	rules := []ruleJSON{}
	if p, ok := c.repo.protection("refs/heads/" + c.r.PathValue("branch")); ok && p.Ruleset {
		rules = append(rules, ruleJSON{
			Type: "pull_request", RulesetSourceType: "Repository", RulesetSource: c.repo.Name(), RulesetID: 42,
			Parameters: map[string]any{
				"required_approving_review_count": 1, "dismiss_stale_reviews_on_push": false,
				"require_code_owner_review": false, "require_last_push_approval": false,
				"required_review_thread_resolution": false,
			},
		})
	}
	return &response{body: rules}, nil
}
