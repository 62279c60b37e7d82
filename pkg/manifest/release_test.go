package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

const releaseFiles = `kind: Application
spec:
  source: {repoURL: "https://example.com/octo-org/infra.git", path: charts/web, helm: {valueFiles: [values.yaml, ../eu.yaml, /root.yaml, "{{x}}.yaml", "https://example.com/x.yaml"]}}
  sources:
  - &v {repoURL: "git@example.com:octo-org/values", ref: v}
  - {repoURL: "https://charts.example.com", chart: web, helm: {valueFiles: [values.yaml, $v/a.yaml, $none/b.yaml, $v, {}]}}
---
kind: HelmRelease
spec: {chart: {spec: {chart: ./web, sourceRef: {kind: GitRepository}, valuesFiles: [web/a.yaml]}}}
---
helmCharts:
- {name: web, valuesFile: a.yaml, additionalValuesFiles: [b.yaml]}
- {name: api}
---
releases:
- {chart: ../web, values: [a.yaml, {b: c}]}
- {values: [a.yaml]}
`

func TestReleases(t *testing.T) {
	t.Parallel()
	want := []manifest.Release{
		{Repository: "https://example.com/octo-org/infra.git", Chart: "charts/web", Files: []string{"charts/web/values.yaml", "charts/eu.yaml", "root.yaml"}},
		{Repository: "git@example.com:octo-org/values", Files: []string{"a.yaml"}},
		{Chart: "./web", Files: []string{"web/a.yaml"}},
		{Chart: "charts/web", Files: []string{"b.yaml", "a.yaml"}, Relative: true},
		{Chart: "../web", Files: []string{"a.yaml"}, Relative: true},
	}
	pairs := manifest.IndexPairs([]byte(releaseFiles))
	if diff := cmp.Diff(want, pairs.Releases()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if pairs.Size() < 200 {
		t.Errorf("the releases count for nothing: %d bytes", pairs.Size())
	}
}

func TestTooManyReleases(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"releases": "releases:\n" + strings.Repeat("- {chart: ../web, values: [a.yaml]}\n", 5_000),
		"files":    "releases:\n- {chart: ../web, values: [" + strings.Repeat("a.yaml, ", 20_000) + "]}\n",
		"one list": "x: &v [" + strings.Repeat("a.yaml, ", 400) + "]\nreleases:\n" + strings.Repeat("- {chart: ../web, values: *v}\n", 900),
		"a path":   "releases:\n- {chart: ../web, values: [" + strings.Repeat("a", 2_000) + "]}\n",
	} {
		if got := manifest.IndexPairs([]byte(content)).Releases(); len(got) > 0 {
			t.Errorf("%s: %d releases", name, len(got))
		}
	}
}

func TestMayHoldRelease(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]bool{
		"valueFiles: [a]": true, "x: {\"valuesFiles\": [a]}": true, "additionalValuesFiles :\n- a": true, "releases:\n": true, "valuesFile: a": true,
		"kind: Application\nspec: {}\n": false, "# valueFiles\n": false, "values: [a]": false,
	} {
		if got := manifest.IndexWords([]byte(content)).MayHoldRelease(); got != want {
			t.Errorf("%q: %v", content, got)
		}
	}
}
