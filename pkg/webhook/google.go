package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Keys identifies the issuer of the tokens of kind gar.
type Keys struct {
	// Issuer is the tokens' iss; empty means Google's, in both spellings.
	Issuer string
	// URL serves the issuer's public keys as a JSON Web Key Set; empty means
	// Google's.
	URL string
}

func (k Keys) withDefaults() Keys {
	if k.Issuer == "" {
		k.Issuer = "https://accounts.google.com"
	}
	if k.URL == "" {
		k.URL = "https://www.googleapis.com/oauth2/v3/certs"
	}
	return k
}

const (
	// keysTimeout bounds a request for keys; Pub/Sub waits for ten seconds by
	// default.
	keysTimeout = 8 * time.Second
	// keysAge is how long fetched keys are reused. A token with an unknown key
	// makes the key set fetch again, and anybody can send such tokens.
	keysAge = 15 * time.Second
	// maxKeys bounds the key set in bytes; Google's has about 2,000.
	maxKeys = 1 << 20
)

// google proves requests by the OIDC token that Pub/Sub attaches to them:
// https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
type google struct {
	issuer  string
	config  *oidc.Config
	keys    *oidc.RemoteKeySet
	account string
}

// newGoogle makes no request: the keys are fetched for the first token, and kept.
func newGoogle(o Options) *google {
	keys := o.Keys.withDefaults()
	client := &http.Client{Transport: &cachedKeys{next: o.Transport, now: o.Now}, Timeout: keysTimeout}
	return &google{
		issuer:  keys.Issuer,
		config:  &oidc.Config{ClientID: o.Audience, Now: o.Now, SupportedSigningAlgs: []string{oidc.RS256}},
		keys:    oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), client), keys.URL),
		account: o.ServiceAccount,
	}
}

// proof is decided by the header alone.
func (g *google) proof() proof {
	return proof{head: func(ctx context.Context, r Request) (bool, error) {
		err := g.prove(ctx, r)
		return err == nil, err
	}}
}

func (g *google) prove(ctx context.Context, r Request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return unauthenticated("the header Authorization with a bearer token is missing")
	}
	keys := &observedKeys{set: g.keys}
	verified, err := oidc.NewVerifier(g.issuer, keys, g.config).Verify(ctx, strings.TrimSpace(token))
	if keys.unavailable != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, keys.unavailable)
	}
	if err != nil {
		return unauthenticated(shown(err))
	}
	var claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := verified.Claims(&claims); err != nil {
		return unauthenticated(shown(err))
	}
	switch {
	case claims.Email != g.account:
		return unauthenticated("the token is of the account " + quote(claims.Email))
	case !claims.Verified:
		return unauthenticated("the token's mail address is not verified")
	}
	return nil
}

// observedKeys tells, for one verification, keys that cannot be fetched from keys
// that do not match: the verifier turns both into text.
type observedKeys struct {
	set         *oidc.RemoteKeySet
	unavailable error
}

// VerifySignature is that of the shared key set, whose error wraps another only
// when fetching failed.
func (k *observedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.set.VerifySignature(ctx, token)
	if err != nil && errors.Unwrap(err) != nil {
		k.unavailable = err
	}
	return payload, err
}

// cachedKeys is the transport of the requests for keys, all of one URL. It reuses
// the last good response for keysAge.
type cachedKeys struct {
	next http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	at   time.Time
	keys []byte
}

// RoundTrip keeps only responses with status 200, so that a failure is tried again
// at once. Any other response, also a redirect, is an error.
func (s *cachedKeys) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys != nil && s.now().Sub(s.at) < keysAge {
		return keysResponse(r, s.keys), nil
	}
	res, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeys))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the keys' address responds with %s", res.Status)
	}
	s.at, s.keys = s.now(), body
	return keysResponse(r, body), nil
}

func keysResponse(r *http.Request, body []byte) *http.Response {
	return &http.Response{
		StatusCode:    http.StatusOK,
		Status:        "200 OK",
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       r,
	}
}
