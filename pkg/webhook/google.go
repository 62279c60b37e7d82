package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/keyset"
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

// google proves requests by the OIDC token that Pub/Sub attaches to them:
// https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
type google struct {
	issuer  string
	config  *oidc.Config
	keys    *keyset.Set
	account string
}

// newGoogle makes no request: the keys are fetched for the first token, and kept.
func newGoogle(o Options) *google {
	keys := o.Keys.withDefaults()
	return &google{
		issuer:  keys.Issuer,
		config:  &oidc.Config{ClientID: o.Audience, Now: o.Now, SupportedSigningAlgs: []string{oidc.RS256}},
		keys:    keyset.New(keys.URL, o.Transport, o.Now),
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
	verified, err := g.keys.Verify(ctx, g.issuer, g.config, strings.TrimSpace(token))
	if errors.Is(err, keyset.ErrUnavailable) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
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
