package caller_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

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
