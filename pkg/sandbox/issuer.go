package sandbox

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// IssuerRequestToken is the secret by which a job asks an Issuer for its token.
const IssuerRequestToken = "request-token"

const (
	issuerKeyBits = 2048
	// issuerLife is how long a token of GitHub Actions lives.
	issuerLife = 5 * time.Minute
)

// Issuer is an embedded OpenID Connect issuer in the manner of GitHub Actions: it
// serves discovery, keys and the address at which a job asks for its token.
// https://docs.github.com/en/actions/reference/security/oidc
// It is safe for concurrent use.
type Issuer struct {
	http.Handler
	url string
	now func() time.Time

	mu     sync.Mutex
	keys   []jose.JSONWebKey // the last one signs
	claims map[string]any    // of the job
	away   bool
}

// NewIssuer returns an issuer whose iss is url, the address at which it will be
// served, and whose job has the claims.
func NewIssuer(url string, claims map[string]any, now func() time.Time) (*Issuer, error) {
	if now == nil {
		now = time.Now
	}
	i := &Issuer{url: url, now: now, claims: maps.Clone(claims)}
	if err := i.Rotate(true); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /.well-known/jwks", i.jwks)
	mux.HandleFunc("GET /token", i.token)
	i.Handler = mux
	return i, nil
}

// Rotate makes a new key sign; withdraw ends the keys before it.
func (i *Issuer) Rotate(withdraw bool) error {
	private, err := rsa.GenerateKey(rand.Reader, issuerKeyBits)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if withdraw {
		i.keys = nil
	}
	i.keys = append(i.keys, jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: string(jose.RS256), Use: "sig"})
	return nil
}

// SetAway lets discovery and keys answer 503, or again as they should.
func (i *Issuer) SetAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// SetClaims changes the job's claims.
func (i *Issuer) SetClaims(claims map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.claims = maps.Clone(claims)
}

// Sign returns a token for the audience with the job's claims; those in changed take
// their place, and one that is nil is left out.
func (i *Issuer) Sign(audience string, changed map[string]any) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	claims := map[string]any{
		"iss": i.url, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(issuerLife).Unix(),
	}
	maps.Copy(claims, i.claims)
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	key := i.keys[len(i.keys)-1]
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	i.writeJSON(w, map[string]any{
		"issuer": i.url, "jwks_uri": i.url + "/.well-known/jwks",
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public", "pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "scopes_supported": []string{"openid"},
	})
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	set := jose.JSONWebKeySet{}
	for _, key := range i.keys {
		set.Keys = append(set.Keys, key.Public())
	}
	i.mu.Unlock()
	i.writeJSON(w, set)
}

// writeJSON sends body, or 503 while the issuer is away.
func (i *Issuer) writeJSON(w http.ResponseWriter, body any) {
	i.mu.Lock()
	away := i.away
	i.mu.Unlock()
	if away {
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// token answers a job, as GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=… is answered. Unlike
// GitHub's, it takes further parameters for claims of the job.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+IssuerRequestToken {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	audience := r.URL.Query().Get("audience")
	if audience == "" {
		audience = "https://github.com/refty-yapi"
	}
	changed := map[string]any{}
	for name, values := range r.URL.Query() {
		if name != "audience" && name != "api-version" {
			changed[name] = values[0]
		}
	}
	signed, err := i.Sign(audience, changed)
	if err != nil {
		http.Error(w, fmt.Sprintf("sign: %v", err), http.StatusInternalServerError)
		return
	}
	i.writeJSON(w, map[string]string{"value": signed})
}
