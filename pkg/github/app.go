package github

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	gh "github.com/google/go-github/v62/github"
)

// App is the credential of a GitHub App. Its tokens are narrowed to the one
// repository and to Contents read and write, and Pull requests once one is dealt with.
// Workflows is asked for as well when
// the installation is known to have it: from the start when it was looked up, else
// from the first refusal to write a workflow file. A token is renewed a minute
// before it ends, once for all that wait for it, and at once when GitHub refuses it.
type App struct {
	ID int64
	// PrivateKey is the App's RSA key in PEM.
	PrivateKey []byte
	// InstallationID is the installation for every repository; 0 has it looked up
	// once for each repository.
	InstallationID int64
	// Reread, when it is set, returns the private key as it is now. It is called
	// when GitHub refuses the present one.
	Reread func() ([]byte, error)
}

// String names the App without its key.
func (a App) String() string { return fmt.Sprintf("GitHub App %d", a.ID) }

// GoString is String.
func (a App) GoString() string { return a.String() }

// LogValue is String.
func (a App) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText is String.
func (a App) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (App) isUser() bool { return false }

func (a App) connect(w wiring) (session, error) {
	if a.ID <= 0 {
		return nil, errors.New("the GitHub App's ID is missing")
	}
	proof, err := newAppProof(a, w)
	if err != nil {
		return nil, err
	}
	client := gh.NewClient(&http.Client{Transport: proof, CheckRedirect: sameHost})
	client.BaseURL = w.api
	return &installations{wiring: w, client: client, fixed: a.InstallationID, known: map[Repo]*installation{}}, nil
}

const (
	// proofAge is how far back an App's own token is dated, against clocks that
	// differ, and proofLife how far ahead it ends; GitHub takes ten minutes at most
	// (https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app).
	proofAge  = time.Minute
	proofLife = 9 * time.Minute
)

// appProof is the layer by which an App proves that it is itself. It is safe for
// concurrent use.
type appProof struct {
	next   http.RoundTripper
	now    func() time.Time
	issuer string
	reread func() ([]byte, error) // may be nil

	mu     sync.Mutex
	key    []byte
	signer jose.Signer
}

func newAppProof(a App, w wiring) (*appProof, error) {
	p := &appProof{next: w.side, now: w.now, issuer: strconv.FormatInt(a.ID, 10), reread: a.Reread, key: a.PrivateKey}
	var err error
	p.signer, err = newAppSigner(a.PrivateKey)
	return p, err
}

func newAppSigner(text []byte) (jose.Signer, error) {
	key, err := parseAppKey(text)
	if err != nil {
		return nil, errors.New("the GitHub App's private key is not an RSA key in PEM")
	}
	return jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
}

func parseAppKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("another kind of key")
	}
	return key, nil
}

// RoundTrip implements http.RoundTripper. A request that is refused is sent once
// more when the key is another one now.
func (p *appProof) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	signer := p.signer
	p.mu.Unlock()
	resp, err := p.send(req, signer)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	other, replaced := p.replaced(signer)
	again, ok := unsent(req)
	if !replaced || !ok {
		return resp, nil
	}
	closeBody(resp.Body)
	return p.send(again, other)
}

// replaced returns the signer of another key than the one that was refused; ok is
// false when there is none.
func (p *appProof) replaced(refused jose.Signer) (signer jose.Signer, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.signer != refused {
		return p.signer, true
	}
	if p.reread == nil {
		return nil, false
	}
	key, err := p.reread()
	if err != nil || bytes.Equal(key, p.key) {
		return nil, false
	}
	signer, err = newAppSigner(key)
	if err != nil {
		return nil, false
	}
	p.key, p.signer = key, signer
	return signer, true
}

func (p *appProof) send(req *http.Request, signer jose.Signer) (*http.Response, error) {
	now := p.now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: p.issuer, IssuedAt: jwt.NewNumericDate(now.Add(-proofAge)), Expiry: jwt.NewNumericDate(now.Add(proofLife)),
	}).Serialize()
	if err != nil {
		closeBody(req.Body)
		return nil, fmt.Errorf("sign as the GitHub App: %w", err)
	}
	return p.next.RoundTrip(withToken(req, token))
}
