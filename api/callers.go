package api

import (
	"context"
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
)

// authenticate refuses a request whose operation needs a caller and whose bearer
// token (RFC 6750, section 2.1) belongs to no caller.
func (s *server) authenticate(c *gin.Context) {
	if s.callers == nil || !s.contract.secured(c) {
		return
	}
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if token = strings.TrimSpace(token); token == "" || !strings.EqualFold(scheme, "Bearer") {
		s.refuse(c, errUnauthenticated)
		return
	}
	principal, err := s.callers.Authenticate(c.Request.Context(), token)
	var wrong *caller.RefusedError
	switch {
	case errors.As(err, &wrong):
		s.refuse(c, err)
	case err != nil:
		abort(c, err)
	default:
		c.Set(keyPrincipal, principal)
		c.Set(keyCaller, principal.Name())
	}
}

// identityOf is the owner of a request's Idempotency-Key: the caller, and for a job
// its subject as well, so that no job gets the answer to another job's key.
func identityOf(g *gin.Context) string {
	p := principalOf(g)
	if subject := p.Claims()["sub"]; subject != "" {
		return p.Name() + " " + subject
	}
	return p.Name()
}

// principalOf returns who sent the request; the zero Principal with AUTH=none.
func principalOf(ctx context.Context) caller.Principal {
	p, _ := ctx.Value(keyPrincipal).(caller.Principal)
	return p
}
