package api

import (
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

// deniedError is an update that no rule allows its caller.
type deniedError struct {
	decision policy.Decision
}

// Error returns the reasons and the closest rule.
func (e *deniedError) Error() string {
	reasons := strings.Join(e.decision.Reasons, "; ")
	if e.decision.Rule == "" {
		return "no rule allows this: " + reasons
	}
	return "no rule allows this; the closest is " + e.decision.Rule + ": " + reasons
}

// permit narrows the request to the targets in which a rule allows it, before GitHub
// is asked. The error is a *deniedError when no target is left, or that of Choose.
func (s *server) permit(g *gin.Context, r *update.Request) error {
	if s.policy == nil {
		return nil
	}
	places, err := s.updates.Choose(*r)
	if err != nil {
		return err
	}
	p := principalOf(g)
	var permitted []string
	var refused policy.Decision
	for _, place := range places {
		d := s.policy.Decide(asCaller(p), policy.Move{Image: r.Image, Version: r.Version, Target: place.ID})
		s.audit(g, p, r, place.ID, d)
		switch {
		case d.Allowed:
			permitted = append(permitted, place.ID)
		case refused.Reasons == nil || len(d.Reasons) < len(refused.Reasons):
			refused = d
		}
	}
	if len(permitted) == 0 {
		return &deniedError{decision: refused}
	}
	r.Targets = permitted
	return nil
}

// audit logs one decision.
func (s *server) audit(g *gin.Context, p caller.Principal, r *update.Request, target string, d policy.Decision) {
	outcome := "denied"
	if d.Allowed {
		outcome = "allowed"
	}
	attrs := []slog.Attr{
		slog.String("request_id", requestID(g)), slog.Any("callers", p.Names()), slog.String("rule", d.Rule), slog.String("target", target),
		slog.String("image", r.Image.Name()), slog.String("version", r.Version.String()), slog.String("outcome", outcome),
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

// visible returns the update without the targets that the caller's rules do not
// cover. It reports whether any target is left.
func (s *server) visible(g *gin.Context, u queue.Update) (queue.Update, bool) {
	p := principalOf(g)
	if s.policy == nil || p.ReadsAll() {
		return u, true
	}
	repository, err := image.ParseRepository(u.Image)
	if err != nil {
		return u, false
	}
	u.Tasks = slices.DeleteFunc(slices.Clone(u.Tasks), func(t queue.Task) bool {
		return !s.policy.Covers(asCaller(p), repository, t.Target)
	})
	return u, len(u.Tasks) > 0
}

// mayRetry returns a *deniedError unless rules allow the caller the stored update in
// every target.
func (s *server) mayRetry(g *gin.Context, u queue.Update) error {
	if s.policy == nil {
		return nil
	}
	repository, err := image.ParseRepository(u.Image)
	if err != nil {
		return queue.ErrNotFound
	}
	tag, err := image.ParseTag(u.Version)
	if err != nil {
		return queue.ErrNotFound
	}
	p := principalOf(g)
	r := update.Request{Image: repository, Version: tag}
	for _, task := range u.Tasks {
		d := s.policy.Decide(asCaller(p), policy.Move{Image: repository, Version: tag, Target: task.Target})
		s.audit(g, p, &r, task.Target, d)
		if !d.Allowed {
			return &deniedError{decision: d}
		}
	}
	return nil
}
