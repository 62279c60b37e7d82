package api

import (
	"cmp"
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

// deniedError is an update of which no rule allows its caller an image.
type deniedError struct {
	image    string
	decision policy.Decision
}

// Error returns the image, the reasons and the closest rule.
func (e *deniedError) Error() string {
	reasons := strings.Join(e.decision.Reasons, "; ")
	if e.decision.Rule == "" {
		return "no rule allows to move " + e.image + ": " + reasons
	}
	return "no rule allows to move " + e.image + "; the closest is " + e.decision.Rule + ": " + reasons
}

// permit narrows each image of the request to the targets in which a rule allows to move
// it, before GitHub is asked. The error is a *deniedError when an image has no target
// left, or that of Choose.
func (s *server) permit(g *gin.Context, r *update.Request) error {
	if s.policy == nil {
		return nil
	}
	choices, err := s.updates.Choose(*r)
	if err != nil {
		return err
	}
	p := principalOf(g)
	judge := s.judgeOf(g, p)
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
				permits = append(permits, update.Permit{Target: c.ID, Rule: d.Rule})
			case refused.Reasons == nil || len(d.Reasons) < len(refused.Reasons):
				refused = d
			}
		}
		if len(permits) == 0 {
			return &deniedError{image: m.Repository.String(), decision: refused}
		}
		images[i].Permits = permits
	}
	r.Images = images
	return nil
}

// judgeOf returns a function that decides about an image in a target for the caller, and
// logs each decision.
func (s *server) judgeOf(g *gin.Context, p caller.Principal) func(update.Image, string) policy.Decision {
	asked := asCaller(p)
	return func(m update.Image, target string) policy.Decision {
		d := s.policy.Decide(asked, policy.Move{Image: m.Repository, Version: m.Version, Target: target})
		s.audit(g, p, m, target, d)
		return d
	}
}

// audit logs one decision.
func (s *server) audit(g *gin.Context, p caller.Principal, m update.Image, target string, d policy.Decision) {
	outcome := "denied"
	if d.Allowed {
		outcome = "allowed"
	}
	attrs := []slog.Attr{
		slog.String("request_id", requestID(g)), slog.Any("callers", p.Names()), slog.String("rule", d.Rule), slog.String("target", target),
		slog.String("image", m.Repository.Name()), slog.String("version", m.Version.String()), slog.String("outcome", outcome),
	}
	claims := p.Claims()
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if slices.Contains(auditedClaims, name) {
			attrs = append(attrs, slog.String("claim_"+name, claims[name]))
		}
	}
	if len(d.Reasons) > 0 {
		attrs = append(attrs, slog.Any("reasons", d.Reasons))
	}
	s.logger.LogAttrs(g.Request.Context(), slog.LevelInfo, "audit", bounded(attrs)...)
}

// auditedClaims identify the job; a token has many others, and long ones.
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

// visible returns the update without the targets in which the caller's rules do not
// cover all of its images. It reports whether any target is left.
func (s *server) visible(g *gin.Context) func(queue.Update) (queue.Update, bool) {
	p := principalOf(g)
	if s.policy == nil || p.ReadsAll() {
		return func(u queue.Update) (queue.Update, bool) { return u, true }
	}
	asked := asCaller(p)
	return func(u queue.Update) (queue.Update, bool) {
		hidden := map[string]bool{}
		for _, t := range u.Tasks {
			repository, err := image.ParseRepository(t.Image)
			hidden[t.Target] = hidden[t.Target] || err != nil || !s.policy.Covers(asked, repository, t.Target)
		}
		u.Tasks = slices.DeleteFunc(slices.Clone(u.Tasks), func(t queue.Task) bool { return hidden[t.Target] })
		return u, len(u.Tasks) > 0
	}
}

// mayRetry returns a *deniedError unless rules allow the caller each image of the stored
// update in every target.
func (s *server) mayRetry(g *gin.Context, u queue.Update) error {
	judge := s.judgeOf(g, principalOf(g))
	for _, task := range u.Tasks {
		repository, err := image.ParseRepository(task.Image)
		if err != nil {
			return queue.ErrNotFound
		}
		tag, err := image.ParseTag(cmp.Or(task.Version, u.Version))
		if err != nil {
			return queue.ErrNotFound
		}
		if d := judge(update.Image{Repository: repository, Version: tag}, task.Target); !d.Allowed {
			return &deniedError{image: repository.String(), decision: d}
		}
	}
	return nil
}
