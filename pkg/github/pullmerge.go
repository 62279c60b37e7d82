package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	gh "github.com/google/go-github/v62/github"
)

const (
	opMergeAsync  = "PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge-async"
	opMergeResult = "GET /repos/{owner}/{repo}/pulls/{pull_number}/merge-async/{uuid}"
)

// ErrNoAsyncMerge is returned by Proposal.Merge for a server that cannot merge in the
// background, such as an Enterprise Server.
var ErrNoAsyncMerge = errors.New("the server has no asynchronous merge")

// MergeStatus is what GitHub says of a merge in the background.
type MergeStatus string

// The statuses.
const (
	MergePending  MergeStatus = "pending"
	MergeEnqueued MergeStatus = "enqueued" // it stands in a merge queue
	MergeMerged   MergeStatus = "merged"
	MergeFailed   MergeStatus = "failed"
	// MergeForgotten is a merge that GitHub does not know any more, or never knew.
	MergeForgotten MergeStatus = "forgotten"
)

// Merging is a merge in the background.
type Merging struct {
	Status MergeStatus
	// UUID is what MergeResult asks by; "" when GitHub told none.
	UUID string
	// Words are GitHub's own, as one line.
	Words string
	// Commit is the commit on the base; "" until it is known.
	Commit SHA
}

// MergeOptions say how to merge.
type MergeOptions struct {
	// Head is the commit that the branch must be at.
	Head SHA
	// Method is squash, merge or rebase.
	Method string
	// Title and Message are the commit's; empty leaves them to GitHub.
	Title, Message string
}

// asyncAnswer is what GitHub answers of a merge in the background.
type asyncAnswer struct {
	Status  MergeStatus `json:"status"`
	Details struct {
		Message string `json:"message"`
		UUID    string `json:"uuid"`
		SHA     SHA    `json:"sha"`
	} `json:"details"`
}

func (a *asyncAnswer) merging() Merging {
	m := Merging{Status: a.Status, Words: oneLine(a.Details.Message)}
	if len(a.Details.UUID) <= 64 {
		m.UUID = a.Details.UUID
	}
	if a.Details.SHA.valid() {
		m.Commit = a.Details.SHA
	}
	return m
}

// Merge asks GitHub to merge a pull request in the background, through the base's merge
// queue where it has one. Rules are judged when the merge runs: MergeResult tells. One
// that is under way already is returned. The error is ErrNoAsyncMerge where the server
// cannot do it.
func (p *Proposal) Merge(ctx context.Context, number int, o MergeOptions) (Merging, error) {
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return Merging{}, err
	}
	if err := p.b.limits().admitCommit(ctx); err != nil {
		return Merging{}, translate(ctx, opMergeAsync, nil, err)
	}
	body := map[string]string{"sha": string(o.Head), "merge_method": o.Method, "merge_action": "default"}
	if o.Title != "" {
		body["commit_title"], body["commit_message"] = o.Title, o.Message
	}
	address := fmt.Sprintf("repos/%s/%s/pulls/%d/merge-async", at.repo.Owner, at.repo.Name, number)
	answer, err := p.askMerge(ctx, request{op: opMergeAsync, repo: at.repo, write: true}, http.MethodPut, address, body)
	var e *Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented) {
		return Merging{}, ErrNoAsyncMerge
	}
	if err != nil {
		return Merging{}, needsPulls(err)
	}
	return answer.merging(), nil
}

// MergeResult asks what became of a merge. GitHub keeps it for a day.
func (p *Proposal) MergeResult(ctx context.Context, number int, uuid string) (Merging, error) {
	at, err := p.b.findPlace(ctx)
	if err != nil {
		return Merging{}, err
	}
	address := fmt.Sprintf("repos/%s/%s/pulls/%d/merge-async/%s", at.repo.Owner, at.repo.Name, number, url.PathEscape(uuid))
	answer, err := p.askMerge(ctx, request{op: opMergeResult, repo: at.repo}, http.MethodGet, address, nil)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return Merging{Status: MergeForgotten}, nil
	}
	if err != nil {
		return Merging{}, needsPulls(err)
	}
	return answer.merging(), nil
}

// askMerge takes the answers for what they are that go-github has for errors: 202, 400
// and 409 with a status.
func (p *Proposal) askMerge(ctx context.Context, r request, method, address string, body any) (*asyncAnswer, error) {
	answer := &asyncAnswer{}
	err := p.b.client.ask(ctx, r, func(ctx context.Context) (*gh.Response, error) {
		req, err := p.b.client.api.NewRequest(method, address, body)
		if err != nil {
			return nil, err
		}
		resp, err := p.b.client.api.Do(ctx, req, answer)
		var accepted *gh.AcceptedError
		var refused *gh.ErrorResponse
		switch {
		case errors.As(err, &accepted):
			err = json.Unmarshal(accepted.Raw, answer)
		case errors.As(err, &refused) && (resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusConflict):
			text, errRead := io.ReadAll(io.LimitReader(refused.Response.Body, maxErrorBody))
			if errRead == nil && json.Unmarshal(text, answer) == nil && answer.known() {
				err = nil
			}
		}
		if err == nil && !answer.known() {
			err = fmt.Errorf("%.60q is no status of a merge", answer.Status)
		}
		return resp, err
	})
	return answer, err
}

func (a *asyncAnswer) known() bool {
	switch a.Status {
	case MergePending, MergeEnqueued, MergeMerged, MergeFailed:
		return true
	}
	return false
}
