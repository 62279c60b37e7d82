package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// GetHistory answers GET /v1/history.
func (s *server) GetHistory(ctx context.Context, in GetHistoryRequestObject) (GetHistoryResponseObject, error) {
	g := ginContext(ctx)
	repository, err := image.ParseRepository(in.Params.Image)
	if err != nil {
		return nil, wrongParameter("image", err.Error())
	}
	q := inventory.HistoryQuery{Image: repository, Limit: pageSize, Recorded: s.recorded}
	q.Reads, q.Covers = s.sightOf(g).bounds()
	if in.Params.Limit != nil {
		q.Limit = *in.Params.Limit
	}
	if target := in.Params.Target; target != nil {
		q.Targets = []string{*target}
		if !s.images.Has(*target) || q.Covers != nil && !q.Covers(*target, repository.Name()) {
			return nil, wrongParameter("target", "is not the name of a target of which you may read this image")
		}
	}
	if in.Params.Cursor != nil {
		if q.Resume = resumeAt(*in.Params.Cursor); q.Resume == nil {
			return nil, wrongParameter("cursor", "is not the next_cursor of a page")
		}
	}
	requestContext, spending := github.WithSpending(g.Request.Context())
	requestContext, cancel := context.WithTimeout(requestContext, s.timeout)
	defer cancel()
	found, err := s.images.History(requestContext, q)
	note(g, slog.Int("github_requests", int(spending.Requests())))
	var many *inventory.ManyTargetsError
	switch {
	case errors.As(err, &many):
		return nil, wrongParameter("target", many.Error())
	case err != nil:
		return nil, &lookError{err}
	}
	page := HistoryPage{History: []HistoryEntry{}, SearchedTo: presentTime(found.Stopped)}
	for _, c := range found.Changes {
		page.History = append(page.History, changeView(c))
	}
	if len(found.Next) > 0 {
		cursor, err := json.Marshal(found.Next)
		if err != nil {
			return nil, err
		}
		page.NextCursor = present(base64.RawURLEncoding.EncodeToString(cursor))
	}
	return GetHistory200JSONResponse{Body: page}, nil
}

// resumeAt returns the positions of a cursor, nil if it is none.
func resumeAt(cursor string) map[string]github.SHA {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil
	}
	var at map[string]github.SHA
	if json.Unmarshal(raw, &at) != nil || len(at) > inventory.MaxTrails {
		return nil
	}
	return at
}

// recorded reports whether the store has the commit as that of the update in the
// target. A store that is away knows nothing.
func (s *server) recorded(ctx context.Context, target, updateID string, commit github.SHA) bool {
	if uuid.Validate(updateID) != nil {
		return false
	}
	u, err := s.queue.Get(ctx, updateID)
	if err != nil {
		return false
	}
	for _, task := range u.Tasks {
		result, err := update.DecodeResult(task.Result)
		if err == nil && task.Target == target && result.Commit != nil && result.Commit.SHA == commit {
			return true
		}
	}
	return false
}

func changeView(c inventory.Change) HistoryEntry {
	e := HistoryEntry{
		Target: c.Target, Version: c.Version, Digest: present(c.Digest), From: c.From, At: c.At, Author: c.Author,
		RequestedBy: present(c.RequestedBy), UpdateId: present(c.UpdateID), Recorded: c.Recorded,
	}
	e.Commit.Sha, e.Commit.Url = string(c.Commit), c.URL
	if c.Source != (update.Source{}) {
		e.Source = &HistorySource{Repository: present(c.Source.Repository), Revision: present(c.Source.Revision), Url: present(c.Source.URL)}
	}
	return e
}
