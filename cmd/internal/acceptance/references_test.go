package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// One request moves what is pulled through a proxy, too.
func TestReferencesBehindProxies(t *testing.T) {
	t.Parallel()
	const before = "image: ${CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX}/alpine:3.19\n---\nimage: harbor.example.com/hub/library/alpine:3.19\n---\nimage: alpine:3.19\n"
	const after = "image: ${CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX}/alpine:3.20\n---\nimage: harbor.example.com/hub/library/alpine:3.20\n---\nimage: alpine:3.20\n"
	w := start(t, withFiles(map[string]string{"ci.yaml": before}), withConfig(`
targets:
  - repository: refty-yapi/refty-infra-test
    proxies: [{prefix: harbor.example.com/hub, registry: docker.io}]
`))
	wantCommitted(t, w.post(setTo("alpine", "3.20")))
	w.wantVersion("ci.yaml", after)
	known := start(t, withFiles(map[string]string{"ci.yaml": before}))
	if r := known.post(setTo("docker.io/library/alpine", "3.20")); len(r.update.Targets[0].Files[0].Changes) != 2 {
		t.Errorf("without proxies of its own a target knows GitLab's: %s", r.body)
	}
}

// A name behind a proxy counts as the image's own where a version stands in another
// file.
func TestOverrideOfAProxiedName(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{
		"a/values.yaml": naming(web), "a/mirror.yaml": naming("mirror.example.com/web"), "a/values-prod.yaml": pinning("1"),
	}), withConfig(`
targets:
  - repository: refty-yapi/refty-infra-test
    overrides: edit
    proxies: [{prefix: mirror.example.com, registry: ghcr.io/octo-org}]
`))
	wantTold(t, w.post(setTo(web, "2")), http.StatusCreated,
		"a/values-prod.yaml:2 1 -> 2 named in a/mirror.yaml:4", "a/mirror.yaml:4 untagged", "a/values.yaml:4 untagged")
}

func TestFilesOfJSON(t *testing.T) {
	t.Parallel()
	files := withFiles(map[string]string{
		"task.json":    "{\n\t\"containers\": [{\"image\": \"" + node + ":1\", \"cpu\": 10}]\n}\n",
		"broken.JSON":  "{\"image\": \"" + node + ":1\",}\n",
		"package.json": "{\"name\": \"refty-node\"}\n",
	})
	off := start(t, files)
	if r := off.post(mission); len(r.update.Targets[0].Files) != 2 || len(r.update.Targets[0].Skipped) != 0 {
		t.Errorf("JSON is off unless a target says so: %s", r.body)
	}
	w := start(t, files, withConfig("targets:\n  - repository: refty-yapi/refty-infra-test\n    files: [json]\n"))
	wantTold(t, w.post(setTo(node, "2")), http.StatusCreated, "task.json:2 1 -> 2", "broken.JSON:0 unparsable")
	w.wantVersion("task.json", "{\n\t\"containers\": [{\"image\": \""+node+":2\", \"cpu\": 10}]\n}\n")
	both := start(t, files, withConfig("targets:\n  - repository: refty-yapi/refty-infra-test\n    files: [yaml, json]\n"))
	if r := both.post(mission); r.update.Status != api.StatusCommitted || len(r.update.Targets[0].Files) != 3 {
		t.Errorf("both kinds: %s", r.body)
	}
}
