package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const (
	promotionsRoute = "/v1/promotions"
	// maxPromoted bounds the images of a promotion. It is above that of a list in a
	// body, because nobody writes it by hand.
	maxPromoted = 500
)

// The reasons for which a promotion leaves an image out.
const (
	leftUnnamed   = "image_not_referenced"
	leftAmbiguous = "ambiguous_version"
	leftUnversed  = "no_version"
)

// promotion is what a caller asks for.
type promotion struct {
	from, to update.Place
	images   []string // globs over normalised names; none means all
	dryRun   bool
}

// CreatePromotion answers POST /v1/promotions.
func (s *server) CreatePromotion(ctx context.Context, in CreatePromotionRequestObject) (CreatePromotionResponseObject, error) {
	g := ginContext(ctx)
	asked, err := s.parsePromotion(g, in.Body)
	if err != nil {
		return nil, err
	}
	do := func(ctx context.Context) (response, error) { return s.promote(ctx, g, asked) }
	return s.derived(g, derivation{promotionsRoute, in.Body}, valueOf(in.Params.IdempotencyKey), asked.dryRun, do)
}

func (s *server) parsePromotion(g *gin.Context, in *PromotionRequest) (asked promotion, err error) {
	if asked.from, err = s.targetNamed(g, "/from", in.From); err != nil {
		return asked, err
	}
	if asked.to, err = s.targetNamed(g, "/to", in.To); err != nil {
		return asked, err
	}
	asked.dryRun = valueOf(in.DryRun)
	var wrong []FieldError
	if asked.from.ID == asked.to.ID {
		wrong = append(wrong, FieldError{Pointer: "/to", Detail: "is the same target as from"})
	}
	for i, glob := range valueOf(in.Images) {
		if err := checkGlob(glob); err != nil {
			wrong = append(wrong, FieldError{Pointer: fmt.Sprintf("/images/%d", i), Detail: err.Error()})
		}
		asked.images = append(asked.images, normalisedGlob(glob))
	}
	if err := checkGlobs(asked.images); err != nil {
		wrong = append(wrong, FieldError{Pointer: "/images", Detail: err.Error()})
	}
	if wrong != nil {
		return asked, wrongFields(wrong, 0)
	}
	return asked, nil
}

// promote turns a promotion into an update of several images, and carries that out.
func (s *server) promote(ctx context.Context, g *gin.Context, asked promotion) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r := s.newRequest(g, asked.dryRun)
	r.Listed, r.Targets, r.Promotes = true, []string{asked.to.ID}, asked.from.ID
	if err := vouch(principalOf(g), &r); err != nil {
		return response{}, err
	}
	if err := s.choosePromoted(ctx, g, asked, &r); err != nil {
		return response{}, err
	}
	noteRequest(g, r)
	if len(r.Images) == 0 {
		body := viewOf(r, nil)
		body.Status, body.Images = StatusUnchanged, &MovedImages{}
		noteOutcome(g, string(body.Status))
		return newResponse(http.StatusOK, "", body)
	}
	if err := s.permit(g, &r); err != nil {
		return response{}, err
	}
	return s.submit(ctx, g, r)
}

// choosePromoted fills in the images that a promotion moves, and those that it leaves out.
func (s *server) choosePromoted(ctx context.Context, g *gin.Context, asked promotion, r *update.Request) error {
	pins, err := s.readable(ctx, g, asked.from.ID)
	if err != nil {
		return err
	}
	pins = slices.DeleteFunc(pins, func(p inventory.Pin) bool { return !asked.takes(p.Name) })
	if missing := asked.unmatched(pins); missing != nil {
		return s.notReferenced(asked.from, missing...)
	}
	named, err := s.images.Pins(ctx, inventory.Query{Targets: []string{asked.to.ID}})
	if err != nil {
		return err
	}
	for _, p := range pins {
		_, found := slices.BinarySearchFunc(named, p.Name, func(other inventory.Pin, name string) int { return strings.Compare(other.Name, name) })
		switch {
		case !found:
			r.LeftOut = append(r.LeftOut, update.LeftOut{Image: p.Name, Reason: leftUnnamed})
		case len(p.Versions) > 1 && slices.Contains(asked.images, p.Name):
			return &ambiguousError{pointer: "/images", image: p.Name, target: asked.from.ID, versions: p.Versions, advice: "make them one first, or leave the image out"}
		case len(p.Versions) > 1:
			r.LeftOut = append(r.LeftOut, update.LeftOut{Image: p.Name, Reason: leftAmbiguous})
		default:
			m, ok := pinned(p)
			if !ok {
				r.LeftOut = append(r.LeftOut, update.LeftOut{Image: p.Name, Reason: leftUnversed})
				continue
			}
			r.Images = append(r.Images, m)
		}
	}
	if len(r.Images) > maxPromoted {
		return wrongFields([]FieldError{{
			Pointer: "/images", Detail: fmt.Sprintf("%d images are more than a promotion moves, which is %d; narrow it by globs", len(r.Images), maxPromoted),
		}}, 0)
	}
	return nil
}

// readable returns the images of a target that the caller may read. The error is a
// *deniedError when its rules cover none of them.
func (s *server) readable(ctx context.Context, g *gin.Context, target string) ([]inventory.Pin, error) {
	q := inventory.Query{Targets: []string{target}}
	q.Reads, q.Covers = s.sightOf(g).bounds()
	pins, err := s.images.Pins(ctx, q)
	if err == nil && len(pins) == 0 && q.Covers != nil {
		return nil, &deniedError{what: "read the images of " + target, decision: policy.Decision{Reasons: []string{"none covers one of them"}}}
	}
	return pins, err
}

// takes reports whether the promotion is for the image.
func (p *promotion) takes(name string) bool {
	return len(p.images) == 0 || slices.ContainsFunc(p.images, func(glob string) bool { return doublestar.MatchUnvalidated(glob, name) })
}

// unmatched returns the globs that match none of the images, if there is no image at all
// or one of them is an image's exact name.
func (p *promotion) unmatched(pins []inventory.Pin) []string {
	var missing []string
	for _, glob := range p.images {
		matches := func(pin inventory.Pin) bool { return doublestar.MatchUnvalidated(glob, pin.Name) }
		if (len(pins) == 0 || !strings.ContainsAny(glob, "*?[{")) && !slices.ContainsFunc(pins, matches) {
			missing = append(missing, glob)
		}
	}
	return missing
}

// pinned returns the image at its only version, and reports whether it has one.
func pinned(p inventory.Pin) (m update.Image, ok bool) {
	if len(p.Versions) == 0 {
		return m, false
	}
	var err error
	if m.Repository, err = image.ParseRepository(p.Name); err != nil {
		return m, false
	}
	if m.Version, err = image.ParseTag(p.Versions[0]); err != nil {
		return m, false
	}
	if p.Digest != "" {
		m.Digest, err = image.ParseDigest(p.Digest)
	}
	return m, err == nil
}
