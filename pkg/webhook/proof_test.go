package webhook_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// bodies is one good body of each kind.
func bodies() map[webhook.Kind]string {
	return map[webhook.Kind]string{
		webhook.KindGHCR: "ghcr/published.json", webhook.KindDockerHub: "dockerhub/push.json",
		webhook.KindQuay: "quay/push.json", webhook.KindHarbor: "harbor/push.json",
		webhook.KindDistribution: "distribution/push.json", webhook.KindZot: "zot/structured.json",
		webhook.KindACR: "acr/push.json", webhook.KindECR: "ecr/push.json", webhook.KindGAR: "gar/insert.json",
		webhook.KindArtifactory: "artifactory/pushed.json", webhook.KindNexus: "nexus/created.json",
		webhook.KindGeneric: "generic/build.json",
		webhook.KindGitHub:  "github/push.json",
	}
}

func TestEveryKindHasItsTests(t *testing.T) {
	t.Parallel()
	for _, kind := range webhook.Kinds() {
		if bodies()[kind] == "" {
			t.Errorf("kind %s has no body", kind)
		}
	}
}

func TestSeveralSecrets(t *testing.T) {
	t.Parallel()
	for kind, file := range bodies() {
		if kind == webhook.KindGAR {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := authentic(kind, payload(t, file))
			for _, secrets := range [][]string{{secret}, {"another", secret}, {secret, "another"}} {
				o := options(kind)
				o.Secrets = secrets
				if got := mustReceive(t, o, r); len(got.Pushes) == 0 && got.Hint == nil {
					t.Errorf("%d secrets: ignored with %q", len(secrets), got.Ignored)
				}
			}
			o := options(kind)
			o.Secrets = []string{"another", "a third"}
			_, err := send(t.Context(), newSource(t, o), r)
			wantKind(t, err, webhook.ErrUnauthenticated)
		})
	}
}

// TestUnprovenIsNotRead sends bodies that are no JSON: whoever is not authentic
// must not learn that.
func TestUnprovenIsNotRead(t *testing.T) {
	t.Parallel()
	for _, kind := range webhook.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			source := newSource(t, options(kind))
			for _, body := range []string{"", "{", "null"} {
				_, err := send(t.Context(), source, request{Body: []byte(body)})
				wantKind(t, err, webhook.ErrUnauthenticated)
				_, err = send(t.Context(), source, request{
					Header: http.Header{"Authorization": {""}, "X-Api-Key": {""}, "X-Jfrog-Event-Auth": {""}},
					Query:  url.Values{"token": {""}}, Body: []byte(body),
				})
				wantKind(t, err, webhook.ErrUnauthenticated)
			}
		})
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestProofs(t *testing.T) {
	t.Parallel()
	header := func(name, value string) func(*request) {
		return func(r *request) { r.Header.Set(name, value) }
	}
	query := func(text string) func(*request) {
		return func(r *request) { r.Query.Set("token", text) }
	}
	hooks := []webhook.Kind{webhook.KindHarbor, webhook.KindDistribution, webhook.KindZot, webhook.KindACR}
	tests := []struct {
		name  string
		kinds []webhook.Kind
		give  func(*request)
		ok    bool
	}{
		{"the secret as the header", hooks, header("Authorization", secret), true},
		{"the secret as a bearer token", hooks, header("Authorization", "Bearer "+secret), true},
		{"bearer in lower case", hooks, header("Authorization", "bearer "+secret), true},
		{"the secret as a password", hooks, header("Authorization", basic("ci", secret)), true},
		{"the secret as a user", hooks, header("Authorization", basic(secret, "")), false},
		{"another secret", hooks, header("Authorization", "another"), false},
		{"the beginning of the secret", hooks, header("Authorization", secret[:8]), false},
		{"the secret and more", hooks, header("Authorization", secret+"x"), false},
		{"another scheme", hooks, header("Authorization", "Digest "+secret), false},
		{"basic that is not base64", hooks, header("Authorization", "Basic "+secret), false},
		{"basic without a password", hooks, header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret))), false},
		{"the secret in another header", hooks, header("X-Api-Key", secret), false},
		{"a token in the URL", []webhook.Kind{webhook.KindDockerHub, webhook.KindQuay, webhook.KindACR}, query(secret), true},
		{"another token in the URL", []webhook.Kind{webhook.KindDockerHub, webhook.KindQuay, webhook.KindACR}, query("another"), false},
		{"a token in the URL where headers can be set", []webhook.Kind{webhook.KindHarbor, webhook.KindDistribution, webhook.KindZot, webhook.KindECR, webhook.KindArtifactory, webhook.KindNexus, webhook.KindGHCR, webhook.KindGeneric, webhook.KindGAR}, query(secret), false},
		{"the secret as a header where the URL has it", []webhook.Kind{webhook.KindDockerHub, webhook.KindQuay}, header("Authorization", secret), false},
		{"an API key", []webhook.Kind{webhook.KindECR}, header("X-Api-Key", secret), true},
		{"an API key in Authorization", []webhook.Kind{webhook.KindECR}, header("Authorization", secret), true},
		{"a password for EventBridge", []webhook.Kind{webhook.KindECR}, header("Authorization", basic("eventbridge", secret)), true},
		{"another API key", []webhook.Kind{webhook.KindECR}, header("X-Api-Key", "another"), false},
		{"JFrog's header", []webhook.Kind{webhook.KindArtifactory}, header("X-JFrog-Event-Auth", secret), true},
		{"another JFrog's header", []webhook.Kind{webhook.KindArtifactory}, header("X-JFrog-Event-Auth", "another"), false},
		{"JFrog's signature", []webhook.Kind{webhook.KindArtifactory}, func(r *request) { r.Header.Set("X-JFrog-Event-Auth", sign(sha256.New, r.Body)) }, true},
		{"JFrog's signature in upper case", []webhook.Kind{webhook.KindArtifactory}, func(r *request) {
			r.Header.Set("X-JFrog-Event-Auth", strings.ToUpper(sign(sha256.New, r.Body)))
		}, true},
		{"JFrog's signature of another body", []webhook.Kind{webhook.KindArtifactory}, header("X-JFrog-Event-Auth", sign(sha256.New, []byte("{}"))), false},
		{"Nexus's signature with another hash", []webhook.Kind{webhook.KindNexus}, func(r *request) { r.Header.Set("X-Nexus-Webhook-Signature", sign(sha256.New, r.Body)) }, false},
		{"a generic bearer token", []webhook.Kind{webhook.KindGeneric}, header("Authorization", "Bearer "+secret), true},
		{"a generic secret without scheme", []webhook.Kind{webhook.KindGeneric}, header("Authorization", secret), false},
		{"another generic bearer token", []webhook.Kind{webhook.KindGeneric}, header("Authorization", "Bearer another"), false},
	}
	for _, tt := range tests {
		for _, kind := range tt.kinds {
			t.Run(string(kind)+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				r := request{Header: http.Header{}, Query: url.Values{}, Body: payload(t, bodies()[kind])}
				tt.give(&r)
				got, err := send(t.Context(), newSource(t, options(kind)), r)
				if !tt.ok {
					wantKind(t, err, webhook.ErrUnauthenticated)
					return
				}
				if err != nil || len(got.Pushes) == 0 {
					t.Errorf("got %d pushes, %v", len(got.Pushes), err)
				}
			})
		}
	}
}

func TestSecretTypedWithItsScheme(t *testing.T) {
	t.Parallel()
	o := options(webhook.KindHarbor)
	o.Secrets = []string{"Bearer " + secret}
	r := authentic(webhook.KindHarbor, payload(t, "harbor/push.json"))
	r.Header.Set("Authorization", "Bearer "+secret)
	mustReceive(t, o, r)
}

func TestGenericSignature(t *testing.T) {
	t.Parallel()
	o := options(webhook.KindGeneric)
	o.Generic.Signature = &webhook.Signature{Header: "X-Signature", Prefix: "sha256="}
	source := newSource(t, o)
	r := request{Header: http.Header{}, Body: payload(t, "generic/build.json")}
	for given, ok := range map[string]bool{
		"sha256=" + sign(sha256.New, r.Body):       true,
		sign(sha256.New, r.Body):                   false,
		"sha256=" + sign(sha256.New, []byte("{}")): false,
		"sha256=": false,
	} {
		r.Header.Set("X-Signature", given)
		_, err := send(t.Context(), source, r)
		if ok != (err == nil) || !ok && !errors.Is(err, webhook.ErrUnauthenticated) {
			t.Errorf("signature %q: %v", given, err)
		}
	}
	r.Header = http.Header{"Authorization": {"Bearer " + secret}}
	_, err := send(t.Context(), source, r)
	wantKind(t, err, webhook.ErrUnauthenticated)
}

func TestSourceHidesItsSecrets(t *testing.T) {
	t.Parallel()
	for _, kind := range webhook.Kinds() {
		s := newSource(t, options(kind))
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			for _, value := range []any{s, options(kind)} {
				if text := fmt.Sprintf(verb, value); strings.Contains(text, secret) || !strings.Contains(text, string(kind)) {
					t.Errorf("%s shows %s", verb, text)
				}
			}
		}
		if s.Name() != string(kind) || s.Kind() != kind {
			t.Errorf("named %q, of kind %q", s.Name(), s.Kind())
		}
	}
}
