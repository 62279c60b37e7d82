package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// pageSize is how many updates a page has unless the caller says another number.
const pageSize = 20

// ListUpdates answers GET /v1/updates.
func (s *server) ListUpdates(ctx context.Context, in ListUpdatesRequestObject) (ListUpdatesResponseObject, error) {
	filter := queue.Filter{Limit: pageSize, Cursor: valueOf(in.Params.Cursor), Status: queue.Status(valueOf(in.Params.Status))}
	if in.Params.Limit != nil {
		filter.Limit = *in.Params.Limit
	}
	if in.Params.Image != nil {
		repository, err := image.ParseRepository(*in.Params.Image)
		if err != nil {
			return nil, wrongParameter("image", err.Error())
		}
		filter.Image = repository.Name()
	}
	page, err := s.queue.List(requestContext(ctx), filter)
	switch {
	case errors.Is(err, queue.ErrCursor):
		return nil, wrongParameter("cursor", "is not the next_cursor of a page")
	case err != nil:
		return nil, asStoreError(err)
	}
	body := UpdatePage{Updates: []UpdateRecord{}, NextCursor: present(page.Next)}
	for _, u := range page.Updates {
		body.Updates = append(body.Updates, recordView(u))
	}
	return ListUpdates200JSONResponse{Body: body}, nil
}

// GetUpdate answers GET /v1/updates/{id}.
func (s *server) GetUpdate(ctx context.Context, in GetUpdateRequestObject) (GetUpdateResponseObject, error) {
	if uuid.Validate(in.Id) != nil {
		return nil, queue.ErrNotFound
	}
	u, err := s.queue.Get(requestContext(ctx), in.Id)
	if err != nil {
		return nil, asStoreError(err)
	}
	return GetUpdate200JSONResponse{Body: recordView(u)}, nil
}

// RetryUpdate answers POST /v1/updates/{id}/retry.
func (s *server) RetryUpdate(ctx context.Context, in RetryUpdateRequestObject) (RetryUpdateResponseObject, error) {
	if uuid.Validate(in.Id) != nil {
		return nil, queue.ErrNotFound
	}
	u, err := s.queue.Retry(requestContext(ctx), in.Id)
	if err != nil {
		return nil, asStoreError(err)
	}
	noteOutcome(ctx.(*gin.Context), string(u.Status))
	if u.Status != queue.Queued { // a newer one had come meanwhile
		return newAnswer(http.StatusOK, "", bodyOf(u))
	}
	return queuedAnswer(u)
}

// requestContext is the context of the request that a handler was called for. The
// one it was called with is gin's, which is used again for another request and
// must not be kept by those who may look at it later.
func requestContext(ctx context.Context) context.Context {
	return ctx.(*gin.Context).Request.Context()
}

// bodyOf is the stored update as an answer has it. Targets that do not name the
// image are left out once another one does.
func bodyOf(u queue.Update) Update {
	body := Update{Id: u.ID, Status: Status(u.Status), Image: u.Image, Version: u.Version, Targets: []TargetUpdate{}}
	var in UpdateRequest
	if err := json.Unmarshal(u.Request, &in); err == nil && in.Image != "" {
		body.Image = in.Image // as it was sent
	}
	named := slices.ContainsFunc(u.Tasks, func(t queue.Task) bool { return t.Status != queue.Absent })
	for _, task := range u.Tasks {
		var target TargetUpdate
		err := json.Unmarshal(task.Result, &target)
		if err != nil || task.Status == queue.Absent && named {
			continue
		}
		target.Status = Status(cmp.Or(task.Status, queue.Queued))
		switch {
		case task.Status == queue.Absent:
			target.Status = Status(cmp.Or(u.AbsentAs, queue.Unchanged))
		case task.Status == queue.Superseded, target.Status == StatusQueued && task.Attempts == 0 && task.LastError == "":
			target.Problem = nil // of a try that does not count any more
		case task.Status == queue.Failed && target.Problem == nil:
			target.Problem = &TargetProblem{Status: http.StatusInternalServerError, Code: ProblemCodeInternal, Detail: task.LastError}
		}
		body.Targets = append(body.Targets, target)
	}
	return body
}

// recordView is the stored update with its history.
func recordView(u queue.Update) UpdateRecord {
	body := bodyOf(u)
	r := UpdateRecord{
		Id: body.Id, Status: body.Status, Image: body.Image, Version: body.Version, Digest: present(u.Digest), Targets: body.Targets,
		Caller: present(u.Caller), Webhook: present(u.Webhook), CreatedAt: u.AcceptedAt.UTC(), FinishedAt: presentTime(u.FinishedAt),
	}
	if u.PushedAt.Before(u.AcceptedAt) {
		r.PushedAt = presentTime(u.PushedAt)
	}
	if why := unusableReason(u); why != "" {
		r.LastError = &why
	}
	for _, task := range u.Tasks {
		r.Attempts = max(r.Attempts, task.Attempts)
		if telling := task.Status == queue.Failed || task.Status == queue.Queued || task.Status == queue.Absent && r.Status == StatusFailed; telling && r.LastError == nil {
			r.LastError = present(task.LastError)
		}
		if next := presentTime(task.NextAttempt); task.Status == queue.Queued && next != nil && (r.NextAttemptAt == nil || next.Before(*r.NextAttemptAt)) {
			r.NextAttemptAt = next
		}
	}
	return r
}

func presentTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
