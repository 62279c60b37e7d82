package caller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/keyset"
)

const (
	// skew is how far the issuer's clock may be from ours.
	skew = time.Minute
	// maxLife is how far ahead a token may expire; those of jobs expire within hours.
	maxLife = 24 * time.Hour
	// discoveryPause is how long a failed discovery is not repeated.
	discoveryPause = time.Second
)

// issuer verifies the tokens of one issuer, whose keys it finds by OpenID Connect
// Discovery 1.0.
type issuer struct {
	url       string
	ca        []byte // root certificates in PEM; empty: the system's
	transport http.RoundTripper
	now       func() time.Time

	mu     sync.Mutex // one discovery at a time
	keys   *keyset.Set
	failed error
	until  time.Time // failed is returned until then
}

// newOIDC returns an issuer, which sends no request before the first token.
func newOIDC(url string, ca []byte, transport http.RoundTripper, now func() time.Time) (*issuer, error) {
	if len(ca) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(ca) {
			return nil, errors.New("its ca_file holds no certificate in PEM")
		}
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		transport = own
	}
	return &issuer{url: url, ca: ca, transport: transport, now: now}, nil
}

// authenticate verifies the token's signature, issuer and times, and returns its
// claims. It does not check the audience. The error is a *RefusedError, one that wraps
// ErrUnavailable, or that of ctx.
func (i *issuer) authenticate(ctx context.Context, token string) (Claims, error) {
	if _, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256}); err != nil {
		return Claims{}, &RefusedError{Reason: "the token is no JWT that is signed by RS256 or ES256"}
	}
	keys, err := i.discover(ctx)
	if err != nil {
		return Claims{}, err
	}
	config := &oidc.Config{
		SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256},
		SkipClientIDCheck:    true, // each caller has an audience of its own
		SkipExpiryCheck:      true, // checkTimes does it, with a leeway of its own
	}
	verified, err := keys.Verify(ctx, i.url, config, token)
	switch {
	case errors.Is(err, keyset.ErrUnavailable):
		return Claims{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil && strings.Contains(err.Error(), "unmarshal claims"):
		return Claims{}, &RefusedError{Reason: "the token's claims are not as JSON Web Tokens have them (RFC 7519)"}
	case err != nil:
		return Claims{}, &RefusedError{Reason: "the token's signature is by no key of its issuer"}
	}
	var payload rawJSON
	if err := verified.Claims(&payload); err != nil {
		return Claims{}, &RefusedError{Reason: "the token's claims are no JSON object"}
	}
	claims, err := parseClaims(payload)
	if err != nil {
		return Claims{}, &RefusedError{Reason: "the token's claims are no JSON object"}
	}
	return claims, i.checkTimes(claims)
}

// rawJSON keeps the bytes of a payload.
type rawJSON []byte

// UnmarshalJSON copies the text.
func (r *rawJSON) UnmarshalJSON(text []byte) error {
	*r = append((*r)[:0], text...)
	return nil
}

func (i *issuer) checkTimes(c Claims) error {
	now := i.now()
	switch {
	case c.expires.IsZero():
		return &RefusedError{Reason: "the token has no time at which it ends (exp)"}
	case now.After(c.expires.Add(skew)):
		return &RefusedError{Reason: "the token is expired since " + c.expires.UTC().Format(time.RFC3339) + ": ask the issuer for a new one just before the request"}
	case c.expires.After(now.Add(maxLife)):
		return &RefusedError{Reason: "the token is valid for more than 24 hours: ask the issuer for a short-lived one"}
	case c.notYet.After(now.Add(skew)):
		return &RefusedError{Reason: "the token is not valid before " + c.notYet.UTC().Format(time.RFC3339) + ": the clock of the issuer or of this service is wrong"}
	}
	return nil
}

// discover returns the issuer's key set, whose URL it asks for once.
func (i *issuer) discover(ctx context.Context) (*keyset.Set, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.keys != nil:
		return i.keys, nil
	case i.failed != nil && i.now().Before(i.until):
		return nil, i.failed
	}
	place, err := i.keysURL(ctx)
	if err != nil {
		i.failed, i.until = fmt.Errorf("%w: %w", ErrUnavailable, err), i.now().Add(discoveryPause)
		return nil, i.failed
	}
	i.keys = keyset.New(place, i.transport, i.now)
	return i.keys, nil
}

func (i *issuer) keysURL(ctx context.Context) (string, error) {
	client := keyset.NewClient(i.transport, i.now)
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client), i.url)
	if err != nil {
		return "", err
	}
	var found struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&found); err != nil {
		return "", err
	}
	u, err := url.Parse(found.Keys)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", errors.New("the issuer's jwks_uri is no https URL")
	}
	return found.Keys, nil
}
