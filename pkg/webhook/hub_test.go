package webhook_test

import (
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func TestDockerHub(t *testing.T) {
	t.Parallel()
	web := push{Image: "docker.io/octo-org/web", Tag: "v2.0.1", Time: "2026-11-20T09:01:11Z"}
	receive(t, webhook.KindDockerHub, []reception{
		{
			name: "an official image, with a float for the time", file: "dockerhub/official.json",
			want: []push{{Image: "docker.io/library/nginx", Tag: "1.27", Time: "2014-12-03T00:22:41Z"}},
		},
		{name: "an organisation's image", file: "dockerhub/push.json", want: []push{web}},
		{name: "a chart", file: "dockerhub/chart.json", ignored: "is not the type of an image"},
		{name: "nothing that is expected", body: `{"zen": true}`, ignored: "untagged"},
	})
}

// TestURLsInPayloadsAreNotFetched gives every kind a transport that must not be
// used, and payloads with URLs in them.
func TestURLsInPayloadsAreNotFetched(t *testing.T) {
	t.Parallel()
	for kind, file := range map[webhook.Kind]string{
		webhook.KindDockerHub:    "dockerhub/callback.json",
		webhook.KindACR:          "acr/validation.json",
		webhook.KindDistribution: "distribution/push.json",
		webhook.KindArtifactory:  "artifactory/pushed.json",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			o := options(kind)
			o.Transport = forbidden{t}
			mustReceive(t, o, authentic(kind, payload(t, file)))
		})
	}
}

func TestQuay(t *testing.T) {
	t.Parallel()
	receive(t, webhook.KindQuay, []reception{
		{name: "a push", file: "quay/push.json", want: []push{{Image: "quay.io/octo-org/web", Tag: "v1.4.0"}}},
		{
			name: "several tags and a registry with a port", file: "quay/many-tags.json",
			options: func(o *webhook.Options) { o.Registry = "quay.example.com:8443" },
			want:    []push{{Image: "quay.example.com:8443/ns/app", Tag: "a"}, {Image: "quay.example.com:8443/ns/app", Tag: "b"}},
		},
		{name: "an address", body: `{"docker_url":"https://quay.io/octo-org/web","updated_tags":["v2"]}`, want: []push{{Image: "quay.io/octo-org/web", Tag: "v2"}}},
		{name: "a registry of somebody else", file: "quay/many-tags.json", ignored: "takes only its own; set registry", refusal: webhook.OtherRegistry},
		{name: "a build that ended", file: "quay/build-success.json", ignored: "no updated_tags"},
		{name: "tags that are no texts", body: `{"docker_url":"quay.io/octo-org/web","updated_tags":[1,"v2",null]}`, want: []push{{Image: "quay.io/octo-org/web", Tag: "v2"}}, dropped: []string{"untagged"}},
		{name: "tags that are no array", body: `{"docker_url":"quay.io/octo-org/web","updated_tags":{"v2":1}}`, ignored: "no updated_tags"},
	})
}
