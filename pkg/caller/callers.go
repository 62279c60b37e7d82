package caller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MaxToken is the most bytes of a token: those of issuers have up to 4,000.
const MaxToken = 16 << 10

// Hash is the SHA-256 of a named caller's secret.
type Hash [sha256.Size]byte

// HashOf returns the hash of a secret.
func HashOf(secret string) Hash { return sha256.Sum256([]byte(secret)) }

// Named is a caller with secrets.
type Named struct {
	Name    string
	Secrets []Hash
	// ReadAll lets it see what its rules do not cover.
	ReadAll bool
}

// Options hold the callers.
type Options struct {
	Named     []Named
	Federated []Federated
	// Transport carries requests to issuers. Required with Federated.
	Transport http.RoundTripper
	Now       func() time.Time // default time.Now
	// Before are callers whose issuers are taken over, with the keys that they know,
	// where the new callers have them too. It may be nil.
	Before *Callers
}

// Callers authenticates callers. It is immutable and safe for concurrent use.
type Callers struct {
	named  []Named
	issued []trusted
}

// trusted is an issuer with the callers that it vouches for.
type trusted struct {
	issuer  *issuer
	callers []Federated
}

// New returns the callers. The error names the federated caller that is wrong, or two named
// ones that have the same secret.
func New(o Options) (*Callers, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := checkUnique(o.Named); err != nil {
		return nil, err
	}
	c := &Callers{named: o.Named}
	at := map[string]int{}
	for _, f := range o.Federated {
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("caller %s: %w", f.Name, err)
		}
		key := f.Issuer + "\x00" + string(f.CA)
		i, known := at[key]
		if !known {
			issuer := o.Before.issuerOf(f)
			if issuer == nil {
				var err error
				if issuer, err = newOIDC(f.Issuer, f.CA, o.Transport, o.Now); err != nil {
					return nil, fmt.Errorf("caller %s: %w", f.Name, err)
				}
			}
			i = len(c.issued)
			at[key] = i
			c.issued = append(c.issued, trusted{issuer: issuer})
		}
		c.issued[i].callers = append(c.issued[i].callers, f)
	}
	return c, nil
}

// checkUnique returns an error for a secret of two callers: whoever has it could act as either.
func checkUnique(named []Named) error {
	holder := map[Hash]string{}
	for _, n := range named {
		for _, secret := range n.Secrets {
			if other, taken := holder[secret]; taken && other != n.Name {
				return fmt.Errorf("the callers %s and %s have the same secret; give each its own", other, n.Name)
			}
			holder[secret] = n.Name
		}
	}
	return nil
}

// Holder returns the named caller that the secret belongs to. Its time does not depend on
// which secret matches, if any. Nil has none.
func (c *Callers) Holder(secret string) (name string, ok bool) {
	if c == nil {
		return "", false
	}
	p, ok := c.bySecret(secret)
	return p.Name(), ok
}

// issuerOf returns the caller's issuer, nil if it is not known.
func (c *Callers) issuerOf(f Federated) *issuer {
	if c == nil {
		return nil
	}
	for _, t := range c.issued {
		if t.issuer.url == f.Issuer && bytes.Equal(t.issuer.ca, f.CA) {
			return t.issuer
		}
	}
	return nil
}

// Authenticate returns the principal of a bearer token. The error is a *RefusedError,
// a *ForbiddenError, one that wraps ErrUnavailable, or that of ctx. Every wrong secret
// takes the same time.
func (c *Callers) Authenticate(ctx context.Context, token string) (Principal, error) {
	if token == "" || len(token) > MaxToken {
		return Principal{}, &RefusedError{Reason: fmt.Sprintf("send a token of at most %d bytes as Authorization: Bearer TOKEN", MaxToken)}
	}
	if p, ok := c.bySecret(token); ok {
		return p, nil
	}
	iss, ok := unverifiedIssuer(token)
	if !ok || len(c.issued) == 0 {
		return Principal{}, &RefusedError{Reason: "the token is none of this service's callers"}
	}
	for _, t := range c.issued {
		if t.issuer.url == iss {
			return t.authenticate(ctx, token)
		}
	}
	return Principal{}, &RefusedError{Reason: "the token's issuer is not trusted: callers of the configuration file name the issuers that are"}
}

func (c *Callers) bySecret(token string) (Principal, bool) {
	sum := HashOf(token)
	var found *Named
	for i := range c.named {
		for _, secret := range c.named[i].Secrets {
			if subtle.ConstantTimeCompare(sum[:], secret[:]) == 1 {
				found = &c.named[i]
			}
		}
	}
	if found == nil {
		return Principal{}, false
	}
	return Principal{names: []string{found.Name}, readAll: found.ReadAll}, true
}

// authenticate returns the principal of a token whose claims fit callers.
func (t trusted) authenticate(ctx context.Context, token string) (Principal, error) {
	claims, err := t.issuer.authenticate(ctx, token)
	if err != nil {
		return Principal{}, err
	}
	var audiences []string
	heard := false
	p := Principal{claims: claims.texts}
	var event error
	for _, f := range t.callers {
		audiences = append(audiences, f.Audience)
		if !claims.isFor(f.Audience) {
			continue
		}
		heard = true
		if !f.fits(claims) {
			continue
		}
		if err := refusedEvent(f, claims); err != nil {
			event = err
			continue
		}
		p.names = append(p.names, f.Name)
		p.readAll = p.readAll || f.ReadAll
		p.matched = slices.AppendSeq(p.matched, maps.Keys(f.Claims))
	}
	slices.Sort(p.matched)
	p.matched = slices.Compact(p.matched)
	switch {
	case !heard:
		return Principal{}, &RefusedError{Reason: "the token is for another audience: ask the issuer for one with the audience " + strings.Join(audiences, " or ")}
	case len(p.names) > 0:
		p.source = sourceOf(claims)
		return p, nil
	case event != nil:
		return Principal{}, event
	default:
		return Principal{}, &ForbiddenError{Reason: "the token is valid, but its claims fit no caller of this service"}
	}
}
