package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// answer is a finished response, as it can be sent, stored and sent again.
type answer struct {
	status   int
	location string
	applied  string // the preference that was followed
	again    bool   // a part of it failed by what may be over soon
	body     []byte
}

// newAnswer encodes the body as every other answer is encoded.
func newAnswer(status int, location string, body any) (answer, error) {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(body)
	return answer{status: status, location: location, body: b.Bytes()}, err
}

// VisitCreateUpdateResponse sends the answer.
func (a answer) VisitCreateUpdateResponse(w http.ResponseWriter) error { return a.send(w) }

// VisitRetryUpdateResponse sends the answer.
func (a answer) VisitRetryUpdateResponse(w http.ResponseWriter) error { return a.send(w) }

func (a answer) send(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if a.status >= http.StatusBadRequest {
		h.Set("Content-Type", problemType)
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.applied != "" {
		h.Set("Preference-Applied", a.applied)
	}
	w.WriteHeader(a.status)
	_, err := w.Write(a.body)
	return err
}

// conclude turns an update that ended into its answer. The error is an
// *endedError when it failed everywhere for the same reason, which then is the
// answer; retryAfter goes with it.
func conclude(u Update, retryAfter time.Duration) (answer, error) {
	failed := slices.DeleteFunc(slices.Clone(u.Targets), func(t TargetUpdate) bool { return t.Status != StatusFailed })
	switch {
	case len(failed) == 0:
		return concludeWell(u)
	case len(failed) < len(u.Targets) || !alike(failed):
		a, err := newAnswer(http.StatusMultiStatus, "", u)
		a.again = slices.ContainsFunc(failed, func(t TargetUpdate) bool { return problem{code: t.Problem.Code}.again() })
		return a, err
	}
	var details []string
	for _, t := range failed {
		details = append(details, t.Problem.Detail)
	}
	return answer{}, &endedError{problem: problem{
		status: failed[0].Problem.Status, code: failed[0].Problem.Code, detail: strings.Join(slices.Compact(details), "; "), retryAfter: retryAfter,
	}}
}

func alike(failed []TargetUpdate) bool {
	return !slices.ContainsFunc(failed, func(t TargetUpdate) bool { return t.Problem.Code != failed[0].Problem.Code })
}

func concludeWell(u Update) (answer, error) {
	if u.Status != StatusCommitted {
		return newAnswer(http.StatusOK, "", u)
	}
	location := ""
	for _, t := range u.Targets {
		if t.Commit != nil && location == "" {
			location = t.Commit.Url
		}
	}
	return newAnswer(http.StatusCreated, location, u)
}

// endedError is an update that failed: its problem was found out before.
type endedError struct {
	problem problem
}

// Error returns the problem's sentence.
func (e *endedError) Error() string { return e.problem.detail }

// updateOf is the body that tells of the request's results.
func updateOf(r update.Request, results []update.Result) Update {
	body := Update{Id: r.ID, Image: r.Image.String(), Version: r.Version.String(), Targets: []TargetUpdate{}}
	for _, result := range results {
		body.Targets = append(body.Targets, targetUpdate(result))
	}
	body.Status = together(body.Targets)
	return body
}

// together is the status of an update whose targets have these: that which says
// most of what is left to do, and then of what was done.
func together(targets []TargetUpdate) Status {
	for _, s := range []Status{StatusQueued, StatusFailed, StatusCommitted, StatusPlanned, StatusUnchanged} {
		if slices.ContainsFunc(targets, func(t TargetUpdate) bool { return t.Status == s }) {
			return s
		}
	}
	return StatusSuperseded
}

func targetUpdate(r update.Result) TargetUpdate {
	t := TargetUpdate{
		Repository: r.Repo.String(), Branch: r.Branch, Status: Status(r.Status),
		Files: []FileUpdate{}, Skipped: []Skip{},
	}
	t.Name = present(r.Name)
	if r.Err != nil {
		t.Status, t.Problem = StatusFailed, targetProblem(r)
		return t
	}
	if r.Commit != nil {
		t.Commit = &Commit{Sha: string(r.Commit.SHA), Url: r.Commit.URL, Message: r.Commit.Message}
	}
	if r.Status == update.Planned {
		t.Diff = &r.Diff
	}
	for _, f := range r.Files {
		t.Files = append(t.Files, fileUpdate(f))
	}
	if len(r.MergedVersions) > 0 {
		t.MergedVersions = &r.MergedVersions
	}
	for _, s := range r.Skipped {
		t.Skipped = append(t.Skipped, Skip{Path: s.Path, Line: present(s.Line), Reason: string(s.Reason), NamedIn: namedIn(s.NamedIn)})
	}
	return t
}

// targetProblem is the problem of a result that failed.
func targetProblem(r update.Result) *TargetProblem {
	p := problemOf(&targetError{name: r.Place.String(), err: r.Err})
	return &TargetProblem{Status: p.status, Code: p.code, Detail: p.detail}
}

func fileUpdate(f update.File) FileUpdate {
	out := FileUpdate{Path: f.Path, Changes: []Change{}}
	for _, c := range f.Changes {
		out.Changes = append(out.Changes, Change{
			Line: c.Line, Column: c.Column, Pointer: present(c.Pointer), From: c.From, To: c.To,
			FromDigest: present(c.FromDigest), ToDigest: present(c.ToDigest), NamedIn: namedIn(c.NamedIn),
		})
	}
	return out
}

func namedIn(n update.NamedIn) *NamedIn {
	if n == (update.NamedIn{}) {
		return nil
	}
	return &NamedIn{Path: n.Path, Line: n.Line}
}

// present is nil for a zero value, which the answer leaves out.
func present[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
