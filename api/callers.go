package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// ErrInvalidCallers is returned by ParseCallers. Its text never holds a secret.
var ErrInvalidCallers = errors.New("want name=secret pairs, separated by commas")

var callerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Callers knows callers by their secrets, of which it keeps hashes alone. It is
// immutable and safe for concurrent use.
type Callers struct {
	known []caller
}

type caller struct {
	name   string
	sum    [sha256.Size]byte
	length int // of the secret, in bytes
}

// ParseCallers reads name=secret pairs that are separated by commas; several
// secrets may share a name, but no secret may stand for two. A name is up to 64 letters, digits, dots, hyphens
// and underscores. The error wraps ErrInvalidCallers.
func ParseCallers(text string) (*Callers, error) {
	c := &Callers{}
	for i, pair := range strings.Split(text, ",") {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		name, secret, _ := strings.Cut(pair, "=")
		switch {
		case secret == "":
			return nil, fmt.Errorf("%w: pair %d has no secret", ErrInvalidCallers, i+1)
		case !callerName.MatchString(name):
			return nil, fmt.Errorf("%w: the name of pair %d is empty or holds other than letters, digits, '.', '-' and '_'", ErrInvalidCallers, i+1)
		}
		if other, taken := c.Authenticate(secret); taken && other != name {
			return nil, fmt.Errorf("%w: %s and %s have the same secret; give each its own", ErrInvalidCallers, other, name)
		}
		c.known = append(c.known, caller{name: name, sum: sha256.Sum256([]byte(secret)), length: len(secret)})
	}
	if len(c.known) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrInvalidCallers)
	}
	return c, nil
}

// Shorter returns the names that have a secret of less than n bytes, each once.
func (c *Callers) Shorter(n int) []string {
	var names []string
	for _, k := range c.known {
		if k.length < n && !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
	}
	return names
}

// Authenticate returns the name that the secret belongs to. It takes the same
// time whether one matches, and which.
func (c *Callers) Authenticate(secret string) (name string, ok bool) {
	sum := sha256.Sum256([]byte(secret))
	for _, k := range c.known {
		if subtle.ConstantTimeCompare(sum[:], k.sum[:]) == 1 {
			name, ok = k.name, true
		}
	}
	return name, ok
}

// authenticate lets a request through whose operation needs no caller, or whose
// bearer token is a caller's (RFC 6750, section 2.1).
func authenticate(contract *contract, callers *Callers) gin.HandlerFunc {
	return func(c *gin.Context) {
		if callers == nil || !contract.secured(c) {
			return
		}
		scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
		name, ok := callers.Authenticate(strings.TrimSpace(token))
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			abort(c, errUnauthenticated)
			return
		}
		c.Set(keyCaller, name)
	}
}
