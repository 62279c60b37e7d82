package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// GitHub's bounds, in characters.
const (
	maxTitle    = 256
	maxTextBody = 65536
)

// customError is a line of "errors" that has no field.
type customError struct {
	Resource string `json:"resource"`
	Code     string `json:"code"`
	Message  string `json:"message"`
}

func validationFailed(errs ...any) *refusal {
	r := invalid("Validation Failed")
	r.errors = errs
	return r
}

func ownerOf(fullName string) string {
	owner, _, _ := strings.Cut(fullName, "/")
	return owner
}

// withPull finds the pull request that the path names and runs handle under the
// store's lock.
func withPull(handle func(c *call, p *pull) (*response, error)) func(*call) (*response, error) {
	return func(c *call) (*response, error) {
		number, err := strconv.Atoi(c.r.PathValue("number"))
		if err != nil {
			return nil, notFound()
		}
		c.repo.pulls.mu.Lock()
		defer c.repo.pulls.mu.Unlock()
		p := c.repo.pulls.all[number]
		if p == nil {
			return nil, notFound()
		}
		if err := c.repo.settle(p); err != nil {
			return nil, err
		}
		return handle(c, p)
	}
}

func getPull(c *call, p *pull) (*response, error) {
	body, err := c.pullBody(p, true)
	return &response{body: body}, err
}

func listPulls(c *call) (*response, error) {
	c.repo.pulls.mu.Lock()
	defer c.repo.pulls.mu.Unlock()
	q := c.r.URL.Query()
	state := cmp.Or(q.Get("state"), pullOpen)
	var found []*pull
	for _, n := range slices.Sorted(maps.Keys(c.repo.pulls.all)) {
		p := c.repo.pulls.all[n]
		if err := c.repo.settle(p); err != nil {
			return nil, err
		}
		head := ownerOf(c.repo.Name()) + ":" + p.Head
		if state != "all" && p.State != state || q.Has("head") && !strings.EqualFold(q.Get("head"), head) ||
			q.Has("base") && q.Get("base") != p.Base {
			continue
		}
		found = append(found, p)
	}
	if q.Get("sort") == "updated" {
		slices.SortStableFunc(found, func(a, b *pull) int { return a.Updated.Compare(b.Updated) })
	}
	if cmp.Or(q.Get("direction"), "desc") == "desc" {
		slices.Reverse(found)
	}
	list := []map[string]any{}
	for _, p := range page(found, q.Get("per_page"), q.Get("page")) {
		body, err := c.pullBody(p, false)
		if err != nil {
			return nil, err
		}
		list = append(list, body)
	}
	return &response{body: list}, nil
}

// page is the part of a list that the caller asked for.
func page[T any](all []T, perPage, number string) []T {
	size, err := strconv.Atoi(perPage)
	if err != nil || size < 1 {
		size = 30
	}
	size = min(size, 100)
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		n = 1
	}
	from := min((n-1)*size, len(all))
	return all[from:min(from+size, len(all))]
}

func createPull(c *call) (*response, error) {
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	p := &pull{}
	head, err1 := f.text("head")
	base, err2 := f.text("base")
	draft, err3 := f.flag("draft")
	if err := errors.Join(err1, err2, err3, f.titleAndBody(p, true)); err != nil {
		return nil, err
	}
	owner := ownerOf(c.repo.Name())
	if who, branch, ok := strings.Cut(head, ":"); ok && strings.EqualFold(who, owner) {
		head = branch
	}
	p.Head, p.Base, p.Draft = head, base, draft
	c.repo.pulls.mu.Lock()
	defer c.repo.pulls.mu.Unlock()
	if err := c.checkNewPull(p); err != nil {
		return nil, err
	}
	c.repo.addPull(p, c.caller.login())
	body, err := c.pullBody(p, true)
	return &response{status: http.StatusCreated, body: body, location: c.repoURL("pulls", strconv.Itoa(p.Number))}, err
}

// addPull gives the pull request its number.
func (r *Repository) addPull(p *pull, login string) {
	if r.pulls.all == nil {
		r.pulls.all = map[int]*pull{}
	}
	r.pulls.last++
	p.Number, p.State, p.User = r.pulls.last, pullOpen, login
	p.Created = r.clock()
	p.Updated = p.Created
	r.pulls.all[p.Number] = p
}

// titleAndBody takes over what the request has of both.
func (f fields) titleAndBody(p *pull, required bool) error {
	if v, ok := f["body"]; ok && v != nil {
		body, err := f.text("body")
		if err != nil {
			return err
		}
		p.Body = body
	}
	if _, ok := f["title"]; ok || required {
		if !ok {
			return validationFailed(fieldError{Resource: "Issue", Code: "missing_field", Field: "title"})
		}
		title, err := f.text("title")
		if err != nil {
			return err
		}
		if strings.TrimSpace(title) == "" {
			return validationFailed(fieldError{Resource: "Issue", Code: "missing_field", Field: "title"})
		}
		p.Title = title
	}
	for _, of := range []struct {
		name, text string
		most       int
	}{{"title", p.Title, maxTitle}, {"body", p.Body, maxTextBody}} {
		if len([]rune(of.text)) > of.most {
			return validationFailed(fieldError{
				Resource: "Issue", Code: "custom", Field: of.name,
				Message: fmt.Sprintf("%s is too long (maximum is %d characters)", of.name, of.most),
			})
		}
	}
	return nil
}

// checkNewPull refuses a pull request that GitHub would not open.
func (c *call) checkNewPull(p *pull) error {
	var unknown []any
	for _, side := range []struct {
		field, branch string
		hash          *bare.Hash
	}{{"base", p.Base, &p.baseHash}, {"head", p.Head, &p.headHash}} {
		h, err := c.repo.head(side.branch)
		if err != nil {
			unknown = append(unknown, fieldError{Resource: "PullRequest", Field: side.field, Code: "invalid"})
		}
		*side.hash = h
	}
	if len(unknown) > 0 {
		return validationFailed(unknown...)
	}
	if c.repo.openFor(p.Head, p.Base) != nil {
		return validationFailed(customError{
			"PullRequest", "custom", fmt.Sprintf("A pull request already exists for %s:%s.", ownerOf(c.repo.Name()), p.Head),
		})
	}
	compared, err := c.repo.git.Compare(p.baseHash, p.headHash)
	switch {
	case err != nil:
		return err
	case compared.MergeBase.IsZero():
		return validationFailed(customError{"PullRequest", "custom", fmt.Sprintf("The %s branch has no history in common with %s", p.Head, p.Base)})
	case len(compared.Ahead) == 0:
		return validationFailed(customError{"PullRequest", "custom", fmt.Sprintf("No commits between %s and %s", p.Base, p.Head)})
	case p.Draft && c.repo.pulls.noDrafts:
		return invalid("Draft pull requests are not supported in this repository.")
	}
	return nil
}

func updatePull(c *call, p *pull) (*response, error) {
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	next := &pull{PullRequest: p.PullRequest}
	state, err := f.textOr("state", p.State)
	if err := errors.Join(err, f.titleAndBody(next, false)); err != nil {
		return nil, err
	}
	if v, ok := f["body"]; ok && v == nil {
		next.Body = ""
	}
	if next.Title != p.Title || next.Body != p.Body {
		p.Title, p.Body, p.Updated = next.Title, next.Body, c.repo.clock()
	}
	switch state {
	case p.State:
	case pullClosed:
		c.repo.closePull(p)
	case pullOpen:
		if why := c.repo.reopen(p); why != "" {
			return nil, validationFailed(fieldError{Resource: "PullRequest", Code: "invalid", Field: "state", Message: why})
		}
	default:
		return nil, validationFailed(fieldError{Resource: "PullRequest", Code: "invalid", Field: "state"})
	}
	return getPull(c, p)
}
