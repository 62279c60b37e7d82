package acceptance_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

const web = "ghcr.io/octo-org/web"

// naming is a chart's values.yaml that names an image without a version.
func naming(image string) string {
	return "replicas: 1\n\nimage:\n  repository: " + image + "\n  tag: \"\" # the chart's appVersion\n"
}

// pinning is a file that says the version alone.
func pinning(version string) string { return "image:\n  tag: \"" + version + "\"\n" }

// charts is a chart with a version for each of its environments.
var charts = map[string]string{
	"charts/web/Chart.yaml":        "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: \"1.0.0\"\n",
	"charts/web/values.yaml":       naming(web),
	"charts/web/values-prod.yaml":  pinning("1.0.0"),
	"charts/web/envs/staging.yaml": pinning("1.1.0"),
	"env/dev/values.yaml":          pinning("1.2.0"),
	"env/test/values-test.yaml":    "other:\n  tag: \"1.0.0\"\n",
	"elsewhere/production.yaml":    pinning("1.0.0"),
}

const editing = `
targets:
  - repository: refty-yapi/refty-infra-test
    branch: main
    overrides: edit
`

// told are the overrides of an answer: path, line, reason or versions, and where
// the image is named.
func told(r reply) []string {
	var lines []string
	name := func(n *api.NamedIn) string {
		if n == nil {
			return ""
		}
		return fmt.Sprintf(" named in %s:%d", n.Path, n.Line)
	}
	for _, target := range r.update.Targets {
		for _, f := range target.Files {
			for _, c := range f.Changes {
				lines = append(lines, fmt.Sprintf("%s:%d %s -> %s%s", f.Path, c.Line, c.From, c.To, name(c.NamedIn)))
			}
		}
		for _, s := range target.Skipped {
			line := 0
			if s.Line != nil {
				line = *s.Line
			}
			lines = append(lines, fmt.Sprintf("%s:%d %s%s", s.Path, line, s.Reason, name(s.NamedIn)))
		}
	}
	return lines
}

func wantTold(t *testing.T, r reply, status int, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, told(r)); diff != "" || r.status != status {
		t.Errorf("status %d, want %d (-want +got):\n%s\n%s", r.status, status, diff, r.body)
	}
}

func TestOverridesAreReported(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(charts))
	want := []string{
		"charts/web/envs/staging.yaml:2 override named in charts/web/values.yaml:4",
		"charts/web/values-prod.yaml:2 override named in charts/web/values.yaml:4",
		"charts/web/values.yaml:4 untagged",
		"env/dev/values.yaml:2 override named in charts/web/values.yaml:4",
	}
	wantTold(t, w.post(setTo(web, "2.0.0")), http.StatusOK, want...)
	wantTold(t, w.post(setTo(web, "2.0.0")), http.StatusOK, want...)
	dry := w.post(`{"image": "` + web + `", "version": "2.0.0", "dry_run": true}`)
	wantTold(t, dry, http.StatusOK, want...)
	stored := w.ended(w.post(setTo(web, "2.0.0"), "Prefer", "respond-async").update.Id)
	wantTold(t, reply{status: http.StatusOK, update: api.Update{Targets: stored.Targets}}, http.StatusOK, want...)
	wantTold(t, w.post(setTo(web, "1.2.0")), http.StatusOK, want[:3]...)
}

func TestOverridesAreIgnored(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(charts), withEnv("OVERRIDES", "ignore"))
	wantTold(t, w.post(setTo(web, "2.0.0")), http.StatusOK, "charts/web/values.yaml:4 untagged")
}

func TestOverridesAreEdited(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]option{"variable": withEnv("OVERRIDES", "edit"), "file": withConfig(editing)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, withFiles(charts), o)
			want := []string{
				"charts/web/envs/staging.yaml:2 1.1.0 -> 2.0.0 named in charts/web/values.yaml:4",
				"charts/web/values-prod.yaml:2 1.0.0 -> 2.0.0 named in charts/web/values.yaml:4",
				"env/dev/values.yaml:2 1.2.0 -> 2.0.0 named in charts/web/values.yaml:4",
				"charts/web/values.yaml:4 untagged",
			}
			dry := w.post(`{"image": "` + web + `", "version": "2.0.0", "dry_run": true}`)
			wantTold(t, dry, http.StatusOK, want...)
			if diff := *dry.update.Targets[0].Diff; strings.Count(diff, "\n+  tag: \"2.0.0\"\n") != 3 {
				t.Errorf("diff: %s", diff)
			}
			wantTold(t, w.post(setTo(web, "2.0.0")), http.StatusCreated, want...)
			for _, path := range []string{"charts/web/values-prod.yaml", "charts/web/envs/staging.yaml", "env/dev/values.yaml"} {
				if got := w.file(path); got != pinning("2.0.0") {
					t.Errorf("%s:\n%s", path, got)
				}
			}
			for path, before := range charts {
				if after := w.file(path); !strings.Contains(before, "image:\n  tag") && after != before || path == "elsewhere/production.yaml" && after != before {
					t.Errorf("%s was changed:\n%s", path, after)
				}
			}
			wantTold(t, w.post(setTo(web, "2.0.0")), http.StatusOK, "charts/web/values.yaml:4 untagged")
		})
	}
}

// A file may have an override and a reference that names the image; comments in it
// steer the edit as elsewhere.
func TestOverridesBesideReferences(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(editing), withFiles(map[string]string{
		"web/values.yaml": "a:\n  image: {repository: " + web + ", tag: \"1\"}\nb:\n  image: {registry: ghcr.io, repository: octo-org/web}\n" +
			"c:\n  image: {repository: " + web + "}\nd:\n  imageRepository: " + web + "\ne:\n  image: {repository: " + web + "}\n",
		"web/values-prod.yaml": "sidecar: " + web + ":1 # first\na:\n  image: {tag: \"1\", pullPolicy: Always}\nb:\n  image:\n    tag: '1' # versions-service: hold\n" +
			"c:\n  image: {tag: \"1\"} # versions-service: ignore\nd:\n  imageTag: 1\ne:\n  image: {tag: \"1\", digest: \"sha256:" + strings.Repeat("a", 64) + "\"}\nf:\n  image: {tag: \"1\"}\n",
	}))
	wantTold(t, w.post(setTo(web, "2")), http.StatusCreated,
		"web/values-prod.yaml:1 1 -> 2",
		"web/values-prod.yaml:3 1 -> 2 named in web/values.yaml:2",
		"web/values-prod.yaml:10 1 -> 2 named in web/values.yaml:8",
		"web/values-prod.yaml:12 1 -> 2 named in web/values.yaml:10",
		"web/values.yaml:2 1 -> 2",
		"web/values-prod.yaml:6 held named in web/values.yaml:4",
		"web/values.yaml:4 untagged", "web/values.yaml:6 untagged", "web/values.yaml:8 untagged", "web/values.yaml:10 untagged",
	)
	want := "sidecar: " + web + ":2 # first\na:\n  image: {tag: \"2\", pullPolicy: Always}\nb:\n  image:\n    tag: '1' # versions-service: hold\n" +
		"c:\n  image: {tag: \"1\"} # versions-service: ignore\nd:\n  imageTag: \"2\"\ne:\n  image: {tag: \"2\", digest: \"\"}\nf:\n  image: {tag: \"1\"}\n"
	if diff := cmp.Diff(want, w.file("web/values-prod.yaml")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOverridesThatMayBeOthers(t *testing.T) {
	t.Parallel()
	const api = "ghcr.io/octo-org/api"
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"two charts, one file": {
			map[string]string{"a/values.yaml": naming(web), "b/values.yaml": naming(api), "env/values.yaml": pinning("1")},
			[]string{"a/values.yaml:4 untagged", "env/values.yaml:2 override_ambiguous named in a/values.yaml:4"},
		},
		"each chart has its own": {
			map[string]string{
				"a/values.yaml": naming(web), "a/values-prod.yaml": pinning("1"), "b/values.yaml": naming(api), "b/values-prod.yaml": pinning("1"),
			},
			[]string{"a/values-prod.yaml:2 1 -> 2 named in a/values.yaml:4", "a/values.yaml:4 untagged"},
		},
		"another name in the folder": {
			map[string]string{"a/values.yaml": naming(web), "a/other.yaml": naming(api), "a/values-prod.yaml": pinning("1")},
			[]string{"a/values-prod.yaml:2 override_ambiguous named in a/values.yaml:4", "a/values.yaml:4 untagged"},
		},
		"another name beside the version": {
			map[string]string{"a/values.yaml": naming(web), "env/values.yaml": pinning("1"), "env/api.yaml": naming(api)},
			[]string{"a/values.yaml:4 untagged"},
		},
		"another registry": {
			map[string]string{"a/values.yaml": naming(web), "a/values-prod.yaml": "image: {registry: quay.io, tag: \"1\"}\n"},
			[]string{"a/values-prod.yaml:1 override_ambiguous named in a/values.yaml:4", "a/values.yaml:4 untagged"},
		},
		"a chart below a chart": {
			map[string]string{
				"a/Chart.yaml": "name: a\n", "a/values.yaml": naming(web), "a/charts/b/Chart.yaml": "name: b\n", "a/charts/b/values.yaml": naming(api),
				"a/charts/b/envs/prod.yaml": pinning("1"), "a/envs/prod.yaml": pinning("1"),
			},
			[]string{"a/envs/prod.yaml:2 1 -> 2 named in a/values.yaml:4", "a/values.yaml:4 untagged"},
		},
		"two files name it": {
			map[string]string{"a/values.yaml": naming(web), "a/values-eu.yaml": naming(web), "a/values-prod.yaml": pinning("1")},
			[]string{"a/values-prod.yaml:2 1 -> 2 named in a/values-eu.yaml:4", "a/values-eu.yaml:4 untagged", "a/values.yaml:4 untagged"},
		},
		"lists, other keys and what is no version": {
			map[string]string{
				"a/values.yaml":  "x:\n- image: {repository: " + web + "}\nimage: {repository: " + web + "}\nversion: 3\n",
				"a/v2.yaml":      "x:\n- image: {tag: \"1\"}\nimages: {tag: \"1\"}\nversion: 2\nname: web\n",
				"a/v3.yaml":      "image: {tag: \"\"}\n---\nimage: {tag: \"{{ .x }}\"}\n---\nimage: {tag: &t \"1\"}\n",
				"a/Chart.yaml":   "name: web\nversion: 1.0.0\n",
				"a/broken.yaml":  "image: {tag: \"1\"\n",
				"a/utf-16.yaml":  "\xff\xfei\x00:\x001\x00",
				"a/comment.yaml": "# image: {tag: \"1\"}\n",
			},
			[]string{
				"a/v3.yaml:3 templated named in a/values.yaml:3", "a/v3.yaml:5 shared_anchor named in a/values.yaml:3",
				"a/values.yaml:2 untagged", "a/values.yaml:3 untagged",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, withFiles(tt.files), withConfig(editing))
			status := http.StatusOK
			if slices.ContainsFunc(tt.want, func(line string) bool { return strings.Contains(line, "->") }) {
				status = http.StatusCreated
			}
			wantTold(t, w.post(setTo(web, "2")), status, tt.want...)
		})
	}
}

// The files of a request are those of its paths; names elsewhere still count.
func TestOverridesOfSomePaths(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(charts), withConfig(editing))
	r := w.post(`{"image": "` + web + `", "version": "2.0.0", "paths": ["charts/**"], "present": "^1\\.0"}`)
	wantTold(t, r, http.StatusCreated,
		"charts/web/values-prod.yaml:2 1.0.0 -> 2.0.0 named in charts/web/values.yaml:4",
		"charts/web/envs/staging.yaml:2 other_version named in charts/web/values.yaml:4",
		"charts/web/values.yaml:4 untagged")
}

// What overrides cost at GitHub. Plain manifests cost what they cost without them,
// also beside charts; a pair costs nothing more as long as the files are at hand.
func TestCostOfOverrides(t *testing.T) {
	t.Parallel()
	t.Run("plain manifests", func(t *testing.T) {
		t.Parallel()
		for _, mode := range []string{"ignore", "report", "edit"} {
			w := start(t, onMain, withFiles(charts), withEnv("OVERRIDES", mode))
			wantCommitted(t, w.post(mission))
			cold := []string{callTarball, callHead, callTree, callNewTree, callNewCommit, callUpdateRef}
			w.wantSpent(0, cold...)
			mark := w.mark()
			wantCommitted(t, w.post(setTo(node, "warm")))
			w.wantSpent(mark, writes()...)
		}
	})
	t.Run("a pair, cold and warm", func(t *testing.T) {
		t.Parallel()
		w := start(t, onMain, withFiles(charts), withEnv("OVERRIDES", "edit"))
		wantCommitted(t, w.post(setTo(web, "2")))
		cold := []string{callTarball, callHead, callTree, callNewTree, callNewCommit, callUpdateRef}
		w.wantSpent(0, cold...)
		mark := w.mark()
		wantCommitted(t, w.post(setTo(web, "3")))
		w.wantSpent(mark, writes()...)
		w.push(map[string]string{"charts/web/values-eu.yaml": pinning("1"), "charts/web/plain.yaml": "a: b\n"})
		w.post(mission)
		mark = w.mark()
		wantCommitted(t, w.post(setTo(web, "4")))
		w.wantSpent(mark, writes()...)
		w.wantVersion("charts/web/values-eu.yaml", pinning("4"))
	})
}

func (w *world) wantVersion(path, want string) {
	w.t.Helper()
	if got := w.file(path); got != want {
		w.t.Errorf("%s:\n%s", path, got)
	}
}
