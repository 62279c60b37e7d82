package github

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

// redacted stands wherever a secret would be shown.
const redacted = "[secret]"

// secret is text that hides itself from logs, from fmt and from JSON.
type secret string

func (secret) String() string               { return redacted }
func (secret) GoString() string             { return redacted }
func (secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Credential is how a Client proves itself to GitHub: Token or App. It shows no
// secret when it is printed, logged or marshalled.
type Credential interface {
	// over returns a RoundTripper that adds the credential to every request and
	// sends it on through plain; requests of the credential's own go through side.
	over(plain, side http.RoundTripper, api *url.URL) (http.RoundTripper, error)
	// refreshes tells whether a refused token may be a fresh one that GitHub does
	// not know everywhere yet.
	refreshes() bool
}

// Token returns the credential of a personal access token: a fine-grained one
// needs Contents read and write on the repository, a classic one the scope repo.
func Token(token string) Credential { return personalToken{secret(token)} }

type personalToken struct{ token secret }

func (t personalToken) over(plain, _ http.RoundTripper, _ *url.URL) (http.RoundTripper, error) {
	if t.token == "" {
		return nil, errors.New("the token is empty")
	}
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: string(t.token)})
	return &oauth2.Transport{Source: source, Base: plain}, nil
}

func (personalToken) refreshes() bool { return false }
