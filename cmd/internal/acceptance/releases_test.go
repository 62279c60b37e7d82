package acceptance_test

import (
	"maps"
	"net/http"
	"testing"
)

const (
	here  = "https://github.com/refty-yapi/refty-infra-test.git"
	other = "ghcr.io/octo-org/api"
)

// application is one of Argo CD with these sources, in flow style.
func application(sources string) string {
	return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  sources: " + sources + "\n"
}

// What an Application, a HelmRelease and the like give to one chart together is a
// family, wherever it is: the files of values have names and folders that nothing
// else leads to.
func TestOverridesOfReleases(t *testing.T) {
	t.Parallel()
	const named, pinned = "charts/web/values.yaml", "sites/eu/web.yaml"
	moved := []string{pinned + ":2 1 -> 2 named in " + named + ":4", named + ":4 untagged"}
	alone := []string{named + ":4 untagged"}
	release := func(kind, chart, file string) string {
		return "kind: HelmRelease\nspec:\n  chart:\n    spec:\n      chart: " + chart + "\n      sourceRef: {kind: " + kind + ", name: x}\n      valuesFiles:\n        - charts/web/values.yaml\n        - " + file + "\n"
	}
	tests := map[string]struct {
		files map[string]string // beside a chart and a version
		want  []string
	}{
		"nothing tells": {nil, alone},
		"Argo CD, from the chart": {map[string]string{
			"apps/web.yaml": "kind: Application\nspec:\n  source:\n    repoURL: " + here + "\n    path: charts/web\n    helm:\n      valueFiles: [values.yaml, ../../sites/eu/web.yaml]\n",
		}, moved},
		"Argo CD, from the root": {map[string]string{
			"apps/web.yaml": application("[{repoURL: 'git@github.com:Refty-Yapi/refty-infra-test', path: charts/web, helm: {valueFiles: [/sites/eu/web.yaml]}}]"),
		}, moved},
		"Argo CD, of another source": {map[string]string{
			"apps/web.yaml": application("[{repoURL: " + here + ", ref: values}, {repoURL: " + here + ", path: ./charts/web/, helm: {valueFiles: [$values/sites/eu/web.yaml]}}]"),
		}, moved},
		"Argo CD, a set": {map[string]string{
			"apps/web.yaml": "kind: ApplicationSet\nspec:\n  template:\n    spec:\n      source: {repoURL: " + here + ", path: charts/web, helm: {valueFiles: ['{{ .env }}.yaml', /sites/eu/web.yaml]}}\n",
		}, moved},
		"Argo CD, another repository": {map[string]string{
			"apps/web.yaml": application("[{repoURL: 'https://github.com/octo-org/refty-infra-test', path: charts/web, helm: {valueFiles: [/sites/eu/web.yaml]}}]"),
			"apps/eu.yaml":  application("[{repoURL: " + here + ", path: charts/web, helm: {valueFiles: [$values/sites/eu/web.yaml, $sites/eu/web.yaml]}}, {repoURL: 'https://github.com/octo-org/values', ref: values}]"),
		}, alone},
		"Argo CD, no such chart": {map[string]string{
			"apps/web.yaml": application("[{repoURL: " + here + ", path: charts/gone, helm: {valueFiles: [/charts/web/values.yaml, /sites/eu/web.yaml]}}]"),
		}, alone},
		"Argo CD, a chart from elsewhere": {map[string]string{
			"sites/common/web-base.yml": naming(web),
			"apps/web.yaml":             application("[{repoURL: " + here + ", ref: v}, {repoURL: 'https://charts.example.com', chart: web, helm: {valueFiles: [$v/sites/common/web-base.yml, $v/sites/eu/web.yaml, values.yaml]}}]"),
		}, []string{pinned + ":2 1 -> 2 named in sites/common/web-base.yml:4", named + ":4 untagged", "sites/common/web-base.yml:4 untagged"}},
		"Flux":                  {map[string]string{"flux/web.yaml": release("GitRepository", "./charts/web", "./"+pinned)}, moved},
		"Flux, of a repository": {map[string]string{"flux/web.yaml": release("HelmRepository", "charts/web", pinned)}, alone},
		"Flux, no such chart":   {map[string]string{"flux/web.yaml": release("GitRepository", "./web", pinned)}, alone},
		"kustomize":             {map[string]string{"k/kustomization.yaml": "helmGlobals: {chartHome: ../charts}\nhelmCharts:\n- name: web\n  valuesFile: ../sites/eu/web.yaml\n"}, moved},
		"kustomize, more files": {map[string]string{"charts/kustomization.yaml": "helmGlobals: {chartHome: .}\nhelmCharts:\n- name: web\n  additionalValuesFiles: [../sites/eu/web.yaml]\n"}, moved},
		"helmfile":              {map[string]string{"h/helmfile.yaml": "releases:\n- name: web\n  chart: ../charts/web\n  values: [{a: b}, ../sites/eu/web.yaml, ../../../../etc/passwd]\n"}, moved},
		"a name beside the file": {map[string]string{
			"sites/eu/api.yaml": naming(other),
			"h/helmfile.yaml":   "releases:\n- name: web\n  chart: ../charts/web\n  values: [../sites/eu/web.yaml]\n",
		}, moved},
		"a file of two charts": {map[string]string{
			"charts/api/Chart.yaml": "name: api\n", "charts/api/values.yaml": naming(other),
			"h/helmfile.yaml": "releases:\n- chart: ../charts/web\n  values: [../sites/eu/web.yaml]\n- chart: ../charts/api\n  values: [../sites/eu/web.yaml]\n",
		}, []string{named + ":4 untagged", pinned + ":2 override_ambiguous named in " + named + ":4"}},
		"the file of another chart": {map[string]string{
			"charts/api/Chart.yaml": "name: api\n", "charts/api/values.yaml": naming(other),
			"sites/eu/web-name.yaml": naming(web),
			"h/helmfile.yaml":        "releases:\n- chart: ../charts/api\n  values: [../sites/eu/web.yaml]\n",
		}, []string{named + ":4 untagged", "sites/eu/web-name.yaml:4 untagged"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"charts/web/Chart.yaml": "name: web\n", named: naming(web), pinned: pinning("1")}
			maps.Copy(files, tt.files)
			w := start(t, withFiles(files), withConfig(editing))
			status := http.StatusOK
			if len(tt.want) > 0 && tt.want[0] != alone[0] {
				status = http.StatusCreated
			}
			wantTold(t, w.post(setTo(web, "2")), status, tt.want...)
		})
	}
}

// Releases are read for a pair alone, and no second time.
func TestCostOfReleases(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"charts/web/Chart.yaml": "name: web\n", "charts/web/values.yaml": naming(web), "sites/eu/web.yaml": pinning("1"),
		"apps/web.yaml": application("[{repoURL: " + here + ", path: charts/web, helm: {valueFiles: [/sites/eu/web.yaml]}}]"),
	}
	cold := []string{callTarball, callHead, callTree, callNewTree, callNewCommit, callUpdateRef}
	t.Run("plain manifests", func(t *testing.T) {
		t.Parallel()
		w := start(t, onMain, withFiles(files), withEnv("OVERRIDES", "edit"))
		wantCommitted(t, w.post(mission))
		w.wantSpent(0, cold...)
		mark := w.mark()
		wantCommitted(t, w.post(setTo(node, "warm")))
		w.wantSpent(mark, writes()...)
	})
	t.Run("a pair, cold and warm", func(t *testing.T) {
		t.Parallel()
		w := start(t, onMain, withFiles(files), withEnv("OVERRIDES", "edit"))
		wantCommitted(t, w.post(setTo(web, "2")))
		w.wantSpent(0, cold...)
		mark := w.mark()
		wantCommitted(t, w.post(setTo(web, "3")))
		w.wantSpent(mark, writes()...)
		w.wantVersion("sites/eu/web.yaml", pinning("3"))
	})
}
