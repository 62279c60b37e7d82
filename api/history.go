package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// pageSize is how many updates a page has unless the caller sets limit.
const pageSize = 20

// ListUpdates answers GET /v1/updates.
func (s *server) ListUpdates(ctx context.Context, in ListUpdatesRequestObject) (ListUpdatesResponseObject, error) {
	filter := queue.Filter{Limit: pageSize, Cursor: valueOf(in.Params.Cursor), Status: storedStatus(string(valueOf(in.Params.Status)))}
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
	filter.Show = s.sightOf(ginContext(ctx)).of
	page, err := s.queue.List(ginContext(ctx).Request.Context(), filter)
	switch {
	case errors.Is(err, queue.ErrCursor):
		return nil, wrongParameter("cursor", "is not the next_cursor of a page")
	case err != nil:
		return nil, asStoreError(err)
	}
	body := UpdatePage{Updates: []UpdateRecord{}, NextCursor: present(page.Next)}
	for _, u := range page.Updates {
		record := recordView(u)
		if !valueOf(in.Params.Files) {
			leaveOutFiles(record.Targets)
		}
		body.Updates = append(body.Updates, record)
	}
	return ListUpdates200JSONResponse{Body: body}, nil
}

// leaveOutFiles empties what grows with the files of the targets.
func leaveOutFiles(targets []TargetUpdate) {
	for i := range targets {
		targets[i].Files, targets[i].Skipped = []FileUpdate{}, []Skip{}
	}
}

// storedStatus returns the queue's status for one of the contract, "" for none.
func storedStatus(word string) queue.Status {
	for stored, shown := range statuses {
		if string(shown) == word {
			return stored
		}
	}
	return ""
}

// GetUpdate answers GET /v1/updates/{id}.
func (s *server) GetUpdate(ctx context.Context, in GetUpdateRequestObject) (GetUpdateResponseObject, error) {
	if uuid.Validate(in.Id) != nil {
		return nil, queue.ErrNotFound
	}
	u, err := s.queue.Get(ginContext(ctx).Request.Context(), in.Id)
	if err != nil {
		return nil, asStoreError(err)
	}
	shown, ok := s.sightOf(ginContext(ctx)).of(u)
	if !ok {
		return nil, queue.ErrNotFound
	}
	return GetUpdate200JSONResponse{Body: recordView(shown)}, nil
}

// RetryUpdate answers POST /v1/updates/{id}/retry.
func (s *server) RetryUpdate(ctx context.Context, in RetryUpdateRequestObject) (RetryUpdateResponseObject, error) {
	if uuid.Validate(in.Id) != nil {
		return nil, queue.ErrNotFound
	}
	if s.policy != nil {
		stored, err := s.queue.Get(ginContext(ctx).Request.Context(), in.Id)
		if err != nil {
			return nil, asStoreError(err)
		}
		if _, ok := s.sightOf(ginContext(ctx)).of(stored); !ok {
			return nil, queue.ErrNotFound
		}
		if err := s.mayRetry(ginContext(ctx), stored); err != nil {
			return nil, err
		}
	}
	again, err := s.holdAgain(ginContext(ctx), in.Id)
	if err != nil {
		return nil, err
	}
	u, err := s.queue.Retry(ginContext(ctx).Request.Context(), in.Id)
	if err != nil {
		s.takeBack(ginContext(ctx), again)
		return nil, asStoreError(err)
	}
	noteOutcome(ginContext(ctx), string(statuses[u.Status]))
	if u.Status != queue.Queued { // superseded by a newer one meanwhile
		return newResponse(http.StatusOK, "", storedView(u))
	}
	return queuedResponse(u)
}
