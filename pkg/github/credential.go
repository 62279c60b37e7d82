package github

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Credential is how a Client proves itself to GitHub: Token, RereadToken or App.
// It shows no secret when it is printed, logged or marshalled.
type Credential interface {
	connect(wiring) (session, error)
	// isUser reports whether the credential is a user's, for whom GitHub tells what
	// he may do to a repository.
	isUser() bool
}

// wiring is what a credential's layer works with.
type wiring struct {
	plain http.RoundTripper // the layer below, for everybody's requests
	side  http.RoundTripper // the same for the credential's own
	api   *url.URL
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
}

// session is the layer that adds a credential to every request.
type session interface {
	http.RoundTripper
	// widen is called when GitHub refused to write workflow files. It reports
	// whether the credential may do so now, so that it is worth another try.
	widen(ctx context.Context, repo Repo) bool
}

// Token returns the credential of a personal access token: a fine-grained one
// needs Contents read and write on the repository, a classic one the scope repo.
func Token(token string) Credential { return &personalToken{token: token} }

// RereadToken is Token for one that is replaced from time to time: reread returns
// it as it is now, and is called when GitHub refuses the present one; nil means
// never.
func RereadToken(token string, reread func() (string, error)) Credential {
	return &personalToken{token: token, reread: reread}
}

// personalToken hides itself from logs, from fmt and from JSON.
type personalToken struct {
	token  string
	reread func() (string, error) // may be nil
}

const hiddenToken = "personal access token"

func (*personalToken) String() string               { return hiddenToken }
func (*personalToken) GoString() string             { return hiddenToken }
func (*personalToken) LogValue() slog.Value         { return slog.StringValue(hiddenToken) }
func (*personalToken) MarshalText() ([]byte, error) { return []byte(hiddenToken), nil }

func (*personalToken) isUser() bool { return true }

func (t *personalToken) connect(w wiring) (session, error) {
	if t.token == "" {
		return nil, errors.New("the token is empty")
	}
	return &tokenLayer{next: w.plain, token: t.token, reread: t.reread}, nil
}

// tokenLayer is the session of a personal access token. It is safe for
// concurrent use.
type tokenLayer struct {
	next   http.RoundTripper
	reread func() (string, error) // may be nil

	mu    sync.Mutex
	token string
}

func (*tokenLayer) widen(context.Context, Repo) bool { return false }

// RoundTrip implements http.RoundTripper. A request that is refused is sent once
// more when the token is another one now.
func (l *tokenLayer) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	token := l.token
	l.mu.Unlock()
	resp, err := l.next.RoundTrip(withToken(req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	other, replaced := l.replaced(token)
	again, ok := unsent(req)
	if !replaced || !ok {
		return resp, nil
	}
	closeBody(resp.Body)
	return l.next.RoundTrip(withToken(again, other))
}

// replaced returns another token than the one that was refused; ok is false when
// there is none.
func (l *tokenLayer) replaced(refused string) (token string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token == refused && l.reread != nil {
		if token, err := l.reread(); err == nil && token != "" {
			l.token = token
		}
	}
	return l.token, l.token != refused
}

// withToken returns the request with the credential.
func withToken(req *http.Request, token string) *http.Request {
	clone := req.Clone(req.Context())
	clone.Header.Set("Authorization", "Bearer "+token)
	return clone
}

// unsent returns a request that was sent as it was before; ok is false when its
// body cannot be had again.
func unsent(req *http.Request) (fresh *http.Request, ok bool) {
	fresh = req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return fresh, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	fresh.Body = body
	return fresh, err == nil
}
