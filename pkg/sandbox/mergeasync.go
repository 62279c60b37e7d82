package sandbox

import (
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// MergeQueue makes merges into a branch wait in a queue.
type MergeQueue struct {
	// Wait is how long an entry stands in the queue before it is merged.
	Wait Duration `json:"wait"`
	// Fail, when it is not empty, is why entries are removed in place of being merged.
	Fail string `json:"fail,omitempty"`
}

// The statuses of an asynchronous merge.
const (
	asyncPending  = "pending"
	asyncMerged   = "merged"
	asyncEnqueued = "enqueued"
	asyncFailed   = "failed"
)

// asyncKept is how long an answer to an asynchronous merge is kept.
const asyncKept = 24 * time.Hour

// asyncMerge is one that runs in the background. The embedded GitHub has no
// background: it runs when somebody looks after its time has come.
type asyncMerge struct {
	merging
	uuid    string
	action  string
	status  string
	message string
	due     time.Time // of the next step
	updated time.Time
}

// startAsync takes a merge in. r.pulls.mu is held.
func (r *Repository) startAsync(p *pull, a *asyncMerge, delay time.Duration) {
	a.status, a.message = asyncPending, "Merge request enqueued."
	a.SHA = orDefault(a.SHA, p.headHash.String())
	a.due, a.updated = r.clock().Add(delay), r.clock()
	p.asyncs = append(p.asyncs, a)
}

// running is the pull request's merge that has not ended, or nil.
func (p *pull) running() *asyncMerge {
	if n := len(p.asyncs); n > 0 {
		if a := p.asyncs[n-1]; a.status == asyncPending || a.status == asyncEnqueued {
			return a
		}
	}
	return nil
}

// runAsyncs takes the steps that are due. r.pulls.mu is held.
func (r *Repository) runAsyncs(p *pull) error {
	for a := p.running(); a != nil && !r.clock().Before(a.due); a = p.running() {
		if err := r.followBranches(p); p.State != pullOpen || err != nil {
			if a.end(r, asyncFailed, closedText); err != nil {
				return err
			}
			return nil
		}
		if p.running() != a {
			return nil
		}
		if err := r.stepAsync(p, a); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) stepAsync(p *pull, a *asyncMerge) error {
	text, err := r.unmergeable(p, a.merging)
	if err != nil {
		return err
	}
	rules, _ := r.protection("refs/heads/" + p.Base)
	switch {
	case text != "":
		a.end(r, asyncFailed, text)
		return nil
	case a.status == asyncPending && rules.Queue != nil:
		if a.action == "direct_merge" {
			a.end(r, asyncFailed, queueText)
			return nil
		}
		a.status, a.message = asyncEnqueued, "Pull request is in the merge queue."
		a.due, a.updated = a.due.Add(time.Duration(rules.Queue.Wait)), r.clock()
		return nil
	case a.status == asyncEnqueued && rules.Queue != nil && rules.Queue.Fail != "":
		a.end(r, asyncFailed, rules.Queue.Fail)
		return nil
	}
	err = r.merge(p, a.merging)
	switch {
	case errors.Is(err, bare.ErrRefChanged) || errors.Is(err, bare.ErrRefLocked):
		a.end(r, asyncFailed, baseMovedText)
	case err != nil:
		return err
	default:
		a.end(r, asyncMerged, "Pull request was merged.")
	}
	return nil
}

func (a *asyncMerge) end(r *Repository, status, message string) {
	a.status, a.message, a.updated = status, message, r.clock()
}

func asyncBody(status string, details map[string]any) map[string]any {
	return map[string]any{"status": status, "details": details}
}

// details are what GitHub tells of a merge that has not ended.
func (a *asyncMerge) details(message string) map[string]any {
	return map[string]any{
		"message": message, "uuid": a.uuid, "merge_method": a.Method, "merge_action": a.action, "expected_head_sha": a.SHA,
	}
}

func mergePullAsync(c *call, p *pull) (*response, error) {
	if c.set.NoAsyncMerge {
		return nil, notFound()
	}
	f := fields{}
	if len(c.body) > 0 {
		var err error
		if f, err = parseFields(c.body); err != nil {
			return nil, err
		}
	}
	m, err := f.merging(c)
	if err != nil {
		return nil, err
	}
	action, err := f.textOr("merge_action", "default")
	if err != nil {
		return nil, err
	}
	switch a := p.running(); {
	case p.Merged:
		return &response{body: asyncBody(asyncMerged, map[string]any{"message": "Pull request is already merged.", "sha": p.MergeSHA})}, nil
	case a != nil && a.status == asyncEnqueued:
		return &response{body: asyncBody(asyncEnqueued, map[string]any{"message": "Pull request is already in the merge queue."})}, nil
	case a != nil:
		return &response{status: http.StatusConflict, body: asyncBody(asyncPending, a.details("A merge request already exists for this pull request."))}, nil
	case p.State != pullOpen:
		return failedMerge(closedText), nil
	case p.Draft:
		return failedMerge(draftText), nil
	}
	random, err := c.randomBytes(16)
	if err != nil {
		return nil, err
	}
	x := hex.EncodeToString(random)
	a := &asyncMerge{merging: m, action: action, uuid: x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]}
	c.repo.startAsync(p, a, time.Duration(c.set.MergeDelay))
	return &response{status: http.StatusAccepted, body: asyncBody(asyncPending, a.details(a.message))}, nil
}

func failedMerge(text string) *response {
	return &response{status: http.StatusBadRequest, body: asyncBody(asyncFailed, map[string]any{"message": text})}
}

func getMergeAsync(c *call, p *pull) (*response, error) {
	if c.set.NoAsyncMerge {
		return nil, notFound()
	}
	for _, a := range p.asyncs {
		if a.uuid != c.r.PathValue("uuid") || c.start.Sub(a.updated) > asyncKept {
			continue
		}
		switch a.status {
		case asyncPending:
			return &response{body: asyncBody(a.status, a.details("Merge request is in progress."))}, nil
		case asyncMerged:
			return &response{body: asyncBody(a.status, map[string]any{"message": a.message, "sha": p.MergeSHA})}, nil
		}
		return &response{body: asyncBody(a.status, map[string]any{"message": a.message})}, nil
	}
	return nil, notFound()
}
