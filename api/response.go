package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

// response is a finished answer, which can be sent, stored and sent again.
type response struct {
	status   int
	location string
	applied  string // the preference that was followed
	again    bool   // a target failed for a reason that may pass
	body     []byte
}

// newResponse encodes the body in the way of the generated responses.
func newResponse(status int, location string, body any) (response, error) {
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(body)
	return response{status: status, location: location, body: b.Bytes()}, err
}

// VisitCreateUpdateResponse sends the response.
func (r response) VisitCreateUpdateResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateRollbackResponse sends the response.
func (r response) VisitCreateRollbackResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreatePromotionResponse sends the response.
func (r response) VisitCreatePromotionResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitCreateHoldResponse sends the response.
func (r response) VisitCreateHoldResponse(w http.ResponseWriter) error { return r.send(w) }

// VisitRetryUpdateResponse sends the response.
func (r response) VisitRetryUpdateResponse(w http.ResponseWriter) error { return r.send(w) }

func (r response) send(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if r.status >= http.StatusBadRequest {
		h.Set("Content-Type", problemType)
	}
	if r.location != "" {
		h.Set("Location", r.location)
	}
	if r.applied != "" {
		h.Set("Preference-Applied", r.applied)
	}
	w.WriteHeader(r.status)
	_, err := w.Write(r.body)
	return err
}

// maxDetails bounds the targets whose problems stand in one sentence.
const maxDetails = 10

// conclude returns the response of an update that ended. If it failed on every target
// for the same reason, the error is an *endedError with that reason and retryAfter. standing
// reports that everything that is proposed stood already.
func conclude(u Update, standing bool, retryAfter time.Duration) (response, error) {
	failed := slices.DeleteFunc(slices.Clone(u.Targets), func(t TargetUpdate) bool { return t.Status != StatusFailed })
	switch {
	case len(failed) == 0:
		return concludeWell(u, standing)
	case len(failed) < len(u.Targets) || !alike(failed):
		a, err := newResponse(http.StatusMultiStatus, "", u)
		a.again = slices.ContainsFunc(failed, func(t TargetUpdate) bool { return problem{code: t.Problem.Code}.again() })
		return a, err
	}
	var details []string
	for _, t := range failed {
		details = append(details, t.Problem.Detail)
	}
	details = slices.Compact(details)
	if more := len(details) - maxDetails; more > 0 {
		details = append(details[:maxDetails], fmt.Sprintf("and %d more", more))
	}
	return response{}, &endedError{problem: problem{
		status: failed[0].Problem.Status, code: failed[0].Problem.Code, detail: strings.Join(details, "; "), retryAfter: retryAfter,
		decision: policy.Decision{Rule: valueOf(failed[0].Problem.Rule), Reasons: valueOf(failed[0].Problem.Reasons)},
	}}
}

func alike(failed []TargetUpdate) bool {
	return !slices.ContainsFunc(failed, func(t TargetUpdate) bool { return t.Problem.Code != failed[0].Problem.Code })
}

func concludeWell(u Update, standing bool) (response, error) {
	if u.Status != StatusCommitted && u.Status != StatusProposed {
		return newResponse(http.StatusOK, "", u)
	}
	location := ""
	for _, t := range u.Targets {
		switch {
		case location != "" || t.Status != u.Status:
		case t.Status == StatusProposed && t.PullRequest != nil:
			location = t.PullRequest.Url
		case t.Commit != nil:
			location = t.Commit.Url
		}
	}
	if u.Status == StatusProposed && standing {
		return newResponse(http.StatusOK, "", u)
	}
	return newResponse(http.StatusCreated, location, u)
}

// endedError is the error of an update that failed with a known problem.
type endedError struct {
	problem problem
}

// Error returns the problem's sentence.
func (e *endedError) Error() string { return e.problem.detail }
