package webhook_test

import (
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func TestGHCR(t *testing.T) {
	t.Parallel()
	web := push{
		Image: "ghcr.io/octo-org/web", Tag: "1.2.3", Digest: digest("web"), ID: delivery, Time: "2026-11-20T09:14:31Z",
	}
	later := web
	later.Time = "2026-11-21T10:00:00Z"
	enterprise := web
	enterprise.Image = "containers.github.example.com/octo-org/web"
	node := push{
		Image: "ghcr.io/refty-yapi/refty-node/refty-node", Tag: "05-06-42a252", Digest: digest("node"), ID: delivery, Time: "2026-11-20T09:14:31Z",
	}
	receive(t, webhook.KindGHCR, []reception{
		{
			name: "a published container, lower-cased", file: "ghcr/published.json",
			header: map[string]string{"X-GitHub-Event": "registry_package"}, want: []push{web},
		},
		{
			name: "the event package of a repository's webhook", file: "ghcr/package-updated.json",
			header: map[string]string{"X-GitHub-Event": "package"}, want: []push{later},
		},
		{name: "a package whose name has a slash", file: "ghcr/nested.json", want: []push{node}},
		{name: "the format stands under ecosystem", file: "ghcr/ecosystem.json", want: []push{web}},
		{
			name: "GitHub Enterprise Server's own host", file: "ghcr/enterprise.json",
			options: func(o *webhook.Options) { o.Registry = "containers.github.example.com" }, want: []push{enterprise},
		},
		{name: "another host than GitHub's", file: "ghcr/enterprise.json", ignored: `"containers.github.example.com", and a source of kind ghcr takes only its own`, refusal: webhook.OtherRegistry},
		{name: "a chart", file: "ghcr/chart.json", ignored: `"application/vnd.cncf.helm.config.v1+json" is not the type of an image`},
		{name: "no URL of the package", file: "ghcr/no-url.json", want: []push{web}},
		{name: "an untagged part of an index", file: "ghcr/untagged.json", ignored: "untagged"},
		{name: "the ping after the webhook was made", file: "ghcr/ping.json", header: map[string]string{"X-GitHub-Event": "ping"}, ignored: `"ping" is not a push`},
		{name: "the ping without its header", file: "ghcr/ping.json", ignored: "no package"},
		{name: "another event on the same webhook", file: "ghcr/published.json", header: map[string]string{"X-GitHub-Event": "release"}, ignored: `"release" is not a push`},
		{
			name: "tag and digest stand in their other places",
			body: `{"action":"published","package":{"package_type":"docker","package_version":{"package_url":"ghcr.io/octo-org/web:2.0",` +
				`"container_metadata":{"manifest":{"digest":"` + digest("web") + `"}}}}}`,
			want: []push{{Image: "ghcr.io/octo-org/web", Tag: "2.0", Digest: digest("web"), ID: delivery}},
		},
		{name: "a package for npm", file: "ghcr/npm.json", ignored: `"npm" and not a container`},
		{
			name: "a type that is long and has an escape", body: `{"action":"published","package":{"package_type":"\u001b[31m` + strings.Repeat("x", 500) + `"}}`,
			ignored: `type "\x1b[31mxxx`,
		},
		{name: "a deletion", file: "ghcr/deleted.json", ignored: `"deleted" is not a push`},
	})
}

func TestGHCRIsSignedWithSHA256Alone(t *testing.T) {
	t.Parallel()
	body := payload(t, "ghcr/published.json")
	for _, tt := range []struct {
		name   string
		change func(*request)
	}{
		{"one byte of the body is another", func(r *request) {
			r.Body = append([]byte(nil), body...)
			r.Body[len(body)/2] ^= 1
		}},
		{"no signature", func(r *request) { r.Header.Del("X-Hub-Signature-256") }},
		{"a signature with SHA-1 alone", func(r *request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", "sha1=6e7d6b4b1b1f9a1c6f0c0f4c1b8d9a5e3f2a1b0c")
		}},
		{"a signature without its prefix", func(r *request) {
			r.Header.Set("X-Hub-Signature-256", r.Header.Get("X-Hub-Signature-256")[len("sha256="):])
		}},
		{"half a signature", func(r *request) {
			r.Header.Set("X-Hub-Signature-256", r.Header.Get("X-Hub-Signature-256")[:len("sha256=")+32])
		}},
		{"no digits", func(r *request) { r.Header.Set("X-Hub-Signature-256", "sha256=zz") }},
		{"the secret itself", func(r *request) { r.Header.Set("X-Hub-Signature-256", secret) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := authentic(webhook.KindGHCR, body)
			tt.change(&r)
			_, err := send(t.Context(), newSource(t, options(webhook.KindGHCR)), r)
			wantKind(t, err, webhook.ErrUnauthenticated)
		})
	}
}
