package manifest_test

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

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

// editReal edits one real file: the images that it lists, all at once.
func editReal(t *testing.T, path string, content []byte, counts map[string]int) {
	t.Helper()
	references, skips := manifest.List(content, manifest.Options{})
	counts["references"] += len(references)
	for _, s := range skips {
		counts["listed as "+string(s.Reason)]++
	}
	updates := updatesFor(t, references)
	if len(updates) == 0 {
		return
	}
	counts["files with references"]++
	r := checkInvariants(failIn{t, path}, content, updates)
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
// looks like a number and with a digest.
func updatesFor(t *testing.T, references []manifest.Reference) []manifest.Update {
	t.Helper()
	seen := map[string]bool{}
	var updates []manifest.Update
	for _, ref := range references {
		if name := ref.Image.Name(); !seen[name] && len(updates) < treeImages {
			seen[name] = true
			if len(updates)%2 == 0 {
				updates = append(updates, update(t, name, "v7.10"))
			} else {
				updates = append(updates, update(t, name, "7.10", digestB))
			}
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
