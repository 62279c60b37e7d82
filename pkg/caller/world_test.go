package caller_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const audience = "https://versions.example.com"

// world is an issuer and those whom it vouches for.
type world struct {
	issuer  *sandbox.Issuer
	url     string
	callers *caller.Callers
	clock   *clock
	asked   *counter
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// counter counts the requests that leave.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func gitHubClaims() map[string]any {
	return map[string]any{
		"sub":        "repo:octo-org/web:ref:refs/heads/main",
		"repository": "octo-org/web", "repository_id": "7", "repository_owner": "octo-org", "repository_owner_id": "42",
		"event_name": "push", "ref": "refs/heads/main", "sha": "e8453b1", "run_id": "99", "repo_property_team": "web",
	}
}

func newWorld(t *testing.T, change func(*caller.Federated)) *world {
	t.Helper()
	w := &world{clock: &clock{at: time.Now()}, asked: &counter{}}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	issuer, err := sandbox.NewIssuer(server.URL, gitHubClaims(), w.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	handler = issuer
	w.issuer, w.url = issuer, server.URL
	ours := caller.Federated{
		Name: "ours", Issuer: w.url, Audience: audience,
		Claims: map[string][]string{"repository_owner_id": {"42"}, "repo_property_team": {"web", "shop"}},
	}
	if change != nil {
		change(&ours)
	}
	w.callers, err = caller.New(caller.Options{
		Named:     []caller.Named{{Name: "bot", Secrets: []caller.Hash{caller.HashOf("s3cret-of-the-bot"), caller.HashOf("the-one-before")}, ReadAll: true}},
		Federated: []caller.Federated{ours},
		Transport: w.asked, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) token(t *testing.T, changed map[string]any) string {
	t.Helper()
	token, err := w.issuer.Sign(audience, changed)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	var r *caller.RefusedError
	if !errors.As(err, &r) || !strings.Contains(r.Reason, want) {
		t.Errorf("error = %v, want a RefusedError with %q", err, want)
	}
}

// unsigned makes the token's algorithm none.
func unsigned(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
}

// tampered makes the token say another owner.
func tampered(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "octo-org/web", "octo-org/shop", 1)))
	return strings.Join(parts, ".")
}

// hmacWithPublicKey is signed by what everybody knows: the issuer's public key.
func (w *world) hmacWithPublicKey(t *testing.T) string {
	t.Helper()
	res, err := http.DefaultClient.Do(must(http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, w.url+"/.well-known/jwks", nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var set jose.JSONWebKeySet
	decode(t, res.Body, &set)
	key := set.Keys[0].Key.(*rsa.PublicKey)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key.N.Bytes()},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", set.Keys[0].KeyID))
	if err != nil {
		t.Fatal(err)
	}
	claims := gitHubClaims()
	claims["iss"], claims["aud"], claims["exp"] = w.url, audience, w.clock.now().Add(time.Minute).Unix()
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
