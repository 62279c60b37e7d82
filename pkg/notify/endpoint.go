package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/guard"
)

const (
	// sendTimeout bounds an attempt. Standard Webhooks recommends 15 to 30 seconds for
	// receivers; a receiver should answer before it works.
	sendTimeout = 15 * time.Second
	// maxAnswer bounds what is read of an answer, whose body means nothing.
	maxAnswer = 4 << 10
	// maxIdle bounds the connections that are kept; an endpoint has one at a time.
	maxIdle = 1
	// secretPrefix begins a secret, which is base64 of secretLeast to secretMost bytes.
	secretPrefix = "whsec_"
	secretLeast  = 24
	secretMost   = 64
	// maxSecrets bounds the signatures of a message.
	maxSecrets = 5
	// maxURL bounds an address in bytes.
	maxURL = 2000
	// MaxRetryAfter bounds how long an endpoint's Retry-After is respected.
	MaxRetryAfter = time.Hour
)

// Options describe an endpoint.
type Options struct {
	Name string
	// URL is https://, or http:// with Insecure.
	URL string
	// Secrets sign each message: whsec_ and base64.
	Secrets []string
	// Private lets the URL's host have an address that is not public, and Insecure lets it
	// be asked by http://.
	Private, Insecure bool
	// Proxy is that of http.Transport; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS is nil for the roots of the system.
	TLS *tls.Config
	Now func() time.Time // nil: time.Now
}

// OptionError reports which of the options is wrong. It repeats no secret.
type OptionError struct{ Option, Detail string }

// Error names the option.
func (e *OptionError) Error() string { return e.Option + ": " + e.Detail }

// Endpoint receives messages. It is immutable and safe for concurrent use.
type Endpoint struct {
	name    string
	url     *url.URL
	signers []*standardwebhooks.Webhook
	client  *http.Client
	now     func() time.Time
}

// New returns an endpoint, or an *OptionError. It sends nothing.
func New(o Options) (*Endpoint, error) {
	e := &Endpoint{name: o.Name, now: o.Now}
	if e.now == nil {
		e.now = time.Now
	}
	var err error
	if e.url, err = parseURL(o.URL, o.Insecure); err != nil {
		return nil, &OptionError{"url", err.Error()}
	}
	if len(o.Secrets) == 0 || len(o.Secrets) > maxSecrets {
		return nil, &OptionError{"secrets", fmt.Sprintf("there must be 1 to %d secrets", maxSecrets)}
	}
	for i, secret := range o.Secrets {
		key, err := parseSecret(secret)
		if err != nil {
			return nil, &OptionError{fmt.Sprintf("secrets[%d]", i), err.Error()}
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, &OptionError{fmt.Sprintf("secrets[%d]", i), "cannot sign"}
		}
		e.signers = append(e.signers, signer)
	}
	g := guard.Options{Proxy: o.Proxy, TLS: o.TLS, MaxAnswer: maxAnswer, MaxIdle: maxIdle}
	if o.Private {
		g.Hosts = []guard.Host{{Name: e.url.Host, Insecure: o.Insecure}}
	}
	e.client = &http.Client{
		Transport: guard.New(g), Timeout: sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e, nil
}

// CheckURL returns why a text is no URL of an endpoint.
func CheckURL(text string, insecure bool) error {
	_, err := parseURL(text, insecure)
	return err
}

// parseURL does not repeat the text, which may hold a secret.
func parseURL(text string, insecure bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("is no URL, such as https://chat.example.com/hooks/versions")
	case u.User != nil:
		return nil, errors.New("holds a user or a password; leave them out, the signature is the proof")
	case u.Fragment != "":
		return nil, errors.New("has a fragment, which is never sent; leave it out")
	case u.Scheme == "http" && !insecure:
		return nil, errors.New("is http://; use https://, or insecure: true with private: true if that is meant")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("begins with neither https:// nor http://")
	}
	return u, nil
}

// CheckSecret returns why a text is no secret of Standard Webhooks. It does not repeat
// the text.
func CheckSecret(text string) error {
	_, err := parseSecret(text)
	return err
}

func parseSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < secretLeast || len(key) > secretMost {
		return nil, fmt.Errorf("is no secret of Standard Webhooks: %s and base64 of %d to %d random bytes, such as \"%s$(openssl rand -base64 32)\"",
			secretPrefix, secretLeast, secretMost, secretPrefix)
	}
	return key, nil
}

// Name returns the endpoint's name.
func (e *Endpoint) Name() string { return e.name }

// Error reports that an attempt failed.
type Error struct {
	// Status is the answer's; 0 for none.
	Status int
	// RetryAfter is how long the endpoint asks to be left alone; 0 for no wish.
	RetryAfter time.Duration
	// Gone reports that the endpoint wants no more messages.
	Gone bool
	// Err is the cause when there was no answer.
	Err error
}

// Error has nothing of the URL but its host.
func (e *Error) Error() string {
	switch {
	case e.Status >= 300 && e.Status < 400:
		return fmt.Sprintf("the endpoint answered %d, and redirects are not followed", e.Status)
	case e.Status > 0:
		return fmt.Sprintf("the endpoint answered %d", e.Status)
	case errors.Is(e.Err, guard.ErrPrivate):
		return "the endpoint has an address that is not public; private: true permits that"
	case errors.Is(e.Err, guard.ErrPlain):
		return "the endpoint is http:// and not private; private: true permits that"
	}
	return fmt.Sprintf("the endpoint does not answer: %v", e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Send sends a message once. The error is an *Error.
func (e *Endpoint) Send(ctx context.Context, id string, body []byte) error {
	now := e.now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url.String(), bytes.NewReader(body))
	if err != nil {
		return &Error{Err: errors.New("the request cannot be made")}
	}
	var signatures []string
	for _, signer := range e.signers {
		signature, err := signer.Sign(id, now, body)
		if err != nil {
			return &Error{Err: errors.New("the message cannot be signed")}
		}
		signatures = append(signatures, signature)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "refty-node-versions-service")
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	answer, err := e.client.Do(request)
	if err != nil {
		return &Error{Err: withoutURL(err)}
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body) // its status is what counts; the connection is used again
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return nil
	}
	return &Error{
		Status: answer.StatusCode, Gone: answer.StatusCode == http.StatusGone,
		RetryAfter: retryAfter(answer.Header.Get("Retry-After"), now),
	}
}

// withoutURL takes the URL out of an error, whose path may be a secret.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// retryAfter reads seconds, or a date (RFC 9110, section 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, MaxRetryAfter))
}
