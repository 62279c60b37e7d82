package webhook_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// A secret moves images of its own registry alone.
func TestOtherRegistries(t *testing.T) {
	t.Parallel()
	quay := func(url string) string { return `{"docker_url":"` + url + `","updated_tags":["1"]}` }
	ghcr := func(host string) string {
		return `{"action":"published","package":{"package_type":"container","package_version":{"package_url":"` + host + `/octo-org/web:1"}}}`
	}
	acr := func(host string) string {
		return `{"action":"push","target":{"repository":"octo-org/web","tag":"1"},"request":{"host":"` + host + `"}}`
	}
	gar := func(name string) string { return `{"action":"INSERT","tag":"` + name + `:1"}` }
	for _, tt := range []struct {
		name     string
		kind     webhook.Kind
		registry string
		body     string
		want     string // empty: it is of another registry
	}{
		{"quay", webhook.KindQuay, "", quay("quay.io/octo-org/web"), "quay.io/octo-org/web"},
		{"quay in capitals", webhook.KindQuay, "", quay("Quay.IO/octo-org/web"), "quay.io/octo-org/web"},
		{"quay for ghcr.io", webhook.KindQuay, "", quay("ghcr.io/octo-org/web"), ""},
		{"quay for ghcr.io by an address", webhook.KindQuay, "", quay("https://ghcr.io/octo-org/web"), ""},
		{"quay for a host that begins alike", webhook.KindQuay, "", quay("quay.io.example.com/octo-org/web"), ""},
		{"quay with another port", webhook.KindQuay, "", quay("quay.io:8443/octo-org/web"), ""},
		{"quay of one's own", webhook.KindQuay, "quay.example.com", quay("quay.example.com/octo-org/web"), "quay.example.com/octo-org/web"},
		{"quay of one's own for quay.io", webhook.KindQuay, "quay.example.com", quay("quay.io/octo-org/web"), ""},
		{"ghcr", webhook.KindGHCR, "", ghcr("ghcr.io"), "ghcr.io/octo-org/web"},
		{"ghcr for docker.io", webhook.KindGHCR, "", ghcr("docker.io"), ""},
		{"ghcr of an Enterprise Server", webhook.KindGHCR, "containers.example.com", ghcr("containers.example.com"), "containers.example.com/octo-org/web"},
		{"acr", webhook.KindACR, "", acr("octoorg.azurecr.io"), "octoorg.azurecr.io/octo-org/web"},
		{"acr in China", webhook.KindACR, "", acr("octoorg.azurecr.cn"), "octoorg.azurecr.cn/octo-org/web"},
		{"acr for quay.io", webhook.KindACR, "", acr("quay.io"), ""},
		{"acr for a host that ends alike", webhook.KindACR, "", acr("evilazurecr.io"), ""},
		{"acr with the registry for another one's", webhook.KindACR, "octoorg.azurecr.io", acr("other.azurecr.io"), ""},
		{"gar", webhook.KindGAR, "", gar("us-east1-docker.pkg.dev/octo-project/apps/web"), "us-east1-docker.pkg.dev/octo-project/apps/web"},
		{"gcr", webhook.KindGAR, "", gar("eu.gcr.io/octo-project/web"), "eu.gcr.io/octo-project/web"},
		{"gar for ghcr.io", webhook.KindGAR, "", gar("ghcr.io/octo-org/web"), ""},
		{"harbor, which has no host of its own", webhook.KindHarbor, "", `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"tag":"1","resource_url":"any.example.com/a/b:1"}]}}`, "any.example.com/a/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(tt.kind)
			o.Registry = tt.registry
			got := mustReceive(t, o, authentic(tt.kind, []byte(tt.body)))
			checkWhole(t, got)
			switch {
			case tt.want == "" && (got.Refusal != webhook.OtherRegistry || got.Ignored == ""):
				t.Errorf("pushed %v, refused by %q, ignored with %q", pushesOf(got), got.Refusal, got.Ignored)
			case tt.want != "" && (len(got.Pushes) != 1 || got.Pushes[0].Image.String() != tt.want || got.Refusal != ""):
				t.Errorf("pushed %v, ignored with %q, want %s", pushesOf(got), got.Ignored, tt.want)
			}
		})
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	own := map[webhook.Kind]bool{
		webhook.KindGHCR: true, webhook.KindDockerHub: true, webhook.KindQuay: true, webhook.KindACR: true,
		webhook.KindECR: true, webhook.KindGAR: true, webhook.KindZot: true, webhook.KindNexus: true, // these two need a registry
		webhook.KindGitHub: true, // it moves no image
	}
	for _, kind := range webhook.Kinds() {
		o := options(kind)
		if got := newSource(t, o).Bounded(); got != own[kind] {
			t.Errorf("kind %s: bounded %v", kind, got)
		}
		o.Images = []string{"ghcr.io/octo-org/**"}
		if !newSource(t, o).Bounded() {
			t.Errorf("kind %s with images is not bounded", kind)
		}
	}
}

// Headers and URL decide as much as they can before a body is read.
func TestAdmit(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("a", 2*sha256.Size)
	for _, tt := range []struct {
		name   string
		kind   webhook.Kind
		header map[string]string
		query  string
		passes bool
		proven bool
	}{
		{name: "a token in the URL", kind: webhook.KindQuay, query: secret, passes: true, proven: true},
		{name: "another token in the URL", kind: webhook.KindQuay, query: "x"},
		{name: "nothing", kind: webhook.KindGHCR},
		{name: "a signature that may be one", kind: webhook.KindGHCR, header: map[string]string{"X-Hub-Signature-256": "sha256=" + digits}, passes: true},
		{name: "a signature without its prefix", kind: webhook.KindGHCR, header: map[string]string{"X-Hub-Signature-256": digits}},
		{name: "a signature that is too short", kind: webhook.KindGHCR, header: map[string]string{"X-Hub-Signature-256": "sha256=" + digits[2:]}},
		{name: "a signature that is too long", kind: webhook.KindGHCR, header: map[string]string{"X-Hub-Signature-256": "sha256=" + digits + "aa"}},
		{name: "a signature of other characters", kind: webhook.KindGHCR, header: map[string]string{"X-Hub-Signature-256": "sha256=" + strings.Repeat("g", 64)}},
		{name: "a bearer token", kind: webhook.KindGeneric, header: map[string]string{"Authorization": "Bearer " + secret}, passes: true, proven: true},
		{name: "another bearer token", kind: webhook.KindGeneric, header: map[string]string{"Authorization": "Bearer x"}},
		{name: "JFrog's secret", kind: webhook.KindArtifactory, header: map[string]string{"X-JFrog-Event-Auth": secret}, passes: true, proven: true},
		{name: "JFrog's signature", kind: webhook.KindArtifactory, header: map[string]string{"X-JFrog-Event-Auth": digits}, passes: true},
		{name: "neither of both", kind: webhook.KindArtifactory, header: map[string]string{"X-JFrog-Event-Auth": "x"}},
		{name: "Nexus's signature", kind: webhook.KindNexus, header: map[string]string{"X-Nexus-Webhook-Signature": digits[:40]}, passes: true},
		{name: "Google's token", kind: webhook.KindGAR, header: map[string]string{"Authorization": "Bearer " + goodToken()}, passes: true, proven: true},
		{name: "another token for Google's", kind: webhook.KindGAR, header: map[string]string{"Authorization": "Bearer x"}},
		{name: "one of two places", kind: webhook.KindACR, query: secret, passes: true, proven: true},
		{name: "none of two places", kind: webhook.KindACR, query: "x", header: map[string]string{"Authorization": "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := webhook.Request{Header: http.Header{}, Query: url.Values{}}
			for name, value := range tt.header {
				r.Header.Set(name, value)
			}
			if tt.query != "" {
				r.Query.Set("token", tt.query)
			}
			admission, err := newSource(t, options(tt.kind)).Admit(t.Context(), r)
			if !tt.passes {
				wantKind(t, err, webhook.ErrUnauthenticated)
				return
			}
			if err != nil || admission.Proven != tt.proven {
				t.Fatalf("proven %v, %v", admission.Proven, err)
			}
			if _, err := admission.Receive([]byte("{}")); (err == nil) != tt.proven {
				t.Errorf("the body: %v", err)
			}
		})
	}
}
