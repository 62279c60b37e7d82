package acceptance_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func TestUpdateCommitsEveryFileOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	before := w.head()

	r := w.post(mission)

	if r.status != http.StatusCreated {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	change := func(path string) api.FileUpdate {
		pointer := "/spec/template/spec/containers/0/image"
		return api.FileUpdate{Path: path, Changes: []api.Change{{
			Line: 8, Column: 18, Pointer: &pointer, From: "10-10-ver", To: "05-06-42a252",
		}}}
	}
	want := []api.TargetUpdate{{
		Repository: repoName, Branch: "main", Status: api.StatusCommitted,
		Commit: &api.Commit{
			Sha: w.head(), Url: r.header.Get("Location"),
			Message: "Update " + node + " to 05-06-42a252\n\nImage: " + node + "\nVersion: 05-06-42a252\nUpdate-Id: " + r.update.Id,
		},
		Files: []api.FileUpdate{change("apps/parser.yaml"), change("apps/sync.yml")}, Skipped: []api.Skip{},
	}}
	if diff := cmp.Diff(want, r.update.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if r.update.Status != api.StatusCommitted || *r.update.Image != node || *r.update.Version != "05-06-42a252" {
		t.Errorf("update: %s", r.body)
	}
	log := w.log()
	if len(log) != 2 || !cmp.Equal(log[0].Parents, []string{before}) || log[0].Message != want[0].Commit.Message {
		t.Errorf("log: %+v, want one commit on %s", log, before)
	}
	if got := w.git("", "diff", "--stat", "--numstat", before, "main"); strings.Count(got, "1\t1\t") != 2 {
		t.Errorf("diff of the commit:\n%s", got)
	}
	if got, want := w.file("apps/parser.yaml"), deployment(node+":05-06-42a252"); got != want {
		t.Errorf("file (-want +got):\n%s", cmp.Diff(want, got))
	}
	w.git("", "fsck", "--strict")
}

func TestSameUpdateTwiceMakesOneCommit(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.post(mission)
	head := w.head()
	w.hub.ResetRequests()

	r := w.post(mission)

	if r.status != http.StatusOK || r.update.Status != api.StatusUnchanged || len(r.update.Targets[0].Files) != 0 {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if w.head() != head {
		t.Error("a second commit was made")
	}
	if got := w.hub.Counts(); len(got) != 1 {
		t.Errorf("requests to GitHub: %v, want the head alone", got)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	strange := "apps/päth with \"quotes\"\tand tab.yaml"
	w := start(t, withFiles(map[string]string{
		strange:            strings.TrimSuffix(deployment(node+":10-10-ver"), "\n"),
		"apps/a space.yml": strings.ReplaceAll(deployment(node+":10-10-ver"), "\n", "\r\n"),
	}))
	head := w.head()

	r := w.post(`{"image": "` + node + `", "version": "05-06-42a252", "dry_run": true}`)

	target := r.update.Targets[0]
	if r.status != http.StatusOK || r.update.Status != api.StatusPlanned || target.Status != api.StatusPlanned || len(target.Files) != 4 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if w.head() != head {
		t.Error("the branch moved")
	}
	for name, count := range w.hub.Counts() {
		if !strings.HasPrefix(name, "GET ") {
			t.Errorf("%d requests %s", count, name)
		}
	}
	clone := filepath.Join(t.TempDir(), "clone")
	w.git("", "clone", "-q", w.repo.Dir(), clone)
	patch := filepath.Join(t.TempDir(), "patch")
	if err := os.WriteFile(patch, []byte(*target.Diff), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"apply", "--check", patch}, {"apply", patch}} {
		if out, err := exec.Command("git", append([]string{"-C", clone}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s\n%s", args, err, out, *target.Diff)
		}
	}
	w.post(mission)
	for _, f := range target.Files {
		got, err := os.ReadFile(filepath.Join(clone, f.Path))
		if err != nil || string(got) != w.file(f.Path) {
			t.Errorf("%s: the diff gives other bytes than the commit (%v)", f.Path, err)
		}
	}
}

func TestDryRunWithNothingToChangeIsPlanned(t *testing.T) {
	t.Parallel()
	w := start(t)
	r := w.post(`{"image": "` + node + `", "version": "10-10-ver", "dry_run": true}`)
	if r.status != http.StatusOK || r.update.Status != api.StatusPlanned || *r.update.Targets[0].Diff != "" {
		t.Errorf("status %d: %s", r.status, r.body)
	}
}

func TestOptionalFields(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("ab", 32)
	w := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken), withFiles(map[string]string{
		"apps/pinned.yaml":  deployment(node + ":10-10-ver@sha256:" + strings.Repeat("00", 32)),
		"other/parser.yaml": deployment(node + ":10-10-ver"),
	}))

	r := w.post(`{"image": "`+node+`", "version": "v2", "digest": "`+digest+`", "repository": "`+repoName+`",
		"branch": "main", "paths": ["apps/*.yaml"], "message": "Deploy v2\n\nIt is better.",
		"source": {"repository": "refty-yapi/refty-node", "revision": "42a252d", "url": "https://example.com/runs/1"}}`,
		"Authorization", "Bearer "+callerToken)

	if r.status != http.StatusCreated {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	message := "Deploy v2\n\nIt is better.\n\nImage: " + node + "\nVersion: v2\nDigest: " + digest + "\nRequested-By: ci\n" +
		"Source-Repository: refty-yapi/refty-node\nSource-Revision: 42a252d\nSource-URL: https://example.com/runs/1\nUpdate-Id: " + r.update.Id
	if got := r.update.Targets[0].Commit.Message; got != message {
		t.Errorf("message (-want +got):\n%s", cmp.Diff(message, got))
	}
	if got := w.git(message, "interpret-trailers", "--parse"); strings.Count(got, "\n") != 8 {
		t.Errorf("git sees the trailers\n%s", got)
	}
	if got, want := w.file("apps/pinned.yaml"), deployment(node+":v2@"+digest); got != want {
		t.Errorf("pinned file (-want +got):\n%s", cmp.Diff(want, got))
	}
	for path, version := range map[string]string{"apps/parser.yaml": "v2", "apps/sync.yml": "10-10-ver", "other/parser.yaml": "10-10-ver"} {
		if !strings.Contains(w.file(path), node+":"+version) {
			t.Errorf("%s is not at %s:\n%s", path, version, w.file(path))
		}
	}
}

func TestModesAndLinksStay(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, err := w.repo.Commit("main", sandbox.Files{
		"apps/run.yaml":  {Content: []byte(deployment(node + ":10-10-ver")), Mode: "100755"},
		"apps/link.yaml": {Content: []byte("run.yaml"), Mode: "120000"},
	}, "modes")
	if err != nil {
		t.Fatal(err)
	}
	r := w.post(mission)
	if r.status != http.StatusCreated || len(r.update.Targets[0].Files) != 3 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if diff := cmp.Diff([]api.Skip{{Path: "apps/link.yaml", Reason: "symlink"}}, r.update.Targets[0].Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	tree := w.git("", "ls-tree", "-r", "main")
	for _, want := range []string{"100755 blob", "120000 blob"} {
		if strings.Count(tree, want) != 1 {
			t.Errorf("want one %s in\n%s", want, tree)
		}
	}
}

func TestTwoHundredFilesAreOneCommit(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 200 {
		files[fmt.Sprintf("many/%03d/deploy.yaml", i)] = deployment(node + ":10-10-ver")
	}
	w := start(t, withFiles(files))
	before := w.head()
	r := w.post(mission)
	if r.status != http.StatusCreated || len(r.update.Targets[0].Files) != 202 {
		t.Fatalf("status %d, %d files", r.status, len(r.update.Targets[0].Files))
	}
	if got := strings.TrimSpace(w.git("", "rev-list", "--count", before+"..main")); got != "1" {
		t.Errorf("%s commits", got)
	}
	if got := strings.Count(w.git("", "grep", "-l", node+":05-06-42a252", "main"), "\n"); got != 202 {
		t.Errorf("%d files at the new version", got)
	}
}

func TestSkippedReferencesAreListed(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{
		"charts/x/templates/deploy.yaml": "{{- if .Values.on }}\nimage: " + node + ":{{ .Values.tag }}\n{{- end }}\n",
		"huge.yaml":                      strings.Repeat("# filler\n", 1<<20),
	}))
	r := w.post(mission)
	if r.status != http.StatusCreated {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	line := 2
	want := []api.Skip{
		{Path: "charts/x/templates/deploy.yaml", Line: &line, Reason: "templated"},
		{Path: "huge.yaml", Reason: "too_large"},
	}
	if diff := cmp.Diff(want, r.update.Targets[0].Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

func TestDockerHubSpellingsAreOneImage(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{
		"a.yaml": deployment("nginx:1.27"), "b.yaml": deployment("docker.io/library/nginx:1.27"),
		"c.yaml": deployment("index.docker.io/library/nginx:1.27"), "d.yaml": deployment("octo-org/nginx:1.27"),
	}))
	r := w.post(`{"image": "nginx", "version": "1.29"}`)
	if r.status != http.StatusCreated || len(r.update.Targets[0].Files) != 3 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if got := w.file("b.yaml"); got != deployment("docker.io/library/nginx:1.29") {
		t.Errorf("the spelling changed:\n%s", got)
	}
}
