package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const rollbacksRoute = "/v1/rollbacks"

// rollback is what a caller asks for.
type rollback struct {
	image  image.Repository
	target *string
	to     image.Tag // zero for the version before the present one
	hold   bool
	reason string
	dryRun bool
}

// CreateRollback answers POST /v1/rollbacks.
func (s *server) CreateRollback(ctx context.Context, in CreateRollbackRequestObject) (CreateRollbackResponseObject, error) {
	g := ginContext(ctx)
	asked, err := parseRollback(in.Body)
	if err != nil {
		return nil, err
	}
	do := func(ctx context.Context) (response, error) { return s.rollBack(ctx, g, asked) }
	return s.derived(g, derivation{rollbacksRoute, in.Body}, valueOf(in.Params.IdempotencyKey), asked.dryRun, do)
}

// derivation is a request's body with its route, for the hash of an Idempotency-Key.
type derivation struct {
	Route string
	Body  any
}

// derived carries out a request, once for each key.
func (s *server) derived(g *gin.Context, d derivation, key string, dryRun bool, do func(context.Context) (response, error)) (response, error) {
	if key == "" || dryRun {
		return do(g.Request.Context())
	}
	return s.once(g, keyOf(identityOf(g), key, d), do)
}

func parseRollback(in *RollbackRequest) (rollback, error) {
	asked := rollback{
		target: in.Target, hold: in.Hold == nil || *in.Hold, reason: strings.TrimSpace(valueOf(in.Reason)), dryRun: valueOf(in.DryRun),
	}
	var wrong []FieldError
	var err error
	if asked.image, err = image.ParseRepository(in.Image); err != nil {
		wrong = append(wrong, FieldError{Pointer: "/image", Detail: err.Error()})
	}
	if in.To != nil {
		if asked.to, err = image.ParseTag(*in.To); err != nil {
			wrong = append(wrong, FieldError{Pointer: "/to", Detail: err.Error()})
		}
	}
	if wrong = append(wrong, wrongReason(in.Reason)...); wrong != nil {
		return rollback{}, wrongFields(wrong, 0)
	}
	return asked, nil
}

// rollBack turns a rollback into an update under a hold, and carries that out.
func (s *server) rollBack(ctx context.Context, g *gin.Context, asked rollback) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	place, err := s.oneTarget(g, asked.image, asked.target, s.naming(ctx, asked.image))
	if err != nil {
		return response{}, err
	}
	r := s.newRequest(g, asked.dryRun)
	r.Targets = []string{place.ID}
	if err := vouch(principalOf(g), &r); err != nil {
		return response{}, err
	}
	holds, err := s.ownHolds(ctx, g, asked.image, place.ID)
	if err != nil {
		return response{}, err
	}
	r.HoldReason = asked.reason
	for _, h := range holds {
		r.Passes = append(r.Passes, h.ID)
	}
	if len(holds) > 0 && r.HoldReason == "" {
		r.HoldReason = holds[0].Reason
	}
	m, known, err := s.earlier(ctx, place.ID, asked, holds)
	if err != nil {
		return response{}, err
	}
	r.Images, r.Rollback = []update.Image{m}, known
	noteRequest(g, r)
	if err := s.permit(g, &r); err != nil {
		return response{}, err
	}
	if err := s.holdThere(g, &r, asked, holds); err != nil {
		return response{}, err
	}
	return s.submit(ctx, g, r)
}

// newRequest returns an update's request of the caller without images.
func (s *server) newRequest(g *gin.Context, dryRun bool) update.Request {
	return update.Request{ID: s.newID(), Caller: g.GetString(keyCaller), At: time.Now(), DryRun: dryRun}
}

// submit carries an update out at once, or stores it if the caller prefers that.
func (s *server) submit(ctx context.Context, g *gin.Context, r update.Request) (response, error) {
	if prefer := parsePrefer(g.Request.Header); prefer.stored && !r.DryRun {
		return s.createStored(g, r, nil, prefer, "")
	}
	return s.createNow(ctx, g, r)
}

// naming returns a function that narrows targets to those that name the image, by the
// branches as they are now.
func (s *server) naming(ctx context.Context, repository image.Repository) func([]update.Place) ([]update.Place, error) {
	return func(places []update.Place) ([]update.Place, error) {
		q := inventory.Query{Image: repository.Name()}
		for _, p := range places {
			q.Targets = append(q.Targets, p.ID)
		}
		named := map[string]bool{}
		for found, err := range s.images.References(ctx, q) {
			if err != nil {
				return nil, err
			}
			named[found.Target] = true
		}
		left := slices.DeleteFunc(slices.Clone(places), func(p update.Place) bool { return !named[p.ID] })
		if len(left) == 0 {
			return nil, s.notReferenced(places[0], repository.String())
		}
		return left, nil
	}
}

// notReferenced returns the error of images that a target does not name. Where targets share
// its branch it is only a part of that, of which another part may name them.
func (s *server) notReferenced(target update.Place, images ...string) error {
	shares := func(other update.Place) bool { return other.Key == target.Key && other.ID != target.ID }
	return &update.NotReferencedError{
		Images: images, Repo: target.Repo, Branch: target.Branch, Narrowed: slices.ContainsFunc(s.updates.Places(), shares),
	}
}

// ownHolds returns the holds on the image that the caller may release, the oldest first:
// a rollback passes them.
func (s *server) ownHolds(ctx context.Context, g *gin.Context, repository image.Repository, target string) ([]queue.Hold, error) {
	holds, err := s.queue.Holds(ctx)
	if err != nil {
		return nil, asStoreError(err)
	}
	return slices.DeleteFunc(holds, func(h queue.Hold) bool {
		return h.Image != repository.Name() || h.Target != target || s.mayRelease(g, h) != nil
	}), nil
}

// earlier returns the image at the version that it is rolled back to, and reports whether
// the target is known to have had it. While the image stands where one of the holds was
// put, the rollback is done, and that version is returned.
func (s *server) earlier(ctx context.Context, target string, asked rollback, holds []queue.Hold) (m update.Image, known bool, err error) {
	m = update.Image{Repository: asked.image, Version: asked.to}
	if !asked.to.IsZero() {
		for v, err := range s.past(ctx, target, asked.image) {
			if err != nil {
				return m, false, err
			}
			if v.tag == asked.to {
				m.Digest = v.digest
				return m, true, nil
			}
		}
		return m, false, nil
	}
	present, err := s.present(ctx, target, asked.image)
	if err != nil {
		return m, false, err
	}
	if slices.ContainsFunc(holds, func(h queue.Hold) bool { return h.Version == present.tag.String() }) {
		m.Version, m.Digest = present.tag, present.digest
		return m, true, nil
	}
	for v, err := range s.past(ctx, target, asked.image) {
		if err != nil {
			return m, false, err
		}
		if !v.same(present) {
			m.Version, m.Digest = v.tag, v.digest
			return m, true, nil
		}
	}
	return m, false, wrongFields([]FieldError{{
		Pointer: "/to", Detail: fmt.Sprintf("the history of %s shows no version of %s before %s; name one", target, asked.image, present.tag),
	}}, 0)
}

// version is a version that an image has or had.
type version struct {
	tag    image.Tag
	digest image.Digest // zero when it is not known
}

// same reports whether both are one version, as far as their digests are known.
func (v version) same(other version) bool {
	return v.tag == other.tag && (v.digest == other.digest || v.digest.IsZero() || other.digest.IsZero())
}

// present returns the version that the image has in the target. The error is an
// *ambiguousError when it has several there.
func (s *server) present(ctx context.Context, target string, repository image.Repository) (version, error) {
	pins, err := s.images.Pins(ctx, inventory.Query{Targets: []string{target}, Image: repository.Name()})
	if err != nil {
		return version{}, err
	}
	if len(pins) == 0 {
		place, _ := s.place(target)
		return version{}, s.notReferenced(place, repository.String())
	}
	v := version{}
	switch one := pins[0]; {
	case len(one.Versions) > 1:
		return version{}, &ambiguousError{pointer: "/to", image: one.Name, target: target, versions: one.Versions, advice: "name one in to"}
	case len(one.Versions) == 0:
		return version{}, wrongFields([]FieldError{{
			Pointer: "/to", Detail: fmt.Sprintf("%s has no version in %s; name one", repository, target),
		}}, 0)
	default:
		v.tag, err = image.ParseTag(one.Versions[0])
		if err == nil && one.Digest != "" {
			v.digest, err = image.ParseDigest(one.Digest)
		}
		return v, err
	}
}

// holdThere makes the hold that the rollback leaves its image under, before it is
// carried out. One of the caller's that stands already is kept, and is for the new
// version then.
func (s *server) holdThere(g *gin.Context, r *update.Request, asked rollback, holds []queue.Hold) error {
	if r.DryRun || !asked.hold && len(holds) == 0 {
		return nil
	}
	h := queue.Hold{ID: s.newID(), Image: asked.image.Name(), Target: r.Targets[0], Reason: asked.reason, By: r.Caller}
	if len(holds) > 0 {
		h = holds[0]
	} else {
		r.Hold = h.ID
	}
	h.Version = r.Images[0].Version.String()
	if _, err := s.queue.AddHold(g.Request.Context(), h); err != nil {
		return asStoreError(err)
	}
	note(g, slog.String("hold", h.ID))
	return nil
}

// settle takes back the hold that was made for a request, unless that found or left its
// image at the version, or may have done so.
func (s *server) settle(g *gin.Context, r update.Request, results []update.Result) {
	if r.Hold == "" || r.DryRun {
		return
	}
	for _, result := range results {
		failure, failed := result.Failure()
		if failed && failure.InDoubt || !failed && result.Status != update.Held && result.Status != update.Superseded {
			return
		}
	}
	s.takeBack(g, r.Hold)
}

// takeBack removes the hold of a request that came to nothing. While the store is away
// the hold stays, and whoever may do so releases it.
func (s *server) takeBack(g *gin.Context, hold string) {
	if hold == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.Request.Context()), keepPatience)
	defer cancel()
	if err := s.queue.RemoveHold(ctx, hold); err != nil && !errors.Is(err, queue.ErrNoHold) {
		note(g, slog.String("hold_not_taken_back", err.Error()))
	}
}

// holdAgain makes the hold again that came with a stored rollback and was taken back when
// that came to nothing. It returns the hold's id, "" for every other update.
func (s *server) holdAgain(g *gin.Context, id string) (hold string, err error) {
	u, err := s.queue.Get(g.Request.Context(), id)
	if err != nil {
		return "", asStoreError(err)
	}
	r, err := update.DecodeRequest(u.Request)
	if err != nil || r.Hold == "" || len(u.Tasks) != 1 || !u.Tasks[0].Status.CameToNothing() {
		return "", nil //nolint:nilerr // a request that cannot be read fails when it is carried out
	}
	_, err = s.queue.AddHold(g.Request.Context(), queue.Hold{
		ID: r.Hold, Image: u.Image, Target: u.Tasks[0].Target, Version: u.Version, Reason: r.HoldReason, By: u.Caller,
	})
	if err != nil {
		return "", asStoreError(err)
	}
	return r.Hold, nil
}

// ambiguousError reports that an image stands at several versions where one is needed.
type ambiguousError struct {
	pointer       string // to the field
	image, target string
	versions      []string
	advice        string
}

// maxVersions bounds the versions that an error lists.
const maxVersions = 5

// Error is a sentence for the caller.
func (e *ambiguousError) Error() string {
	listed := e.versions
	if more := len(listed) - maxVersions; more > 0 {
		listed = append(slices.Clone(listed[:maxVersions]), fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s stands at several versions in %s: %s; %s", e.image, e.target, strings.Join(listed, ", "), e.advice)
}
