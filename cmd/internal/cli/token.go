package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// maxToken bounds a token in bytes, and the answer that holds one.
	maxToken = 64 << 10
	// tokenLife is after how long a job asks for another token; one of GitHub Actions
	// lives for five minutes.
	tokenLife = 4 * time.Minute
)

// tokens is where a caller's token comes from. It is for one goroutine.
type tokens struct {
	fixed string
	// of a job of GitHub Actions
	issuer   *url.URL
	secret   string
	audience string
	http     *http.Client
	clock    Clock
	latest   string
	since    time.Time
	// federated reports whether an issuer vouches for the caller, whose token then
	// says where a version came from.
	federated bool
}

// newTokens finds the token in the environment: a secret, the token that GitHub
// Actions gives a job, or one that the job brings.
func newTokens(env map[string]string, audience string, client *http.Client, clock Clock) (*tokens, error) {
	secret, err := secretOf(env, "VERSIONS_SERVICE_TOKEN")
	if err != nil || secret != "" {
		return &tokens{fixed: secret}, err
	}
	at, request := env["ACTIONS_ID_TOKEN_REQUEST_URL"], env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
	if at != "" && request != "" {
		u, err := url.Parse(at)
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			return nil, failed(exitRefused, "ACTIONS_ID_TOKEN_REQUEST_URL is no https URL")
		}
		return &tokens{issuer: u, secret: request, audience: audience, http: client, clock: clock, federated: true}, nil
	}
	token, err := secretOf(env, "VERSIONS_SERVICE_ID_TOKEN")
	return &tokens{fixed: token, federated: token != ""}, err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// secretOf returns the variable, or what the file holds that its _FILE names.
func secretOf(env map[string]string, variable string) (string, error) {
	secret := env[variable]
	if path := env[variable+"_FILE"]; secret == "" && path != "" {
		file, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return "", failed(exitRefused, "%s_FILE: %w", variable, err)
		}
		defer func() { _ = file.Close() }()
		content, err := io.ReadAll(io.LimitReader(file, maxToken+1))
		if err != nil {
			return "", failed(exitRefused, "%s_FILE: %w", variable, err)
		}
		secret = string(content)
	}
	secret = strings.TrimSpace(secret)
	if len(secret) > maxToken || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", failed(exitRefused, "%s is no token: it is too long, or holds white space or other characters that no token has", variable)
	}
	return secret, nil
}

// get returns the token for a request, or none.
func (t *tokens) get(ctx context.Context) (string, error) {
	if t.issuer == nil {
		return t.fixed, nil
	}
	if t.latest != "" && t.clock.Now().Sub(t.since) < tokenLife {
		return t.latest, nil
	}
	at := *t.issuer
	query := at.Query()
	query.Set("audience", t.audience)
	at.RawQuery = query.Encode()
	out, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "", failed(exitRefused, "ACTIONS_ID_TOKEN_REQUEST_URL is no URL")
	}
	out.Header.Set("Authorization", "Bearer "+t.secret)
	out.Header.Set("Accept", "application/json")
	got, err := exchange(t.http, out, maxToken)
	if err != nil {
		return "", err
	}
	var answer struct {
		Value string `json:"value"`
	}
	switch {
	case got.status >= http.StatusInternalServerError:
		return "", fmt.Errorf("GitHub gives the job no token now (HTTP %d)", got.status)
	case got.status != http.StatusOK:
		return "", failed(exitRefused, "GitHub gives the job no token (HTTP %d); the job needs permissions: {id-token: write}", got.status)
	case json.Unmarshal(got.body, &answer) != nil || answer.Value == "":
		return "", failed(exitRefused, "GitHub's answer holds no token for the job")
	}
	t.latest, t.since = answer.Value, t.clock.Now()
	return t.latest, nil
}
