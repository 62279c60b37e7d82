package api

import (
	"context"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
)

// authenticate lets a request through whose operation needs no caller, or whose
// bearer token is a caller's (RFC 6750, section 2.1).
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

// identityOf tells apart those who are one caller: each job that an issuer vouches
// for by its subject, so that no job gets the answer to another one's key.
func identityOf(g *gin.Context) string {
	p := principalOf(g)
	if subject := p.Claims()["sub"]; subject != "" {
		return p.Name() + " " + subject
	}
	return p.Name()
}

// principalOf is who sent the request; nobody where everybody may call.
func principalOf(ctx context.Context) caller.Principal {
	p, _ := ctx.Value(keyPrincipal).(caller.Principal)
	return p
}
