package manifest_test

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

var tree = flag.String("tree", "testdata:../../k8s", "folders whose YAML files TestTree edits in memory, separated by colons")

// treeImages is how many images of a file are moved at once.
const treeImages = 8

// TestTree moves the images of every real file under -tree to another version,
// in memory, and checks what must hold for every file. Without the flag it reads
// the golden cases and the project's own manifests.
func TestTree(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	for _, root := range filepath.SplitList(*tree) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !manifest.IsManifest(filepath.ToSlash(path)) {
				return nil //nolint:nilerr // what cannot be read is not ours to judge
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			counts["files"]++
			counts["bytes"] += len(content)
			editReal(t, path, content, counts)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if counts["files"] == 0 {
		t.Error("no files")
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%-24s %d", name, counts[name])
	}
}

// imageName finds what may be the name of an image: a path with or without a host
// behind an image key, or with both anywhere.
var imageName = regexp.MustCompile(`(?i:(?:image|repository|name)["']?: *["']?)([a-z0-9][a-z0-9._/-]*[a-z0-9])|([a-z0-9.-]+\.[a-z]{2,}(?::[0-9]+)?(?:/[a-z0-9][a-z0-9._-]*[a-z0-9])+)`)

// editReal edits one real file: the images that it seems to name, all at once.
func editReal(t *testing.T, path string, content []byte, counts map[string]int) {
	t.Helper()
	updates := updatesFor(t, content)
	if len(updates) == 0 {
		return
	}
	counts["files with names"]++
	r := checkInvariants(failIn{t, path}, content, updates, manifest.Options{})
	counts["changes"] += len(r.Changes)
	if len(r.Changes) > 0 {
		counts["files changed"]++
	}
	for _, s := range r.Skips {
		counts["skipped as "+string(s.Reason)]++
		if s.Reason == manifest.Unverified {
			t.Errorf("%s:%d: an edit did not read back", path, s.Line)
		}
	}
	if len(r.Changes) > 0 && !checkJudged(failIn{t, path}, content, r, updates) {
		counts["refused by the judge"]++
	}
}

// updatesFor moves the first images of a file, every other one to a version that
// looks like a number and with a digest. Of {repository: a/b, image: c} both a/b and
// a/b/c may be the name, so no name may begin with another.
func updatesFor(t *testing.T, content []byte) []manifest.Update {
	t.Helper()
	var updates []manifest.Update
	near := func(name string) bool {
		return slices.ContainsFunc(updates, func(u manifest.Update) bool {
			other := u.Image.Name()
			return strings.HasPrefix(name+"/", other+"/") || strings.HasPrefix(other, name+"/")
		})
	}
	for _, m := range imageName.FindAllSubmatch(content, -1) {
		repo, err := image.ParseRepository(string(m[1]) + string(m[2]))
		if err != nil || len(updates) == treeImages || near(repo.Name()) {
			continue
		}
		if len(updates)%2 == 0 {
			updates = append(updates, update(t, repo.Name(), "v7.10"))
		} else {
			updates = append(updates, update(t, repo.Name(), "7.10", digestB))
		}
	}
	return updates
}

// failIn names the file in which an invariant does not hold, and goes on.
type failIn struct {
	t    *testing.T
	path string
}

func (f failIn) Helper() { f.t.Helper() }

func (f failIn) Fatalf(format string, args ...any) {
	f.t.Helper()
	f.t.Errorf(f.path+": "+format, args...)
}
