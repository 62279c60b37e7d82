package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const holdsRoute = "/v1/holds"

// maxUntil bounds how far ahead a hold may end. One for longer is for good: it has no end.
const maxUntil = 366 * 24 * time.Hour

// ListHolds answers GET /v1/holds.
func (s *server) ListHolds(ctx context.Context, _ ListHoldsRequestObject) (ListHoldsResponseObject, error) {
	g := ginContext(ctx)
	holds, err := s.queue.Holds(g.Request.Context())
	if err != nil {
		return nil, asStoreError(err)
	}
	body := HoldList{Holds: []Hold{}}
	seen := s.sightOf(g)
	for _, h := range holds {
		if seen.covers(h.Target, h.Image) {
			body.Holds = append(body.Holds, holdView(h))
		}
	}
	return ListHolds200JSONResponse{Body: body}, nil
}

// CreateHold answers POST /v1/holds.
func (s *server) CreateHold(ctx context.Context, in CreateHoldRequestObject) (CreateHoldResponseObject, error) {
	g := ginContext(ctx)
	key, d := valueOf(in.Params.IdempotencyKey), derivation{holdsRoute, in.Body}
	id := s.newID()
	if key != "" {
		id = idOf(keyOf(identityOf(g), key, d))
	}
	do := func(ctx context.Context) (response, error) { return s.holdImage(ctx, g, id, in.Body) }
	return s.derived(g, d, key, false, do)
}

// holdImage makes the hold, unless the id is one that stands: then a crash has kept its
// answer from the caller.
func (s *server) holdImage(ctx context.Context, g *gin.Context, id string, in *HoldRequest) (response, error) {
	repository, err := parseHold(in, time.Now())
	if err != nil {
		return response{}, err
	}
	place, err := s.oneTarget(g, repository, in.Target, nil)
	if err != nil {
		return response{}, err
	}
	hold := queue.Hold{
		ID: id, Image: repository.Name(), Target: place.ID, Reason: strings.TrimSpace(valueOf(in.Reason)),
		By: g.GetString(keyCaller), Until: valueOf(in.Until),
	}
	note(g, slog.String("hold", hold.ID), slog.String("image", hold.Image), slog.String("target", hold.Target))
	stored, err := s.queue.AddHold(ctx, hold)
	if err != nil {
		return response{}, asStoreError(err)
	}
	s.hintHold(ctx, stored)
	return newResponse(http.StatusCreated, holdsRoute+"/"+stored.ID, holdView(stored))
}

// ReleaseHold answers DELETE /v1/holds/{id}.
func (s *server) ReleaseHold(ctx context.Context, in ReleaseHoldRequestObject) (ReleaseHoldResponseObject, error) {
	g := ginContext(ctx)
	if uuid.Validate(in.Id) != nil {
		return nil, queue.ErrNoHold
	}
	holds, err := s.queue.Holds(g.Request.Context())
	if err != nil {
		return nil, asStoreError(err)
	}
	i := slices.IndexFunc(holds, func(h queue.Hold) bool { return h.ID == in.Id })
	if i < 0 || !s.sightOf(g).covers(holds[i].Target, holds[i].Image) {
		return nil, queue.ErrNoHold
	}
	note(g, slog.String("hold", in.Id), slog.String("image", holds[i].Image), slog.String("target", holds[i].Target))
	if err := s.mayRelease(g, holds[i]); err != nil {
		return nil, err
	}
	if err := s.queue.RemoveHold(g.Request.Context(), in.Id); err != nil {
		return nil, asStoreError(err)
	}
	s.hintHold(ctx, holds[i])
	return ReleaseHold204Response{}, nil
}

// hintHold has the pull requests of the hold's target looked at: none is merged by itself
// while a hold stands. When the store does not take the hint they are looked at later.
func (s *server) hintHold(ctx context.Context, h queue.Hold) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordPatience)
	defer cancel()
	_ = s.queue.HintProposals(ctx, []string{h.Target})
}

// parseHold checks the fields of a body that matches the description. The error is an
// *invalidError.
func parseHold(in *HoldRequest, now time.Time) (image.Repository, error) {
	var wrong []FieldError
	repository, err := image.ParseRepository(in.Image)
	if err != nil {
		wrong = append(wrong, FieldError{Pointer: "/image", Detail: err.Error()})
	}
	wrong = append(wrong, wrongReason(in.Reason)...)
	if in.Until != nil && (!in.Until.After(now) || in.Until.After(now.Add(maxUntil))) {
		wrong = append(wrong, FieldError{Pointer: "/until", Detail: "must be a time to come, within 366 days; leave it out for a hold without an end"})
	}
	if wrong != nil {
		return image.Repository{}, wrongFields(wrong, 0)
	}
	return repository, nil
}

// wrongReason returns what is wrong with a reason, which may reach a commit's message.
func wrongReason(reason *string) (wrong []FieldError) {
	for _, check := range []func(string) error{checkCharacters, checkCredentials} {
		if err := check(valueOf(reason)); err != nil {
			wrong = append(wrong, FieldError{Pointer: "/reason", Detail: err.Error()})
		}
	}
	return wrong
}

// oneTarget returns the target that a body names or, when it names none, the only one
// that takes the image and in which the caller may move it. When there are several, those
// count that narrow leaves, which may be nil. The error is an *invalidError for the field,
// a *deniedError, or that of Choose or narrow.
func (s *server) oneTarget(
	g *gin.Context, repository image.Repository, name *string, narrow func([]update.Place) ([]update.Place, error),
) (update.Place, error) {
	r := update.Request{Images: []update.Image{{Repository: repository}}}
	if name != nil {
		place, err := s.targetNamed(g, "/target", *name)
		if err != nil {
			return update.Place{}, err
		}
		r.Targets = []string{place.ID}
	}
	if err := s.permit(g, &r); err != nil {
		return update.Place{}, err
	}
	choices, err := s.updates.Choose(r)
	if err != nil {
		return update.Place{}, err
	}
	places := make([]update.Place, len(choices))
	for i, c := range choices {
		places[i] = c.Place
	}
	if len(places) > 1 && narrow != nil {
		if places, err = narrow(places); err != nil {
			return update.Place{}, err
		}
	}
	if len(places) > 1 {
		stand := "take"
		if narrow != nil {
			stand = "have"
		}
		return update.Place{}, wrongFields([]FieldError{{
			Pointer: "/target", Detail: fmt.Sprintf("%d targets %s the image; name one of %s", len(places), stand, targetNames(places)),
		}}, 0)
	}
	return places[0], nil
}

// targetNamed returns the target of a name, or an *invalidError for the field, which lists
// the targets that the caller may read of.
func (s *server) targetNamed(g *gin.Context, pointer, name string) (update.Place, error) {
	if place, ok := s.place(name); ok {
		return place, nil
	}
	detail := brief(name) + " is no target"
	if seen := s.sightOf(g).places(s.updates.Places()); len(seen) > 0 {
		detail += "; there are " + targetNames(seen)
	}
	return update.Place{}, wrongFields([]FieldError{{Pointer: pointer, Detail: detail}}, 0)
}

// place returns the target of an id, and reports whether there is one.
func (s *server) place(id string) (update.Place, bool) {
	places := s.updates.Places()
	i := slices.IndexFunc(places, func(p update.Place) bool { return p.ID == id })
	if i < 0 {
		return update.Place{}, false
	}
	return places[i], true
}

// maxTargetNames bounds the targets that an error lists.
const maxTargetNames = 10

func targetNames(places []update.Place) string {
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = p.ID
	}
	if more := len(names) - maxTargetNames; more > 0 {
		names = append(names[:maxTargetNames], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// mayRelease returns a *deniedError unless the caller made the hold, or a rule allows it
// to release those of others.
func (s *server) mayRelease(g *gin.Context, h queue.Hold) error {
	if s.policy == nil {
		return nil
	}
	repository, err := image.ParseRepository(h.Image)
	if err != nil {
		return queue.ErrNoHold
	}
	p := principalOf(g)
	d := s.policy.DecideRelease(asCaller(p), repository, h.Target)
	if own := h.By == g.GetString(keyCaller); own && !d.Allowed {
		d = s.policy.Decide(asCaller(p), policy.Move{Image: repository, Target: h.Target})
	}
	s.audit(g, p, update.Image{Repository: repository}, h.Target, d)
	if !d.Allowed && !s.policy.Watched() {
		return &deniedError{what: "release the hold on " + repository.String(), decision: d}
	}
	return nil
}

func holdView(h queue.Hold) Hold {
	return Hold{
		Id: h.ID, Image: h.Image, Target: h.Target, Reason: h.Reason, By: h.By, At: h.At.UTC(), Until: presentTime(h.Until),
		Version: present(h.Version),
	}
}
