package github

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

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
func Token(token string) Credential { return personalToken(token) }

// personalToken hides itself from logs, from fmt and from JSON.
type personalToken string

const hiddenToken = "personal access token"

func (personalToken) String() string               { return hiddenToken }
func (personalToken) GoString() string             { return hiddenToken }
func (personalToken) LogValue() slog.Value         { return slog.StringValue(hiddenToken) }
func (personalToken) MarshalText() ([]byte, error) { return []byte(hiddenToken), nil }

func (t personalToken) over(plain, _ http.RoundTripper, _ *url.URL) (http.RoundTripper, error) {
	if t == "" {
		return nil, errors.New("the token is empty")
	}
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: string(t)})
	return &oauth2.Transport{Source: source, Base: plain}, nil
}

func (personalToken) refreshes() bool { return false }
