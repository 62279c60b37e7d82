package api

import (
	"context"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
)

// authenticate refuses a request whose operation needs a caller and whose bearer
// token (RFC 6750, section 2.1) belongs to no caller.
func authenticate(contract *contract, callers *caller.Callers) gin.HandlerFunc {
	return func(c *gin.Context) {
		if callers == nil || !contract.secured(c) {
			return
		}
		scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
		if token = strings.TrimSpace(token); token == "" || !strings.EqualFold(scheme, "Bearer") {
			abort(c, errUnauthenticated)
			return
		}
		principal, err := callers.Authenticate(c.Request.Context(), token)
		if err != nil {
			abort(c, err)
			return
		}
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
