package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// update builds an update from texts; a third one is the digest.
func update(t testing.TB, name, version string, digest ...string) manifest.Update {
	t.Helper()
	repo, err := image.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := image.ParseTag(version)
	if err != nil {
		t.Fatal(err)
	}
	u := manifest.Update{Image: repo, Version: tag}
	for _, d := range digest {
		if u.Digest, err = image.ParseDigest(d); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// editor builds an editor of updates.
func editor(t testing.TB, updates ...manifest.Update) *manifest.Editor {
	t.Helper()
	return editorWith(t, manifest.Options{}, updates...)
}

func editorWith(t testing.TB, options manifest.Options, updates ...manifest.Update) *manifest.Editor {
	t.Helper()
	e, err := manifest.NewEditor(updates, options)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestChangeOfADeployment(t *testing.T) {
	t.Parallel()
	const before = "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - command:\n          image: ghcr.io/octo-org/app:10-10-ver # kept\n"
	got := editor(t, update(t, "ghcr.io/octo-org/app", "05-06-42a252")).Edit([]byte(before))
	want := manifest.Result{
		Content: []byte(strings.Replace(before, "10-10-ver", "05-06-42a252", 1)),
		Changes: []manifest.Change{{
			Place: manifest.Place{Line: 7, Column: 18, Pointer: "/spec/template/spec/containers/0/image"},
			From:  "10-10-ver", To: "05-06-42a252",
			Splices: []manifest.Splice{{Start: 120, End: 129, Text: "05-06-42a252"}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNothingToChangeReturnsTheInput(t *testing.T) {
	t.Parallel()
	e := editor(t, update(t, "ghcr.io/octo-org/app", "2"))
	for _, content := range []string{"", "image: ghcr.io/octo-org/app:2\n", "image: ghcr.io/octo-org/app-b:1\n", "# ghcr.io/octo-org/app:1\n", "{{ octo-org/app"} {
		in := []byte(content)
		got := e.Edit(in)
		if len(got.Changes) != 0 || len(in) > 0 && &got.Content[0] != &in[0] {
			t.Errorf("%q: got %+v", content, got)
		}
	}
}

func TestNewEditorRefuses(t *testing.T) {
	t.Parallel()
	_, err := manifest.NewEditor([]manifest.Update{update(t, "redis", "1"), update(t, "docker.io/library/redis", "2")}, manifest.Options{})
	var duplicate *manifest.DuplicateError
	if !errors.As(err, &duplicate) || duplicate.First != 0 || duplicate.Second != 1 || !strings.Contains(err.Error(), "docker.io/library/redis") {
		t.Errorf("one image twice: %v", err)
	}
	_, err = manifest.NewEditor([]manifest.Update{update(t, "redis", "1"), {}}, manifest.Options{})
	var incomplete *manifest.IncompleteError
	if !errors.As(err, &incomplete) || incomplete.Index != 1 || !strings.Contains(err.Error(), "update 1") {
		t.Errorf("an empty update: %v", err)
	}
}

func TestIsManifest(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"a.yaml": true, "x/a.yml": true, "A.YAML": true, ".github/workflows/ci.Yml": true, "apps/Kustomization": true,
		".yaml": true, "kustomization": false, "a.yaml.tpl": false, "a.json": false, "yaml": false, "a.yaml/b": false, "": false,
	} {
		if got := manifest.IsManifest(path); got != want {
			t.Errorf("%q: got %t", path, got)
		}
	}
}
