package api

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// deniedError is what no rule allows the caller.
type deniedError struct {
	what     string // such as "move nginx"
	decision policy.Decision
}

// cannotMove is the error of an update of which no rule allows its caller an image.
func cannotMove(image string, d policy.Decision) error {
	return &deniedError{what: "move " + image, decision: d}
}

// Error returns what is not allowed, the reasons and the closest rule.
func (e *deniedError) Error() string {
	reasons := strings.Join(e.decision.Reasons, "; ")
	if e.decision.Rule == "" {
		return "no rule allows to " + e.what + ": " + reasons
	}
	return "no rule allows to " + e.what + "; the closest is " + e.decision.Rule + ": " + reasons
}

// permit narrows each image of the request to the targets in which a rule allows to move
// it, before GitHub is asked. Rules that are only watched narrow nothing. The error is a
// *deniedError when an image has no target left, or that of Choose.
func (s *server) permit(g *gin.Context, r *update.Request) error {
	if s.policy == nil {
		return nil
	}
	judge := s.judgeOf(g, policy.Move{Override: r.OverrideReason != "", Rollback: r.Rollback})
	choices, err := s.updates.Choose(*r)
	if err != nil {
		return s.tell(g, judge, *r, err)
	}
	images := slices.Clone(r.Images)
	for i, m := range images {
		var permits []update.Permit
		var refused policy.Decision
		for _, c := range choices {
			if !slices.ContainsFunc(c.Images, func(other update.Image) bool { return other.Repository.Equal(m.Repository) }) {
				continue
			}
			d := judge(m, c.ID)
			switch {
			case d.Allowed:
				permits = append(permits, update.Permit{Target: c.ID, Rule: d.Rule, RefuseDowngrade: d.RefuseDowngrade, Rollback: d.Rollback, Watched: s.policy.Watched()})
			case s.policy.Watched():
				permits = append(permits, update.Permit{Target: c.ID, Watched: true, WouldDeny: d.Reasons, Closest: d.Rule})
			case refused.Reasons == nil || len(d.Reasons) < len(refused.Reasons):
				refused = d
			}
		}
		if len(permits) == 0 {
			return cannotMove(m.Repository.String(), refused)
		}
		images[i].Permits = permits
	}
	r.Images = images
	return nil
}

// tell returns the error of Choose as far as the caller may know it: what a target takes
// is told to those who may move the image there, and that it exists to those who may read
// of it.
func (s *server) tell(g *gin.Context, judge judge, r update.Request, err error) error {
	seen := s.sightOf(g)
	var foreign *update.NoTargetError
	if errors.As(err, &foreign) {
		told := *foreign
		told.Targets = seen.places(foreign.Targets)
		return &told
	}
	var refused *update.DeniedError
	if !errors.As(err, &refused) {
		return err
	}
	for _, m := range r.Images {
		if m.Repository.String() == refused.Image && !seen.covers(refused.ID, m.Repository.Name()) {
			return cannotMove(refused.Image, judge(m, refused.ID))
		}
	}
	return err
}

// judge decides about an image in a target.
type judge func(m update.Image, target string) policy.Decision

// judgeOf returns a judge for the caller, which logs each decision. kind says what the
// update is beside image, version and target.
func (s *server) judgeOf(g *gin.Context, kind policy.Move) judge {
	p := principalOf(g)
	asked := asCaller(p)
	return func(m update.Image, target string) policy.Decision {
		d := s.policy.Decide(asked, policy.Move{Image: m.Repository, Version: m.Version, Target: target, Override: kind.Override, Rollback: kind.Rollback})
		s.audit(g, p, m, target, d)
		return d
	}
}

// auditResults logs what the targets, or rules by what the branches hold, refused.
func (s *server) auditResults(g *gin.Context, results []update.Result) {
	for _, result := range results {
		for _, d := range result.Refusals() {
			s.audit(g, principalOf(g), d.Image, result.ID, policy.Decision{Rule: d.Rule, Reasons: d.Reasons})
		}
	}
}

// audit logs one decision.
func (s *server) audit(g *gin.Context, p caller.Principal, m update.Image, target string, d policy.Decision) {
	outcome := "denied"
	switch {
	case d.Allowed:
		outcome = "allowed"
	case s.policy != nil && s.policy.Watched():
		outcome = "would_deny"
	}
	attrs := []slog.Attr{
		slog.String("request_id", requestID(g)), slog.String("caller", strings.Join(p.Names(), ",")), slog.String("rule", d.Rule), slog.String("target", target),
		slog.String("image", m.Repository.Name()), slog.String("version", m.Version.String()), slog.String("outcome", outcome),
	}
	claims, matched := p.Claims(), p.Matched()
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if slices.Contains(auditedClaims, name) || slices.Contains(d.Claims, name) || slices.Contains(matched, name) {
			attrs = append(attrs, slog.String("claim_"+name, claims[name]))
		}
	}
	if len(d.Reasons) > 0 {
		attrs = append(attrs, slog.Any("reasons", d.Reasons))
	}
	s.logger.LogAttrs(g.Request.Context(), slog.LevelInfo, "audit", bounded(attrs)...)
}

// auditedClaims identify the job, whichever claims count for its callers and rules; a token
// has many others, and long ones.
var auditedClaims = []string{
	"iss", "sub", "repository", "repository_id", "repository_owner_id", "ref", "event_name", "run_id", "run_attempt", "actor",
	"project_path", "project_id", "namespace_id", "pipeline_source", "job_id", "user_login",
}

func asCaller(p caller.Principal) policy.Caller {
	return policy.Caller{Names: p.Names(), Claims: p.Claims()}
}

// vouch fills the request's source from the caller's token. The error is an
// *invalidError for a body that contradicts the token.
func vouch(p caller.Principal, r *update.Request) error {
	source := p.Source()
	if source == (caller.Source{}) {
		return nil
	}
	var wrong []FieldError
	for _, field := range []struct {
		pointer string
		said    *string
		known   string
	}{
		{"/source/repository", &r.Source.Repository, source.Repository},
		{"/source/revision", &r.Source.Revision, source.Revision},
		{"/source/url", &r.Source.URL, source.URL},
	} {
		if field.known == "" {
			continue
		}
		if *field.said != "" && *field.said != field.known {
			wrong = append(wrong, FieldError{Pointer: field.pointer, Detail: "is not what the token says; leave it out"})
		}
		*field.said = field.known
	}
	if len(wrong) > 0 {
		return wrongFields(wrong, 0)
	}
	return nil
}

// mayRetry returns a *deniedError unless rules allow the caller each image of the stored
// update in every target.
func (s *server) mayRetry(g *gin.Context, u queue.Update) error {
	if s.policy == nil {
		return nil
	}
	stored, err := update.DecodeRequest(u.Request)
	judge := s.judgeOf(g, policy.Move{Override: err == nil && stored.OverrideReason != "", Rollback: err == nil && stored.Rollback})
	for _, task := range u.Tasks {
		repository, err := image.ParseRepository(task.Image)
		if err != nil {
			return queue.ErrNotFound
		}
		tag, err := image.ParseTag(cmp.Or(task.Version, u.Version))
		if err != nil {
			return queue.ErrNotFound
		}
		if d := judge(update.Image{Repository: repository, Version: tag}, task.Target); !d.Allowed && !s.policy.Watched() {
			return cannotMove(repository.String(), d)
		}
	}
	return nil
}
