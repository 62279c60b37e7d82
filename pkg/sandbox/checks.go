package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// Check is what a job says of a commit: as a commit status, or as a check run.
type Check struct {
	Name string
	// State is pending, success, failure or error.
	State string
	// Run reports a check run in place of a status.
	Run bool
	At  time.Time
}

// SetCheck sets a status, or with run a check run, of a commit, in place of the one
// of that name.
func (r *Repository) SetCheck(sha, name, state string, run bool) {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	r.setCheck(sha, Check{Name: name, State: state, Run: run, At: r.clock()})
}

func (r *Repository) setCheck(sha string, k Check) {
	if r.pulls.checks == nil {
		r.pulls.checks = map[string]map[string]Check{}
	}
	if r.pulls.checks[sha] == nil {
		r.pulls.checks[sha] = map[string]Check{}
	}
	r.pulls.checks[sha][k.Name] = k
}

// checksOf returns those of a commit, sorted by name. r.pulls.mu is held.
func (r *Repository) checksOf(sha string) []Check {
	return slices.SortedFunc(maps.Values(r.pulls.checks[sha]), func(a, b Check) int { return cmp.Compare(a.Name, b.Name) })
}

func createStatus(c *call) (*response, error) {
	h, ok := bare.ParseHash(c.r.PathValue("sha"))
	if !ok {
		return nil, invalid("Sha is not a 40 character SHA1 hash")
	}
	if _, err := c.repo.git.Commit(h); err != nil {
		return nil, invalid("No commit found for SHA: %s", h)
	}
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	state, err := f.text("state")
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"pending", "success", "failure", "error"}, state) {
		return nil, validationFailed(fieldError{Resource: "Status", Code: "custom", Field: "state", Message: "state is not included in the list"})
	}
	name, err := f.textOr("context", "default")
	if err != nil {
		return nil, err
	}
	k := Check{Name: name, State: state, At: c.start}
	c.repo.pulls.mu.Lock()
	defer c.repo.pulls.mu.Unlock()
	c.repo.setCheck(h.String(), k)
	body := c.statusBody(h, k)
	body["creator"] = c.account(c.caller.login())
	return &response{status: http.StatusCreated, body: body}, nil
}

func (c *call) statusBody(h bare.Hash, k Check) map[string]any {
	id := userID(h.String() + k.Name)
	return map[string]any{
		"id": id, "node_id": nodeID("SC", id, k.Name), "url": c.repoURL("statuses", h.String()), "avatar_url": nil,
		"state": k.State, "context": k.Name, "description": nil, "target_url": nil,
		"created_at": date(k.At), "updated_at": date(k.At),
	}
}

// getCombinedStatus tells what all statuses of a commit come to. Check runs are none.
func getCombinedStatus(c *call) (*response, error) {
	h, err := c.repo.resolve(c.r.PathValue("ref"))
	if err != nil {
		return nil, notFound()
	}
	repo, err := c.repositoryBody(c.repo)
	if err != nil {
		return nil, err
	}
	c.repo.pulls.mu.Lock()
	defer c.repo.pulls.mu.Unlock()
	list := []map[string]any{}
	state := "pending"
	for _, k := range c.repo.checksOf(h.String()) {
		if k.Run {
			continue
		}
		if len(list) == 0 {
			state = "success"
		}
		switch {
		case k.State == "failure" || k.State == "error":
			state = "failure"
		case k.State == "pending" && state == "success":
			state = "pending"
		}
		list = append(list, c.statusBody(h, k))
	}
	return &response{body: map[string]any{
		"state": state, "sha": h.String(), "total_count": len(list), "statuses": list, "repository": repo,
		"commit_url": c.repoURL("commits", h.String()), "url": c.repoURL("commits", h.String(), "status"),
	}}, nil
}

func listCheckRuns(c *call) (*response, error) {
	h, err := c.repo.resolve(c.r.PathValue("ref"))
	if err != nil {
		return nil, invalid("No commit found for SHA: %s", c.r.PathValue("ref"))
	}
	c.repo.pulls.mu.Lock()
	defer c.repo.pulls.mu.Unlock()
	list := []map[string]any{}
	for _, k := range c.repo.checksOf(h.String()) {
		if k.Run {
			list = append(list, c.checkRunBody(h, k))
		}
	}
	return &response{body: map[string]any{"total_count": len(list), "check_runs": list}}, nil
}

func (c *call) checkRunBody(h bare.Hash, k Check) map[string]any {
	id := userID(h.String() + k.Name)
	self := c.repoURL("check-runs", strconv.FormatInt(id, 10))
	body := map[string]any{
		"id": id, "node_id": nodeID("CR", id, k.Name), "head_sha": h.String(), "name": k.Name, "status": "completed",
		"conclusion": k.State, "started_at": date(k.At), "completed_at": date(k.At), "external_id": "", "url": self,
		"html_url": c.pageURL("runs", strconv.FormatInt(id, 10)), "details_url": nil, "app": nil, "check_suite": nil,
		"pull_requests": []any{},
		"output":        map[string]any{"title": nil, "summary": nil, "text": nil, "annotations_count": 0, "annotations_url": self + "/annotations"},
	}
	if k.State == "pending" {
		body["status"], body["conclusion"], body["completed_at"] = "in_progress", nil, nil
	}
	return body
}

// unmetRule is GitHub's text when a rule of the base keeps a pull request from being
// merged, and empty when none does. r.pulls.mu is held.
func (r *Repository) unmetRule(p *pull) string {
	rules, ok := r.protection("refs/heads/" + p.Base)
	if !ok {
		return ""
	}
	text := ""
	checks := r.pulls.checks[p.headHash.String()]
	for _, name := range rules.Checks {
		switch state := checks[name].State; state {
		case "success":
			continue
		case "":
			text = fmt.Sprintf("Required status check %q is expected.", name)
		case "pending":
			text = fmt.Sprintf("Required status check %q is in progress.", name)
		default:
			text = fmt.Sprintf("Required status check %q is failing.", name)
		}
		break
	}
	if missing := rules.Reviews - len(p.Approvals); text == "" && missing > 0 {
		text = fmt.Sprintf("At least %d approving review%s required by reviewers with write access.", rules.Reviews, verb(rules.Reviews))
	}
	if text != "" && rules.Ruleset {
		text = "Repository rule violations found\n\n" + text + "\n\n"
	}
	return text
}

func verb(n int) string {
	if n == 1 {
		return " is"
	}
	return "s are"
}

// mergeableState is GitHub's word for what stands between a pull request and its merge.
func (r *Repository) mergeableState(p *pull, conflict bool) string {
	switch {
	case conflict:
		return "dirty"
	case p.Draft:
		return "draft"
	case r.unmetRule(p) != "":
		return "blocked"
	}
	return "clean"
}
