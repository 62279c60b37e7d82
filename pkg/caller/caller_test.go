package caller_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
)

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
