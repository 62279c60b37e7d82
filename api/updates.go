package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// updatesRoute is where updates are posted.
const updatesRoute = "/v1/updates"

// CreateUpdate answers POST /v1/updates.
func (s *server) CreateUpdate(ctx context.Context, in CreateUpdateRequestObject) (CreateUpdateResponseObject, error) {
	g := ctx.(*gin.Context)
	request, err := parseUpdate(in.Body)
	if err != nil {
		return nil, err
	}
	request.ID = s.newID()
	request.Caller = g.GetString(keyCaller)
	note(g, slog.String("image", request.Image.String()), slog.String("version", request.Version.String()),
		slog.String("update", request.ID), slog.Bool("dry_run", request.DryRun))

	end, err := s.inFlight.begin(request.Caller)
	if err != nil {
		return nil, err
	}
	defer end()
	results, err := s.apply(g.Request.Context(), request)
	if err != nil {
		return nil, err
	}
	s.noteResults(g, results)
	if failed := results[0]; failed.Err != nil {
		return nil, &targetError{name: failed.Place.String(), err: failed.Err}
	}
	return answer(request, results), nil
}

// apply runs the update within the server's time limit.
func (s *server) apply(ctx context.Context, r update.Request) ([]update.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	results, err := s.updates.Update(ctx, r)
	for i := range results {
		results[i].Err = s.late(results[i].Err)
	}
	return results, s.late(err)
}

// late makes a timeoutError of an error that the time limit caused.
func (s *server) late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", &timeoutError{after: s.timeout}, err)
	}
	return err
}

// timeoutError says that an update took longer than it may.
type timeoutError struct {
	after time.Duration
}

// Error is a sentence for the caller.
func (e *timeoutError) Error() string {
	return fmt.Sprintf("the update did not finish within %s; nothing was written, send the request again", e.after)
}

// noteResults tells the log line and the metrics how the update went.
func (s *server) noteResults(g *gin.Context, results []update.Result) {
	files, spent := 0, 0
	for _, r := range results {
		files += len(r.Files)
		spent += r.Spent
		if r.Commit != nil {
			note(g, slog.String("commit", string(r.Commit.SHA)))
		}
		if r.Err == nil {
			noteOutcome(g, string(r.Status))
		}
		if r.Status == update.Committed {
			s.metrics.updatedFiles.Observe(float64(len(r.Files)))
		}
	}
	s.metrics.githubPerUpdate.Observe(float64(spent))
	note(g, slog.Int("files", files), slog.Int("github_requests", spent))
}

// parseUpdate turns the body, which fits the description, into a request. The
// error is an *invalidError with every field that is wrong.
func parseUpdate(in *UpdateRequest) (update.Request, error) {
	var r update.Request
	var wrong []FieldError
	refuse := func(pointer string, err error) {
		if err != nil {
			wrong = append(wrong, FieldError{Pointer: pointer, Detail: err.Error()})
		}
	}

	var err error
	r.Image, err = image.ParseRepository(in.Image)
	refuse("/image", err)
	r.Version, err = image.ParseTag(in.Version)
	refuse("/version", err)
	if in.Digest != nil {
		r.Digest, err = image.ParseDigest(*in.Digest)
		refuse("/digest", err)
	}
	if in.Repository != nil {
		r.Repo, err = github.ParseRepo(*in.Repository)
		refuse("/repository", err)
	}
	if in.Paths != nil {
		r.Paths = *in.Paths
		for i, glob := range r.Paths {
			refuse("/paths/"+strconv.Itoa(i), checkGlob(glob))
		}
	}
	if len(wrong) > 0 {
		return update.Request{}, wrongFields(wrong)
	}
	r.Branch = valueOf(in.Branch)
	r.Message = valueOf(in.Message)
	r.DryRun = valueOf(in.DryRun)
	if in.Source != nil {
		r.Source = update.Source{
			Repository: valueOf(in.Source.Repository), Revision: valueOf(in.Source.Revision), URL: valueOf(in.Source.Url),
		}
	}
	return r, nil
}

// The bounds of one glob: how long a match takes grows with the number of ways in
// which stars and braces can be read, multiplied.
const (
	maxDeepStars = 3  // **
	maxBraces    = 2  // {a,b}, side by side or nested
	maxCommas    = 10 // in all braces together
)

func checkGlob(glob string) error {
	if strings.Count(glob, "**") > maxDeepStars || strings.Count(glob, "{") > maxBraces || strings.Count(glob, ",") > maxCommas {
		return fmt.Errorf("%s is too complex; use at most %d ** and %d braces with %d alternatives, or several globs",
			brief(strconv.Quote(glob)), maxDeepStars, maxBraces, maxCommas)
	}
	if !doublestar.ValidatePattern(glob) {
		return fmt.Errorf("%s is not a glob; see https://github.com/bmatcuk/doublestar#patterns", brief(strconv.Quote(glob)))
	}
	return nil
}

// explainField has the sentence of the parsers for a value that the schema
// refuses as well; empty where the schema's own serves.
func explainField(pointer string, value any) string {
	text, ok := value.(string)
	if !ok {
		return ""
	}
	var err error
	switch pointer {
	case "/image":
		_, err = image.ParseRepository(text)
	case "/version":
		_, err = image.ParseTag(text)
	case "/digest":
		_, err = image.ParseDigest(text)
	case "/repository":
		_, err = github.ParseRepo(text)
	case "/source/url":
		err = errors.New("must be an http or https URL without spaces")
	case "/source/repository", "/source/revision":
		err = errors.New("must be one line of 1 to 255 characters")
	case "/message":
		err = errors.New("must hold text of at most 4096 characters, without control characters but tabs and line ends")
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// answer turns the results, of which none failed, into the response.
func answer(r update.Request, results []update.Result) CreateUpdateResponseObject {
	body := Update{
		Id: r.ID, Image: r.Image.String(), Version: r.Version.String(), Status: Status(results[0].Status),
	}
	var location *string
	for _, result := range results {
		body.Targets = append(body.Targets, targetUpdate(result))
		if result.Commit != nil && result.Commit.URL != "" && location == nil {
			location = &result.Commit.URL
		}
	}
	if body.Status == StatusCommitted {
		return CreateUpdate201JSONResponse{Body: body, Headers: CreateUpdate201ResponseHeaders{Location: location}}
	}
	return CreateUpdate200JSONResponse{Body: body}
}

func targetUpdate(r update.Result) TargetUpdate {
	t := TargetUpdate{
		Repository: r.Repo.String(), Branch: r.Branch, Status: Status(r.Status),
		Files: []FileUpdate{}, Skipped: []Skip{},
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
	for _, s := range r.Skipped {
		t.Skipped = append(t.Skipped, Skip{Path: s.Path, Line: present(s.Line), Reason: string(s.Reason)})
	}
	return t
}

func fileUpdate(f update.File) FileUpdate {
	out := FileUpdate{Path: f.Path, Changes: []Change{}}
	for _, c := range f.Changes {
		out.Changes = append(out.Changes, Change{
			Line: c.Line, Column: c.Column, Pointer: present(c.Pointer), From: c.From, To: c.To,
			FromDigest: present(c.FromDigest), ToDigest: present(c.ToDigest),
		})
	}
	return out
}

// present is nil for a zero value, which the answer leaves out.
func present[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
