// Package keyset verifies signatures of JSON Web Tokens by the keys that an issuer
// publishes as a JSON Web Key Set (RFC 7517), at a bounded cost.
//
// Anybody can send a token with an unknown key, for which a key set asks its issuer
// again. So an answer counts as current for some seconds, redirects are not followed,
// and the size of an answer is bounded. Keys are fetched again after an hour, so that a
// withdrawn key ends; while the issuer is unavailable, the known keys stay valid.
package keyset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// fetchTimeout bounds a request to an issuer. Senders of webhooks wait for about
	// ten seconds.
	fetchTimeout = 8 * time.Second
	// answerAge is how long an answer counts as current.
	answerAge = 15 * time.Second
	// keyLife is how long keys are used before they are fetched again.
	keyLife = time.Hour
	// renewEvery is how often that is tried while the issuer is unavailable.
	renewEvery = time.Minute
	// MaxAnswer is the largest answer of an issuer in bytes; large ones have some 10,000.
	MaxAnswer = 1 << 20
)

// ErrUnavailable is wrapped by the error for keys that cannot be fetched.
var ErrUnavailable = errors.New("the issuer's keys cannot be had")

// Set is the key set of one issuer. It is safe for concurrent use. It fetches
// nothing before the first token.
type Set struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	current *oidc.RemoteKeySet
	renew   time.Time // when current is to be replaced
}

// New returns the key set that url serves.
func New(url string, transport http.RoundTripper, now func() time.Time) *Set {
	s := &Set{url: url, client: NewClient(transport, now), now: now}
	s.current = s.fresh()
	s.renew = now().Add(keyLife)
	return s
}

// NewClient returns a client for one URL of an issuer: see the package.
func NewClient(transport http.RoundTripper, now func() time.Time) *http.Client {
	return &http.Client{Transport: &sparing{next: transport, now: now}, Timeout: fetchTimeout}
}

func (s *Set) fresh() *oidc.RemoteKeySet {
	return oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), s.client), s.url)
}

// Verify passes the token to the verifier of the issuer and config. The error wraps
// ErrUnavailable when the token's key is not known and the keys cannot be had; any
// other says what is wrong with the token.
func (s *Set) Verify(ctx context.Context, issuer string, config *oidc.Config, token string) (*oidc.IDToken, error) {
	keys := &observed{set: s}
	verified, err := oidc.NewVerifier(issuer, keys, config).Verify(ctx, token)
	if keys.unavailable != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, keys.unavailable)
	}
	return verified, err
}

// observed distinguishes, for one verification, keys that cannot be fetched from keys of
// which none fits: the verifier returns one text for both.
type observed struct {
	set         *Set
	unavailable error
}

// VerifySignature is that of the set, whose error wraps another only when fetching
// failed.
func (o *observed) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := o.set.verify(ctx, token)
	if unavailable(err) {
		o.unavailable = err
	}
	return payload, err
}

func unavailable(err error) bool { return err != nil && errors.Unwrap(err) != nil }

func (s *Set) verify(ctx context.Context, token string) ([]byte, error) {
	s.mu.Lock()
	current, due := s.current, !s.now().Before(s.renew)
	if due { // one caller renews, the others go on meanwhile
		s.renew = s.now().Add(renewEvery)
	}
	s.mu.Unlock()
	if !due {
		return current.VerifySignature(ctx, token)
	}
	next := s.fresh()
	payload, err := next.VerifySignature(ctx, token)
	if unavailable(err) {
		return current.VerifySignature(ctx, token)
	}
	s.mu.Lock()
	s.current, s.renew = next, s.now().Add(keyLife)
	s.mu.Unlock()
	return payload, err
}

// sparing answers a repeated request with the last answer, for answerAge. It is for
// requests to one URL.
type sparing struct {
	next http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	at   time.Time
	body []byte
}

// RoundTrip keeps only answers with status 200, so that a failure is tried again at
// once. Any other answer, a redirect included, is an error.
func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body != nil && s.now().Sub(s.at) < answerAge {
		return answer(r, s.body), nil
	}
	res, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", r.URL.Host, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > MaxAnswer:
		return nil, fmt.Errorf("%s answers more than %d bytes", r.URL.Host, MaxAnswer)
	}
	s.at, s.body = s.now(), body
	return answer(r, body), nil
}

func answer(r *http.Request, body []byte) *http.Response {
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
