package api

import (
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

var (
	errForeignHost = errors.New("without callers the service answers on this machine alone: use localhost or 127.0.0.1, or configure callers")
	errCrossSite   = errors.New("a page of another site sent this request")
)

// pagePolicy is the Content-Security-Policy (CSP Level 3) of every answer but those that
// have one of their own: only files of this server.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " + closedPolicy

// closedPolicy is the part of a policy that no page needs open.
const closedPolicy = "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// harden sets what browsers go by.
func harden(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// keepOut refuses what a page of another site has a browser send: a request that changes
// something and, with loopbackOnly, every request by another name than this machine's,
// which is how such a page reads answers (DNS rebinding). Webhooks prove themselves, and
// may come through a tunnel; a probe learns nothing.
func keepOut(loopbackOnly bool) gin.HandlerFunc {
	var protection http.CrossOriginProtection
	return func(c *gin.Context) {
		r := c.Request
		switch {
		case strings.HasPrefix(r.URL.Path, webhooksPath), c.FullPath() == healthRoute:
		case loopbackOnly && !isLoopback(r.Host):
			abort(c, errForeignHost)
		case protection.Check(r) != nil:
			abort(c, errCrossSite)
		}
	}
}

// isLoopback reports whether a Host names this machine; so does none, which no browser
// sends.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
