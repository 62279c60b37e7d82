package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/munnerz/goautoneg"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// imagesPage is how many entries a page of images has unless the caller sets limit.
const imagesPage = 500

// The media types of GET /v1/images.
const (
	mediaJSON = "application/json"
	mediaCSV  = "text/csv"
)

// ListImages answers GET /v1/images.
func (s *server) ListImages(ctx context.Context, in ListImagesRequestObject) (ListImagesResponseObject, error) {
	g := ginContext(ctx)
	look, err := s.imagesLook(g, &in.Params)
	if err != nil {
		return nil, err
	}
	if goautoneg.Negotiate(g.GetHeader("Accept"), []string{mediaJSON, mediaCSV}) == mediaCSV && look.compare == nil && !look.groups {
		return s.imagesTable(g, look)
	}
	requestContext, spending := github.WithSpending(g.Request.Context())
	requestContext, cancel := context.WithTimeout(requestContext, s.timeout)
	defer cancel()
	body, err := s.imagesBody(requestContext, look)
	note(g, slog.Int("github_requests", int(spending.Requests())))
	if err != nil {
		return nil, &lookError{err}
	}
	return newView(g, body)
}

// imagesLook is a request for images that makes sense.
type imagesLook struct {
	query   inventory.Query
	limit   int
	groups  bool
	compare []string // two targets, or none
	after   string   // the name of the last entry of the page before
	unread  []UnreadTarget
}

// UnreadTarget is a target of which an answer has nothing.
type UnreadTarget struct {
	Target  string        `json:"target"`
	Problem TargetProblem `json:"problem"`
}

// imagesLook reads the parameters. The error is an *invalidError.
func (s *server) imagesLook(g *gin.Context, in *ListImagesParams) (*imagesLook, error) {
	look := &imagesLook{limit: imagesPage, groups: in.GroupBy != nil}
	if in.Limit != nil {
		look.limit = *in.Limit
	}
	var wrong []FieldError
	refuse := func(name, detail string) {
		wrong = append(wrong, parameterError(openapi3.ParameterInQuery, name, detail))
	}
	look.filter(in, refuse)
	q := &look.query
	q.Reads, q.Covers = s.sightOf(g).bounds()
	readable := func(target string) bool { return s.images.Has(target) && (q.Reads == nil || q.Reads(target)) }
	if in.Target != nil {
		q.Targets = []string{*in.Target}
		if !readable(*in.Target) {
			refuse("target", "is not the name of a target that you may read")
		}
	}
	if in.Compare != nil {
		look.compare = strings.Split(*in.Compare, ",")
		if detail := wrongComparison(look.compare, readable); detail != "" {
			refuse("compare", detail)
		} else if look.groups || in.Target != nil {
			refuse("compare", "goes without group_by and target")
		}
	}
	if in.Cursor != nil && !look.resume(*in.Cursor) {
		refuse("cursor", "is not the next_cursor of a page of this kind")
	}
	if len(wrong) > 0 {
		return nil, wrongFields(wrong, 0)
	}
	q.Unread = func(place update.Place, err error) {
		failure, _ := update.Result{Place: place, Err: err}.Failure()
		p := problemOfFailure(failure)
		look.unread = append(look.unread, UnreadTarget{place.ID, TargetProblem{Status: p.status, Code: p.code, Detail: asRead(p.detail)}})
	}
	return look, nil
}

// filter reads the parameters that narrow the references.
func (l *imagesLook) filter(in *ListImagesParams, refuse func(name, detail string)) {
	q := &l.query
	q.Version = valueOf(in.Version)
	if q.Path = valueOf(in.Path); q.Path != "" {
		if err := checkGlob(q.Path); err != nil {
			refuse("path", err.Error())
		}
	}
	if in.Image != nil {
		if err := checkGlob(*in.Image); err != nil {
			refuse("image", err.Error())
		}
		q.Image = normalisedGlob(*in.Image)
	}
}

// wrongComparison returns why two targets cannot be compared, or "".
func wrongComparison(targets []string, readable func(string) bool) string {
	for _, target := range targets {
		switch {
		case !readable(target):
			return "names a target that is none, or that you may not read"
		case target == "name" || target == "same":
			return "cannot compare a target with the name of another field of the answer"
		}
	}
	if targets[0] == targets[1] {
		return "takes two different targets"
	}
	return ""
}

// normalisedGlob returns a glob that matches what the text means: a plain name is
// normalised as images are.
func normalisedGlob(text string) string {
	if repository, err := image.ParseRepository(text); err == nil && !strings.ContainsAny(text, `*?[{\`) {
		return repository.Name()
	}
	return text
}

// imagesBody returns the page that is asked for.
func (s *server) imagesBody(ctx context.Context, look *imagesLook) (any, error) {
	switch {
	case look.compare != nil:
		return s.compareImages(ctx, look)
	case look.groups:
		return s.groupImages(ctx, look)
	}
	page := struct {
		Images     []ImageReference `json:"images"`
		NextCursor string           `json:"next_cursor,omitempty"`
		Unread     []UnreadTarget   `json:"unread,omitempty"`
	}{Images: []ImageReference{}}
	var last inventory.Reference
	for r, err := range s.images.References(ctx, look.query) {
		if err != nil {
			return nil, err
		}
		if len(page.Images) == look.limit {
			page.NextCursor = cursorOf(imagesCursor{At: new(last.Position())})
			break
		}
		page.Images = append(page.Images, imageView(&r))
		last = r
	}
	page.Unread = look.unread
	return page, look.failed(len(page.Images))
}

func (s *server) groupImages(ctx context.Context, look *imagesLook) (any, error) {
	page := struct {
		Images     []ImageGroup   `json:"images"`
		NextCursor string         `json:"next_cursor,omitempty"`
		Unread     []UnreadTarget `json:"unread,omitempty"`
	}{Images: []ImageGroup{}}
	groups, more, err := s.images.Groups(ctx, look.query, look.after, look.limit)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		view := ImageGroup{Name: g.Name, Drift: g.Drift, Versions: []ImageVersion{}}
		for _, v := range g.Versions {
			view.Versions = append(view.Versions, ImageVersion(v))
		}
		page.Images = append(page.Images, view)
	}
	if more {
		page.NextCursor = cursorOf(imagesCursor{Name: groups[len(groups)-1].Name})
	}
	page.Unread = look.unread
	return page, look.failed(len(page.Images))
}

func (s *server) compareImages(ctx context.Context, look *imagesLook) (any, error) {
	look.query.Unread = nil // half a comparison would be wrong
	compared, more, err := s.images.Compare(ctx, look.query, look.compare[0], look.compare[1], look.after, look.limit)
	if err != nil {
		return nil, err
	}
	page := struct {
		Images     []comparison `json:"images"`
		NextCursor string       `json:"next_cursor,omitempty"`
	}{Images: []comparison{}}
	for _, c := range compared {
		page.Images = append(page.Images, comparison{Comparison: c, a: look.compare[0], b: look.compare[1]})
	}
	if more {
		page.NextCursor = cursorOf(imagesCursor{Name: compared[len(compared)-1].Name})
	}
	return page, nil
}

// failed returns the problem of the targets when there is nothing but problems.
func (l *imagesLook) failed(found int) error {
	if found > 0 || len(l.unread) == 0 || l.query.After != (inventory.Position{}) {
		return nil
	}
	for _, u := range l.unread {
		if u.Problem.Code != l.unread[0].Problem.Code {
			return nil
		}
	}
	p := l.unread[0].Problem
	return &endedError{problem: problem{status: p.Status, code: p.Code, detail: p.Detail}}
}

// comparison is an inventory.Comparison whose fields have the targets' names.
type comparison struct {
	inventory.Comparison
	a, b string
}

// MarshalJSON returns the object with its fields in order.
func (c comparison) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	for i, field := range []struct {
		name  string
		value any
	}{{"name", c.Name}, {c.a, present0(c.A)}, {c.b, present0(c.B)}, {"same", c.Same}} {
		name, err := json.Marshal(field.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(field.value)
		if err != nil {
			return nil, err
		}
		b.WriteString([]string{"{", ","}[min(i, 1)])
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// present0 returns the list, which is empty rather than null.
func present0(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func imageView(r *inventory.Reference) ImageReference {
	return ImageReference{
		Image: r.Image, Name: r.Name, Target: r.Target, Repository: r.Repo.String(), Branch: r.Branch, Path: r.Path,
		Line: r.Line, Column: r.Column, Pointer: r.Pointer, Version: r.Version, Digest: present(r.Digest), State: r.State,
	}
}

// imagesCursor is where a page ended: at a reference, or at a name.
type imagesCursor struct {
	At   *inventory.Position `json:"at,omitempty"`
	Name string              `json:"name,omitempty"`
}

func cursorOf(c imagesCursor) string {
	text, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// resume reports whether the cursor is one of this kind of page.
func (l *imagesLook) resume(text string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	var c imagesCursor
	if json.Unmarshal(raw, &c) != nil {
		return false
	}
	l.query.After, l.after = valueOf(c.At), c.Name
	if l.groups || l.compare != nil {
		return c.Name != "" && c.At == nil
	}
	return c.Name == "" && c.At != nil
}

// lookError is an error of an answer that only reads.
type lookError struct{ err error }

// Error is for the log.
func (e *lookError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *lookError) Unwrap() error { return e.err }

// asRead removes from a problem's detail what it says of a write.
func asRead(detail string) string {
	return strings.NewReplacer("; nothing was written, send", "; send", "; nothing was written", "").Replace(detail)
}

// lookProblem returns the problem of an answer that only reads.
func lookProblem(e *lookError) problem {
	if errors.Is(e.err, context.DeadlineExceeded) {
		return problem{
			status: http.StatusGatewayTimeout, code: ProblemCodeTimeout,
			detail: "the branches could not be read in time; what was read is remembered: send the request again, or ask for one target",
		}
	}
	var unnamed *inventory.NotNamedError
	if errors.As(e.err, &unnamed) {
		return problem{status: http.StatusNotFound, code: ProblemCodeImageNotReferenced, detail: unnamed.Error()}
	}
	p := problemOf(e.err)
	p.detail = asRead(p.detail)
	return p
}
