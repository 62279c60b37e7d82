package manifest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// TestHostileFiles checks that files made to be expensive are read in bounded
// time or left alone with a reason. The test's own deadline is the bound.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	const name = "image: ghcr.io/octo-org/app:1\n"
	var aliases strings.Builder
	aliases.WriteString(name + "a0: &a0 {repository: x/y, tag: v1}\n")
	for i := range 4_000 {
		fmt.Fprintf(&aliases, "a%d: &a%d {<<: [*a%d, *a0], tag: v%d}\n", i+1, i+1, i, i)
	}
	merges := name + "a: &a\n" + strings.Repeat("  kTag: v\n", 4_000) + strings.Repeat("b: {<<: *a}\n", 4_000)
	laughs := name + "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'z'; c++ {
		laughs += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	tests := []struct {
		name, content string
		changes       int
		skips         []manifest.Reason
	}{
		{"too large", name + strings.Repeat("#", manifest.MaxSize), 0, []manifest.Reason{manifest.TooLarge}},
		{"as large as can be", name + strings.Repeat("#", manifest.MaxSize-len(name)), 1, nil},
		{"nothing but separators", name + "a: [" + strings.Repeat("a,", 1_000_000) + "]", 0, []manifest.Reason{manifest.TooLarge}},
		{"nested flow", name + "a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000), 0, []manifest.Reason{manifest.Unparsable}},
		{"nested beyond the parser", name + "a: " + strings.Repeat("[", 100_000), 1, nil},
		{"one long line", "[" + strings.Repeat("\"ghcr.io/octo-org/app:1 é\",", 2000) + "]", 2000, nil},
		{"one long text", "a: |\n" + strings.Repeat("  ghcr.io/octo-org/app:1\n", 2000), 2000, nil},
		{"one long folded text", "a: >\n " + strings.Repeat(" ghcr.io/octo-org/app:1", 2000) + "\n", 2000, nil},
		{"one long escaped text", "a: \"" + strings.Repeat("ghcr.io/octo-org/app:1\\n", 2000) + "\"\n", 2000, nil},
		{"too many references", "a: |\n" + strings.Repeat("  ghcr.io/octo-org/app:1\n", manifest.MaxReferences+1), 0, []manifest.Reason{manifest.TooLarge}},
		{"a long key", "? " + strings.Repeat("k", 100_000) + "\n: [" + strings.Repeat("ghcr.io/octo-org/app:1,", 1000) + "]\n", 1000, nil},
		{"many aliases", "x: &t v1\n" + strings.Repeat("a: {repository: ghcr.io/octo-org/app, tag: *t}\n", 3000), 0, []manifest.Reason{manifest.SharedAnchor}},
		{"a long digest in many pairs", "x: &d " + strings.Repeat("a", 100_000) + "\n" + strings.Repeat("a: {repository: ghcr.io/octo-org/app, tag: v1, digest: *d}\n", 2), 0, []manifest.Reason{manifest.Ambiguous, manifest.Ambiguous}},
		{"too many references in a text", "a: |\n  b:\n    repository: ghcr.io/octo-org/app\n" + strings.Repeat("    tag: v1\n", manifest.MaxReferences+1), 0, []manifest.Reason{manifest.TooLarge}},
		{"a directive on a long line", "[" + strings.Repeat("\"ghcr.io/octo-org/app:1\",", 2000) + "] # versions-service: ignore", 0, nil},
		{"a billion laughs", laughs, 1, nil},
		{"chains of merges", aliases.String(), 0, []manifest.Reason{manifest.TooLarge}},
		{"one merge in many places", merges, 0, []manifest.Reason{manifest.TooLarge}},
		{"an alias of itself", name + "a: &a {<<: *a, repository: x, tag: [*a]}\n", 1, nil},
		{"many template marks", name + "a: " + strings.Repeat("{{", 200_000) + "\n" + strings.Repeat("${", 100_000), 1, nil},
		{"many braces in a text", name + "a: '" + strings.Repeat("{{ ${ ghcr.io/octo-org/app:1 ", 500) + "'\n", 501, nil},
		{"many words in one", name + "a: " + strings.Repeat("-app", 200_000) + "\n", 1, nil},
		{"many slashes escaped", name + "a: '" + strings.Repeat(`\/app:`, 5_000) + "'\n", 1, nil},
	}
	e := editor(t, update(t, "ghcr.io/octo-org/app", "2"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			content := []byte(tt.content)
			r := e.Edit(content)
			checkConfined(t, content, r)
			if len(r.Changes) != tt.changes {
				t.Errorf("%d changes, want %d", len(r.Changes), tt.changes)
			}
			var skips []manifest.Reason
			for _, s := range r.Skips {
				skips = append(skips, s.Reason)
			}
			if diff := cmp.Diff(tt.skips, skips); diff != "" {
				t.Errorf("skips (-want +got):\n%s", diff)
			}
			manifest.IndexWords(content)
		})
	}
}

func TestPointersAreBounded(t *testing.T) {
	t.Parallel()
	content := "? " + strings.Repeat("k", manifest.MaxPointer) + "\n: image: ghcr.io/octo-org/app:1\nshort: {image: \"ghcr.io/octo-org/app:1\"}\n? [a, b]\n: image: ghcr.io/octo-org/app:1\n"
	var got []string
	for _, c := range editor(t, update(t, "ghcr.io/octo-org/app", "2")).Edit([]byte(content)).Changes {
		got = append(got, c.Pointer)
	}
	if diff := cmp.Diff([]string{"", "/short/image", ""}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSkipEmbedded(t *testing.T) {
	t.Parallel()
	const content = `image: ghcr.io/octo-org/app:1
value: ghcr.io/octo-org/app:1
args: [--image=ghcr.io/octo-org/app:1]
uses: docker://ghcr.io/octo-org/app:1
text: |
  image: ghcr.io/octo-org/app:1
app: {repository: ghcr.io/octo-org/app, tag: v1}
`
	e, err := manifest.NewEditor([]manifest.Update{update(t, "ghcr.io/octo-org/app", "v2")}, manifest.Options{SkipEmbedded: true})
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	r := e.Edit([]byte(content))
	for _, c := range r.Changes {
		lines = append(lines, c.Line)
	}
	if diff := cmp.Diff([]int{1, 4, 7}, lines); diff != "" {
		t.Errorf("changed lines (-want +got):\n%s", diff)
	}
}

func TestUnpin(t *testing.T) {
	t.Parallel()
	const content = `image: ghcr.io/octo-org/app@` + digestA + `
a: {repository: ghcr.io/octo-org/app, digest: "` + digestA + `"}
`
	e, err := manifest.NewEditor([]manifest.Update{update(t, "ghcr.io/octo-org/app", "v2")}, manifest.Options{Unpin: true})
	if err != nil {
		t.Fatal(err)
	}
	r := e.Edit([]byte(content))
	want := strings.Replace(content, "app@"+digestA, "app:v2", 1)
	if diff := cmp.Diff(want, string(r.Content)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	if len(r.Skips) != 1 || r.Skips[0].Reason != manifest.DigestOnly {
		t.Errorf("a pair without a version field has nothing to write it into: %+v", r.Skips)
	}
}

func TestPipelinesByPath(t *testing.T) {
	t.Parallel()
	content := []byte("anything: ghcr.io/octo-org/app:1\n")
	e := editor(t, update(t, "ghcr.io/octo-org/app", "2"))
	for path, pipeline := range map[string]bool{
		".github/workflows/ci.yml": true, "sub/.github/actions/x/action.yaml": true, ".gitlab-ci.yml": true, "ci/test.gitlab-ci.yml": true,
		".circleci/config.yml": true, "azure-pipelines.yml": true, "azure-pipelines-release.yml": true, "bitbucket-pipelines.yml": true,
		"cloudbuild.yaml": true, "deploy/cloudbuild-prod.yaml": true, "buildspec.yml": true, ".drone.yml": true, ".woodpecker/test.yml": true,
		".buildkite/pipeline.yml": true, ".travis.yml": true,
		"apps/web.yaml": false, "github/workflows/ci.yml": false, "charts/cloudbuilder/values.yaml": false, "docker-compose.yml": false, "": false,
	} {
		r := e.EditFile(path, content)
		if got := len(r.Changes) == 0 && len(r.Skips) == 1 && r.Skips[0].Reason == manifest.Ambiguous; got != pipeline {
			t.Errorf("%q: %+v", path, r)
		}
	}
}

// TestEditorIsConcurrent lets the race detector watch an editor that is shared.
func TestEditorIsConcurrent(t *testing.T) {
	t.Parallel()
	e := editor(t, update(t, "ghcr.io/octo-org/app", "v2.0.0"), update(t, "redis", "8.10"))
	want := map[string][]byte{}
	cases := goldens(t)
	for _, c := range cases {
		want[c.name] = e.Edit(c.in).Content
	}
	for range 4 {
		t.Run("reader", func(t *testing.T) {
			t.Parallel()
			for _, c := range cases {
				if !bytes.Equal(e.Edit(c.in).Content, want[c.name]) {
					t.Errorf("%s differs", c.name)
				}
			}
		})
	}
}
