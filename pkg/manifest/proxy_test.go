package manifest_test

import (
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

var proxied = manifest.Options{Proxies: []manifest.Proxy{
	{Prefix: "harbor.example.com/hub", Registry: "docker.io"},
	{Prefix: "harbor.example.com/hub/github", Registry: "ghcr.io"},
	{Prefix: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/docker-hub", Registry: "docker.io"},
	{Prefix: "mirror.example.com:5000", Registry: "ghcr.io/octo-org"},
}}

func TestProxies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		image, in, out string
	}{
		{"redis", "image: harbor.example.com/hub/library/redis:1", "image: harbor.example.com/hub/library/redis:2"},
		{"redis", "image: harbor.example.com/hub/redis:1", "image: harbor.example.com/hub/redis:2"},
		{"redis", "image: redis:1", "image: redis:2"},
		{"redis", "image: harbor.example.com/other/redis:1", ""},
		{"redis", "image: harbor.example.com/hubs/redis:1", ""},
		{"redis", "image: x/harbor.example.com/hub/redis:1", ""},
		{"octo-org/web", "image: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/docker-hub/octo-org/web:1", "image: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/docker-hub/octo-org/web:2"},
		{"ghcr.io/octo-org/web", "image: harbor.example.com/hub/github/octo-org/web:1", "image: harbor.example.com/hub/github/octo-org/web:2"},
		{"docker.io/github/web", "image: harbor.example.com/hub/github/web:1", ""},
		{"ghcr.io/octo-org/web", "image: mirror.example.com:5000/web:1", "image: mirror.example.com:5000/web:2"},
		{"harbor.example.com/hub/redis", "image: harbor.example.com/hub/redis:1", "image: harbor.example.com/hub/redis:2"},
		{"redis", "a: {registry: harbor.example.com, repository: hub/library/redis, tag: v1}", "a: {registry: harbor.example.com, repository: hub/library/redis, tag: \"2\"}"},
		{"redis", "a: {repository: harbor.example.com/hub/redis, tag: &t v1}\nb: {repository: redis, tag: *t}", "a: {repository: harbor.example.com/hub/redis, tag: &t \"2\"}\nb: {repository: redis, tag: *t}"},
		{"redis", "args: [--image=harbor.example.com/hub/redis:1]", "args: [--image=harbor.example.com/hub/redis:2]"},
	}
	for _, tt := range tests {
		e, err := manifest.NewEditor([]manifest.Update{update(t, tt.image, "2")}, proxied)
		if err != nil {
			t.Fatal(err)
		}
		want := tt.out
		if want == "" {
			want = tt.in
		}
		for _, end := range []string{"\n", "\r\n", ""} {
			in := strings.ReplaceAll(tt.in, "\n", "\r\n") + end
			got := e.Edit([]byte(in))
			if string(got.Content) != strings.ReplaceAll(want, "\n", "\r\n")+end {
				t.Errorf("%s in %q: %q %+v", tt.image, in, got.Content, got.Skips)
			}
			if named := len(got.Changes) > 0; named != (tt.out != "") || named && !e.MayMatch(manifest.IndexWords([]byte(in))) {
				t.Errorf("%s in %q: %+v", tt.image, in, got)
			}
		}
	}
}
