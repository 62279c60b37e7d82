package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
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
