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
	"github.com/google/go-cmp/cmp"

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

func TestNamedCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, secret := range []string{"s3cret-of-the-bot", "the-one-before"} {
		p, err := w.callers.Authenticate(t.Context(), secret)
		if err != nil || p.Name() != "bot" || !p.ReadsAll() || p.Federated() {
			t.Errorf("Authenticate = %+v, %v", p, err)
		}
	}
	_, err := w.callers.Authenticate(t.Context(), "guess")
	refused(t, err, "none of this service's callers")
}

func TestFederatedCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 3 {
		p, err := w.callers.Authenticate(t.Context(), w.token(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		if p.Name() != "ours" || !p.Federated() || p.ReadsAll() || p.Claims()["repository"] != "octo-org/web" {
			t.Errorf("principal: %+v", p)
		}
		if s := p.Source(); s.Repository != "octo-org/web" || s.Revision != "e8453b1" {
			t.Errorf("source: %+v", s)
		}
	}
	if n := w.asked.count(); n != 2 {
		t.Errorf("three tokens cost %d requests to the issuer, want discovery and keys", n)
	}
}

// Each token that proves nobody has a sentence of its own.
func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	now := w.clock.now()
	other := newWorld(t, nil)
	tests := map[string]struct {
		token string
		want  string
	}{
		"unknown issuer":                 {w.token(t, map[string]any{"iss": "https://issuer.example.com"}), "issuer is not trusted"},
		"issuer with a slash more":       {w.token(t, map[string]any{"iss": w.url + "/"}), "issuer is not trusted"},
		"a key of another issuer":        {other.token(t, map[string]any{"iss": w.url}), "by no key of its issuer"},
		"another audience":               {w.token(t, map[string]any{"aud": "https://other.example.com"}), "for another audience: ask the issuer for one with the audience " + audience},
		"no audience":                    {w.token(t, map[string]any{"aud": nil}), "for another audience"},
		"expired":                        {w.token(t, map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}), "is expired since"},
		"no end":                         {w.token(t, map[string]any{"exp": nil}), "no time at which it ends"},
		"an end that is no number":       {w.token(t, map[string]any{"exp": "tomorrow"}), "RFC 7519"},
		"a life of two days":             {w.token(t, map[string]any{"exp": now.Add(48 * time.Hour).Unix()}), "more than 24 hours"},
		"not yet valid":                  {w.token(t, map[string]any{"nbf": now.Add(5 * time.Minute).Unix()}), "is not valid before"},
		"issued in the future":           {w.token(t, map[string]any{"iat": now.Add(5 * time.Minute).Unix()}), "is not valid before"},
		"algorithm none":                 {unsigned(t, w.token(t, nil)), "signed by RS256 or ES256"},
		"HS256 with the public key":      {w.hmacWithPublicKey(t), "signed by RS256 or ES256"},
		"a payload that was changed":     {tampered(t, w.token(t, nil)), "by no key of its issuer"},
		"no JWT":                         {"a.b.c", "none of this service's callers"},
		"empty":                          {"", "Authorization: Bearer"},
		"longer than any token of a job": {strings.Repeat("a", caller.MaxToken+1), "at most 16384 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.callers.Authenticate(t.Context(), test.token)
			refused(t, err, test.want)
		})
	}
}

func TestClocksMayDifferByAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	now := w.clock.now()
	for name, changed := range map[string]map[string]any{
		"ended half a minute ago":   {"exp": now.Add(-30 * time.Second).Unix()},
		"begins in half a minute":   {"nbf": now.Add(30 * time.Second).Unix(), "iat": now.Add(30 * time.Second).Unix()},
		"several audiences":         {"aud": []string{"https://other.example.com", audience}},
		"numbers in place of texts": {"repository_owner_id": 42},
	} {
		if _, err := w.callers.Authenticate(t.Context(), w.token(t, changed)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A valid token that fits no caller is forbidden, not unauthenticated.
func TestValidTokensThatAreNoCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, test := range map[string]struct {
		changed map[string]any
		want    string
	}{
		"another owner":           {map[string]any{"repository_owner_id": "43"}, "fit no caller"},
		"a property that differs": {map[string]any{"repo_property_team": "data"}, "fit no caller"},
		"a claim that is missing": {map[string]any{"repo_property_team": nil}, "fit no caller"},
		"a claim that is a list":  {map[string]any{"repository_owner_id": []string{"42"}}, "fit no caller"},
		"a pull request":          {map[string]any{"event_name": "pull_request"}, "'pull_request' may run a stranger's code"},
		"a pull request's target": {map[string]any{"event_name": "pull_request_target"}, "may run a stranger's code"},
		"a comment":               {map[string]any{"event_name": "issue_comment"}, "may run a stranger's code"},
	} {
		_, err := w.callers.Authenticate(t.Context(), w.token(t, test.changed))
		var forbidden *caller.ForbiddenError
		if !errors.As(err, &forbidden) || !strings.Contains(forbidden.Reason, test.want) {
			t.Errorf("%s: %v, want a ForbiddenError with %q", name, err, test.want)
		}
	}
}

func TestAnEventThatIsNamedPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(f *caller.Federated) { f.Claims["event_name"] = []string{"pull_request", "push"} })
	if _, err := w.callers.Authenticate(t.Context(), w.token(t, map[string]any{"event_name": "pull_request"})); err != nil {
		t.Error(err)
	}
	if _, err := w.callers.Authenticate(t.Context(), w.token(t, map[string]any{"event_name": "issue_comment"})); err == nil {
		t.Error("an event that is not named passes")
	}
}

func TestClaimsAsGlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(f *caller.Federated) {
		f.Claims = map[string][]string{"sub": {"repo:octo-org/*:ref:refs/heads/main", "repo:octo-org@42/*:ref:refs/heads/main"}}
	})
	for sub, want := range map[string]bool{
		"repo:octo-org/web:ref:refs/heads/main":      true,
		"repo:octo-org@42/web@7:ref:refs/heads/main": true, // since 2026 with numbers
		"repo:octo-org/web:ref:refs/heads/dev":       false,
		"repo:octo-org-evil/web:ref:refs/heads/main": false,
		"repo:octo-org/a/b:ref:refs/heads/main":      false,
	} {
		_, err := w.callers.Authenticate(t.Context(), w.token(t, map[string]any{"sub": sub}))
		if (err == nil) != want {
			t.Errorf("%s: %v", sub, err)
		}
	}
}

func TestGitLab(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(f *caller.Federated) { f.Claims = map[string][]string{"namespace_id": {"12"}} })
	claims := map[string]any{
		"namespace_id": "12", "project_path": "octo-org/web", "job_id": "5", "sha": "abc", "pipeline_source": "push",
		"sub": "project_path:octo-org/web:ref_type:branch:ref:main",
	}
	w.issuer.SetClaims(claims)
	p, err := w.callers.Authenticate(t.Context(), w.token(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := caller.Source{Repository: "octo-org/web", Revision: "abc", URL: w.url + "/octo-org/web/-/jobs/5"}
	if p.Source() != want {
		t.Errorf("source = %+v, want %+v", p.Source(), want)
	}
	_, err = w.callers.Authenticate(t.Context(), w.token(t, map[string]any{"pipeline_source": "merge_request_event"}))
	var forbidden *caller.ForbiddenError
	if !errors.As(err, &forbidden) {
		t.Errorf("a merge request: %v", err)
	}
}

func TestRotatedKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	before := w.token(t, nil)
	if _, err := w.callers.Authenticate(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if err := w.issuer.Rotate(true); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(20 * time.Second)
	if _, err := w.callers.Authenticate(t.Context(), w.token(t, nil)); err != nil {
		t.Errorf("the new key: %v", err)
	}
	var err error
	for range 100_000 { // the library puts the new keys in the place of the old ones a moment after it has used them
		if _, err = w.callers.Authenticate(t.Context(), before); err != nil {
			break
		}
	}
	refused(t, err, "by no key of its issuer")
}

// Who sends tokens by unknown keys does not make the service ask for keys each time.
func TestUnknownKeysAreAskedForSparingly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	other := newWorld(t, nil)
	if _, err := w.callers.Authenticate(t.Context(), w.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		_, err := w.callers.Authenticate(t.Context(), other.token(t, map[string]any{"iss": w.url}))
		refused(t, err, "by no key of its issuer")
	}
	if n := w.asked.count(); n != 2 {
		t.Errorf("50 tokens by unknown keys cost %d requests, want 2", n)
	}
}

// Known keys go on while the issuer is away; an unknown one is nobody's fault but
// the issuer's.
func TestIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.issuer.SetAway(true)
	_, err := w.callers.Authenticate(t.Context(), w.token(t, nil))
	if !errors.Is(err, caller.ErrUnavailable) {
		t.Errorf("before the first keys: %v, want ErrUnavailable", err)
	}
	w.issuer.SetAway(false)
	w.clock.pass(2 * time.Second)
	if _, err := w.callers.Authenticate(t.Context(), w.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	w.issuer.SetAway(true)
	for range 2 { // the second time the keys are due to be asked for anew
		if _, err := w.callers.Authenticate(t.Context(), w.token(t, nil)); err != nil {
			t.Errorf("a known key: %v", err)
		}
		w.clock.pass(2 * time.Hour)
	}
	if err := w.issuer.Rotate(false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.callers.Authenticate(t.Context(), w.token(t, nil)); !errors.Is(err, caller.ErrUnavailable) {
		t.Errorf("an unknown key: %v, want ErrUnavailable", err)
	}
}

func TestCallersThatAreRefused(t *testing.T) {
	t.Parallel()
	good := caller.Federated{Name: "ours", Issuer: caller.IssuerGitHub, Audience: audience, Claims: map[string][]string{"repository_owner_id": {"42"}}}
	for name, test := range map[string]struct {
		change func(*caller.Federated)
		want   string
	}{
		"no audience": {func(f *caller.Federated) { f.Audience = "" }, "OIDC_AUDIENCE"},
		"http":        {func(f *caller.Federated) { f.Issuer = "http://issuer.example.com" }, "https://"},
		"no URL":      {func(f *caller.Federated) { f.Issuer = "github" }, "no URL"},
		"no claims":   {func(f *caller.Federated) { f.Claims = nil }, "no claim pins"},
		"claims of a choice": {func(f *caller.Federated) {
			f.Claims = map[string][]string{"actor": {"octocat"}, "ref": {"refs/heads/main"}}
		}, "no claim pins"},
		"a pin that is free":  {func(f *caller.Federated) { f.Claims = map[string][]string{"repository": {"octo-org/web", "**"}} }, "no claim pins"},
		"a claim without any": {func(f *caller.Federated) { f.Claims["ref"] = nil }, "claim ref has no value"},
		"a broken ca_file":    {func(f *caller.Federated) { f.CA = []byte("x") }, "no certificate"},
	} {
		f := good
		f.Claims = map[string][]string{"repository_owner_id": {"42"}}
		test.change(&f)
		_, err := caller.New(caller.Options{Federated: []caller.Federated{f}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.want)
		}
	}
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

// An enterprise has an issuer of its own; its jobs have pages all the same.
func TestSourceUnderIssuersOfEnterprises(t *testing.T) {
	t.Parallel()
	for issuer, page := range map[string]string{
		caller.IssuerGitHub:                          "https://github.com",
		caller.IssuerGitHub + "/octo-enterprise":     "https://github.com",
		"https://token.actions.octo.ghe.com":         "https://octo.ghe.com",
		"https://github.example.com/_services/token": "https://github.example.com",
	} {
		served, err := sandbox.NewIssuer(issuer, gitHubClaims(), nil)
		if err != nil {
			t.Fatal(err)
		}
		callers, err := caller.New(caller.Options{
			Federated: []caller.Federated{{Name: "ours", Issuer: issuer, Audience: audience, Claims: map[string][]string{"repository_owner_id": {"42"}}}},
			Transport: carry(func(r *http.Request) *http.Response {
				_, path, _ := strings.Cut(r.URL.Path, "/.well-known/")
				r.URL.Path = "/.well-known/" + path
				recorder := httptest.NewRecorder()
				served.ServeHTTP(recorder, r)
				return recorder.Result()
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := served.Sign(audience, map[string]any{"repository": "octo-org/web", "run_id": "7"})
		if err != nil {
			t.Fatal(err)
		}
		p, err := callers.Authenticate(t.Context(), token)
		if want := page + "/octo-org/web/actions/runs/7"; err != nil || p.Source().URL != want {
			t.Errorf("%s: %q, %v; want %s", issuer, p.Source().URL, err, want)
		}
	}
}

// carry answers requests without a network.
type carry func(*http.Request) *http.Response

func (c carry) RoundTrip(r *http.Request) (*http.Response, error) { return c(r), nil }

func TestTwoCallersWithOneSecret(t *testing.T) {
	t.Parallel()
	shared, own := caller.HashOf("the-secret-of-both"), caller.HashOf("the-secret-of-one")
	_, err := caller.New(caller.Options{Named: []caller.Named{
		{Name: "bot", Secrets: []caller.Hash{own, shared, shared}}, {Name: "ops", Secrets: []caller.Hash{shared}},
	}})
	if err == nil || err.Error() != "the callers bot and ops have the same secret; give each its own" {
		t.Errorf("error %v", err)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	github := caller.Federated{
		Name: "ours", Issuer: caller.IssuerGitHub, Audience: audience,
		Claims: map[string][]string{"repository_owner_id": {"42"}, "ref": {"refs/heads/*"}},
	}
	elsewhere := caller.Federated{Name: "ours", Issuer: "https://ci.example.com", Audience: audience, Claims: map[string][]string{"sub": {"web"}}}
	for name, test := range map[string]struct {
		caller           caller.Federated
		claims           map[string]string
		against, missing []string
	}{
		"a whole token": {github, map[string]string{
			"iss": caller.IssuerGitHub, "aud": audience, "repository_owner_id": "42", "ref": "refs/heads/main", "event_name": "push",
		}, nil, nil},
		"a part of one":    {github, map[string]string{"repository_owner_id": "42"}, nil, []string{"ref", "event_name"}},
		"another owner":    {github, map[string]string{"repository_owner_id": "43", "ref": "refs/heads/main", "event_name": "push"}, []string{"its claim repository_owner_id is '43'"}, nil},
		"another audience": {elsewhere, map[string]string{"sub": "web", "aud": "x"}, []string{"its aud is 'x' in place of '" + audience + "'"}, nil},
		"no claims":        {elsewhere, nil, nil, []string{"sub"}},
	} {
		against, missing := test.caller.Judge(test.claims)
		if diff := cmp.Diff([][]string{test.against, test.missing}, [][]string{against, missing}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	against, _ := github.Judge(map[string]string{"repository_owner_id": "42", "ref": "refs/heads/main", "event_name": "pull_request"})
	if len(against) != 1 || !strings.Contains(against[0], "may run a stranger's code") {
		t.Errorf("a pull request: %q", against)
	}
}
