package manifest_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

func TestSimilar(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 30 {
		fmt.Fprintf(&many, "- image: ghcr.io/octo-org/n%02d/app:1\n", i)
	}
	tests := []struct {
		name, path, content string
		want                []string
	}{
		{"in file order, each once", "a.yaml", "a:\n- image: quay.io/octo-org/app:1\n- image: app:2\n- image: quay.io/octo-org/app:3\n- image: other:1\n", []string{"quay.io/octo-org/app", "docker.io/library/app"}},
		{"a pair", "a.yaml", "image: {registry: ghcr.io, repository: octo-org/app, tag: v1}\n", []string{"ghcr.io/octo-org/app"}},
		{"no last part", "a.yaml", "image: ghcr.io/app/web:1\nx: ghcr.io/octo-org/my-app:1\n", nil},
		{"comments", "a.yaml", "# image: ghcr.io/octo-org/app:1\n", nil},
		{"no YAML", "a.yaml", "image: ghcr.io/octo-org/app:1\n  x: [\n", []string{"ghcr.io/octo-org/app"}},
		{"no UTF-8", "a.yaml", "image: ghcr.io/octo-org/app:1 # \xff\n", []string{"ghcr.io/octo-org/app"}},
		{"no JSON", "a.json", "image: ghcr.io/octo-org/app:1\n", nil},
		{"JSON", "a.json", `{"image": "ghcr.io/octo-org/app:1"}`, []string{"ghcr.io/octo-org/app"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, repo := range manifest.Similar(tt.path, []byte(tt.content), "app") {
				got = append(got, repo.Name())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := manifest.Similar("a.yaml", []byte(many.String()), "app"); len(got) != 16 {
		t.Errorf("%d names of one file, want the first 16", len(got))
	}
}

func TestNameEndings(t *testing.T) {
	t.Parallel()
	for content, want := range map[string][]string{
		"image: ghcr.io/octo-org/web:1.0\n":                             {"web"},
		"- image: \"web\"\n- Image: 'a/b@sha256:00'\r\n":                {"b", "web"},
		"{\"x\": 1, workerImage: web, repository: octo-org/api}":        {"api", "web"},
		"image:\n  repository: localhost:5000/web\n  tag: image\n":      {"web"},
		"image: {{ .x }}\nrepository: \nimage:":                         nil,
		"image: " + strings.Repeat("a/", 200) + "web":                   nil,
		"images: a\nx-image : b\nrepositories: c\nrepositoryUrl: d/e\n": nil,
	} {
		got := slices.Sorted(manifest.NameEndings([]byte(content)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
	for range manifest.NameEndings([]byte("image: a\nimage: b\nrepository: c\n")) {
		break // as early as the caller likes
	}
}

// What tells of endings must find them where the index of words does.
func TestNameEndingsAreWords(t *testing.T) {
	t.Parallel()
	for _, c := range goldens(t) {
		words := manifest.IndexWords(c.in)
		for ending := range manifest.NameEndings(bytes.ToLower(c.in)) {
			if strings.Trim(ending, "abcdefghijklmnopqrstuvwxyz0123456789") == "" && !bytes.ContainsAny(c.in, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !words.MayHold(ending) {
				t.Errorf("%s: %q is no word of the file", c.name, ending)
			}
		}
	}
}
