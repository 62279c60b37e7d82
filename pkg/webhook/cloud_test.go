package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func TestACR(t *testing.T) {
	t.Parallel()
	web := func(tag, id string) push {
		return push{Image: "octoorg.azurecr.io/team/web", Tag: tag, Digest: digest("acr"), ID: id, Time: "2026-11-20T09:14:31.343145347Z"}
	}
	receive(t, webhook.KindACR, []reception{
		{name: "a push", file: "acr/push.json", want: []push{web("v1", "cb8c3971-9adc-488b-bdd8-43cbb4974ff5")}},
		{
			name: "two events of Event Grid in one array", file: "acr/eventgrid.json",
			header: map[string]string{"Aeg-Event-Type": "Notification"},
			want:   []push{web("v1", "f06e3921-301f-42ec-b368-212f7d5354bd"), web("v2", "1f18c9a5-8f1c-4b0a-8c53-6a6b0f3a4b11")},
		},
		{name: "Event Grid in CloudEvents", file: "acr/cloudevent.json", want: []push{web("v3", "5bd7c9b0-0f6f-4f5e-9d60-c1c0b5a54a10")}},
		{
			name: "Event Grid that says neither action nor time within",
			body: `[{"id":"1","eventType":"Microsoft.ContainerRegistry.ImagePushed","eventTime":"2026-11-20T09:14:32Z","data":{"target":{"repository":"team/web","tag":"v1"},"request":{"host":"octoorg.azurecr.io"}}}]`,
			want: []push{{Image: "octoorg.azurecr.io/team/web", Tag: "v1", ID: "1", Time: "2026-11-20T09:14:32Z"}},
		},
		{name: "a push by digest", file: "acr/untagged.json", ignored: "untagged"},
		{name: "the ping, which has no target", file: "acr/ping.json", ignored: `"ping" is not a push`},
		{name: "a chart", file: "acr/chart-push.json", ignored: `"chart_push" is not a push`},
		{name: "a deletion", file: "acr/delete.json", ignored: `"delete" is not a push`},
		{name: "a deletion by Event Grid", file: "acr/eventgrid-deleted.json", ignored: "ImageDeleted"},
		{name: "an empty array", body: `[]`, ignored: "no event"},
		{name: "a handshake without a code", body: `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{}}]`, ignored: "no code"},
	})
}

func TestEventGridHandshake(t *testing.T) {
	t.Parallel()
	source := newSource(t, options(webhook.KindACR))
	r := request{
		Header: http.Header{"Aeg-Event-Type": {"SubscriptionValidation"}},
		Query:  url.Values{"token": {secret}},
		Body:   payload(t, "acr/validation.json"),
	}
	got, err := send(t.Context(), source, r)
	if err != nil {
		t.Fatal(err)
	}
	checkWhole(t, got)
	reply, err := json.Marshal(got.Reply)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}`, string(reply)); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}

	r.Query.Set("token", "another")
	got, err = send(t.Context(), source, r)
	wantKind(t, err, webhook.ErrUnauthenticated)
	if got.Reply != nil {
		t.Error("the code was echoed to a stranger")
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	good := url.Values{"token": {secret}}
	tests := []struct {
		name, origin string
		kind         webhook.Kind
		query        url.Values
		want         http.Header
		err          error
	}{
		{
			name: "Event Grid asks", kind: webhook.KindACR, origin: "Az09-_.example.com:443", query: good,
			want: http.Header{"Allow": {"POST"}, "Webhook-Allowed-Origin": {"Az09-_.example.com:443"}, "Webhook-Allowed-Rate": {"*"}},
		},
		{
			name: "anybody may deliver", kind: webhook.KindACR, origin: "*", query: good,
			want: http.Header{"Allow": {"POST"}, "Webhook-Allowed-Origin": {"*"}, "Webhook-Allowed-Rate": {"*"}},
		},
		{name: "a stranger asks", kind: webhook.KindACR, origin: "eventgrid.azure.net", query: url.Values{"token": {"x"}}, err: webhook.ErrUnauthenticated},
		{name: "nobody proves anything", kind: webhook.KindACR, origin: "eventgrid.azure.net", err: webhook.ErrUnauthenticated},
		{name: "an origin that is none", kind: webhook.KindACR, origin: "a\r\nSet-Cookie: x", query: good, err: webhook.ErrMalformed},
		{name: "no origin", kind: webhook.KindACR, query: good, err: webhook.ErrMalformed},
		{name: "a kind that has no handshake", kind: webhook.KindQuay, origin: "quay.io", query: good, err: webhook.ErrNoPreflight},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := newSource(t, options(tt.kind)).Preflight(tt.origin, tt.query)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			for name := range got {
				if name != http.CanonicalHeaderKey(name) {
					t.Errorf("%q is not canonical", name)
				}
			}
		})
	}
}

func TestECR(t *testing.T) {
	t.Parallel()
	web := push{
		Image: "123456789012.dkr.ecr.us-west-2.amazonaws.com/team/web", Tag: "latest", Digest: digest("ecr"),
		ID: "13cde686-328b-6117-af20-0e5566167482", Time: "2026-11-20T09:14:31Z",
	}
	china, elsewhere := web, web
	china.Image = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/web"
	elsewhere.Image = "ecr.example.com/team/web"
	receive(t, webhook.KindECR, []reception{
		{name: "a push", file: "ecr/push.json", want: []push{web}},
		{name: "a push in China", file: "ecr/push-china.json", want: []push{china}},
		{name: "the host configured", file: "ecr/push.json", options: func(o *webhook.Options) { o.Registry = "ecr.example.com" }, want: []push{elsewhere}},
		{
			name: "a chart", ignored: `"application/vnd.cncf.helm.config.v1+json" is not the type of an image`,
			body: `{"detail-type":"ECR Image Action","account":"123456789012","region":"us-west-2","detail":{"result":"SUCCESS","action-type":"PUSH","repository-name":"charts/web","image-tag":"1.0.0",` +
				`"manifest-media-type":"application/vnd.oci.image.manifest.v1+json","artifact-media-type":"application/vnd.cncf.helm.config.v1+json"}}`,
		},
		{name: "an account that is none", ignored: "takes only its own", refusal: webhook.OtherRegistry, body: `{"detail-type":"ECR Image Action","account":"evil.example.com/x","region":"r","detail":{"result":"SUCCESS","action-type":"PUSH","repository-name":"web","image-tag":"1"}}`},
		{name: "a deletion", file: "ecr/delete.json", ignored: `"DELETE" is not a push`},
		{name: "a push that failed", file: "ecr/failure.json", ignored: `ended with "FAILURE"`},
		{name: "a push by digest", file: "ecr/untagged.json", ignored: "untagged"},
		{name: "a scan", file: "ecr/scan.json", ignored: `"ECR Image Scan" is not a push`},
		{
			name: "no account", body: `{"detail-type":"ECR Image Action","region":"us-west-2","detail":{"result":"SUCCESS","action-type":"PUSH","repository-name":"team/web","image-tag":"1"}}`,
			want: []push{{Tag: "1", Name: "team/web", Version: "1", Unusable: "no registry host in the payload: set registry, or a rewrite, on the source"}},
		},
	})
}

func TestGAR(t *testing.T) {
	t.Parallel()
	web := push{
		Image: "us-east1-docker.pkg.dev/octo-project/apps/web", Tag: "1.1", Digest: digest("gar"),
		ID: "2070443601311540", Time: "2026-11-20T09:14:31.749Z",
	}
	bare := web
	bare.ID, bare.Time = "", ""
	metadata := map[string]string{"X-Goog-Pubsub-Message-Id": web.ID, "X-Goog-Pubsub-Publish-Time": web.Time}
	receive(t, webhook.KindGAR, []reception{
		{name: "a push in the envelope", file: "gar/insert.json", want: []push{web}},
		{name: "a push without wrapper", file: "gar/unwrapped.json", want: []push{bare}},
		{name: "a push without wrapper, with metadata", file: "gar/unwrapped.json", header: metadata, want: []push{web}},
		{
			name: "the message's id in its other spelling",
			body: `{"message":{"message_id":"7","data":"` + base64.StdEncoding.EncodeToString(payload(t, "gar/unwrapped.json")) + `"}}`,
			want: []push{{Image: web.Image, Tag: web.Tag, Digest: web.Digest, ID: "7"}},
		},
		{name: "a push by digest", file: "gar/untagged.json", ignored: "untagged"},
		{name: "a deletion", file: "gar/delete.json", ignored: `"DELETE" is not a push`},
		{name: "data that is not base64", file: "gar/not-base64.json", ignored: "is not base64"},
		{name: "data that is not JSON", file: "gar/not-json.json", ignored: "is not JSON"},
		{name: "a body that is not JSON", body: "hello", ignored: "is not JSON"},
		{name: "an empty body", body: "", ignored: "is not JSON"},
		{name: "attributes alone", body: `{"message":{"attributes":{"a":"b"},"messageId":"1"}}`, ignored: "is not JSON"},
	})
}

func TestGeneric(t *testing.T) {
	t.Parallel()
	web := func(tag, id string) push {
		return push{Image: "registry.example.com:5000/octo-org/web", Tag: tag, Digest: digest("gen"), ID: id, Time: "2026-11-20T09:01:11.25Z"}
	}
	paths := func(g webhook.Generic) func(*webhook.Options) {
		return func(o *webhook.Options) { o.Generic = &g }
	}
	receive(t, webhook.KindGeneric, []reception{
		{name: "an array of tags", file: "generic/build.json", want: []push{web("1.2.3", "build-4711"), web("1.2", "build-4711#2")}},
		{
			name: "one of the tags", file: "generic/build.json", options: paths(webhook.Generic{Image: "/artifact/image", Version: "/artifact/tags/1"}),
			want: []push{{Image: "registry.example.com:5000/octo-org/web", Tag: "1.2"}},
		},
		{
			name: "tag and digest behind the image", file: "generic/one.json", options: paths(webhook.Generic{Image: "/image", Time: "/at"}),
			want: []push{{Image: "ghcr.io/octo-org/web", Tag: "1.2.3", Digest: digest("gen"), Time: "2026-11-20T09:14:31Z"}},
		},
		{
			name: "escapes in a pointer", file: "generic/one.json", options: paths(webhook.Generic{Image: "/image", Version: "/a~1b/m~0n"}),
			want: []push{{Image: "ghcr.io/octo-org/web", Tag: "v9", Digest: digest("gen")}},
		},
		{
			name: "a name of Docker Hub", body: `{"image":"octo-org/web:1"}`, options: paths(webhook.Generic{Image: "/image"}),
			want: []push{{Image: "docker.io/octo-org/web", Tag: "1"}},
		},
		{name: "a version that is a number", body: `{"artifact":{"image":"ghcr.io/octo-org/web","tags":1.10}}`, ignored: `the payload has no version, as text, at "/artifact/tags"`},
		{name: "an image that is not there", body: `{"artifact":{}}`, ignored: `no image at "/artifact/image"`},
		{name: "an image that is an object", body: `{"artifact":{"image":{"name":"x"}}}`, ignored: "no image"},
		{name: "a body that is no object", body: `"ghcr.io/octo-org/web:1"`, ignored: "no image"},
		{name: "an index that is no number", file: "generic/build.json", options: paths(webhook.Generic{Image: "/artifact/image", Version: "/artifact/tags/01"}), ignored: `the payload has no version, as text, at "/artifact/tags/01"`},
		{name: "an index beyond the end", file: "generic/build.json", options: paths(webhook.Generic{Image: "/artifact/image", Version: "/artifact/tags/2"}), ignored: `the payload has no version, as text, at "/artifact/tags/2"`},
	})
}
