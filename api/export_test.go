package api

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"
)

// Routes returns the routes of the configuration in force.
func (s *Server) Routes() gin.RoutesInfo { return s.engine.Load().Routes() }

// ClientAddress is the address that a request through the proxies comes from.
func ClientAddress(networks []netip.Prefix, r *http.Request) netip.Prefix {
	return proxies(networks).client(r)
}

// Strangers are the addresses that fail to authenticate, by a clock.
type Strangers struct{ *strangers }

// NewStrangers remembers nobody yet.
func NewStrangers(now func() time.Time) Strangers {
	s := newStrangers()
	s.now = now
	return Strangers{s}
}

// Failed counts a request without a right token.
func (s Strangers) Failed(address netip.Prefix) (time.Duration, int) { return s.failed(address) }

// Len is how many addresses are remembered.
func (s Strangers) Len() int { return len(s.known) }

// MaxStrangers is the most that it may be.
const MaxStrangers = maxStrangers
