package acceptance_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// goldenRoot has the cases of pkg/manifest: see goldens there.
const goldenRoot = "../../../pkg/manifest/testdata/golden"

// goldenSet are the cases that one list of updates is for, in a folder of their own.
type goldenSet struct {
	dir     string
	updates []map[string]any // bodies of requests
	changes []string         // the paths of the cases that these updates change
}

// goldenSets returns the cases and their files.
func goldenSets(t *testing.T) (sets []*goldenSet, files map[string]string) {
	t.Helper()
	read := func(name, file, otherwise string) string {
		content, err := os.ReadFile(filepath.Join(goldenRoot, name, file))
		if os.IsNotExist(err) && otherwise != "" {
			return otherwise
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	folders, err := os.ReadDir(goldenRoot)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	byUpdates := map[string]*goldenSet{}
	for _, folder := range folders {
		name := folder.Name()
		updates := read(name, "updates", "ghcr.io/octo-org/app v2.0.0\nredis 8.10\n")
		set := byUpdates[updates]
		if set == nil {
			set = &goldenSet{dir: "set-of-" + name}
			for line := range strings.Lines(updates) {
				set.updates = append(set.updates, goldenRequest(strings.Fields(line), set.dir+"/**"))
			}
			byUpdates[updates] = set
			sets = append(sets, set)
		}
		path := set.dir + "/" + name + "/" + strings.TrimSpace(read(name, "path", "in.yaml"))
		files[path] = read(name, "in.yaml", "")
		if files[path] != read(name, "out.yaml", "") {
			set.changes = append(set.changes, path)
		}
	}
	return sets, files
}

// goldenRequest reads an image, a version, and if given a digest and present=PATTERN.
func goldenRequest(fields []string, paths string) map[string]any {
	body := map[string]any{"image": fields[0], "version": fields[1], "paths": []string{paths}}
	for _, f := range fields[2:] {
		if pattern, ok := strings.CutPrefix(f, "present="); ok {
			body["present"] = pattern
		} else {
			body["digest"] = f
		}
	}
	return body
}

// applied returns the tree that the branch has with the diff, by git.
func (w *world) applied(diff string) string {
	w.t.Helper()
	dir := w.t.TempDir()
	git := func(stdin string, args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", w.repo.Dir()}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GIT_INDEX_FILE="+filepath.Join(dir, "index"), "GIT_OBJECT_DIRECTORY="+dir,
			"GIT_ALTERNATE_OBJECT_DIRECTORIES="+filepath.Join(w.repo.Dir(), "objects"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			w.t.Fatalf("git %s: %v\n%s\n%s", strings.Join(args, " "), err, out, stdin)
		}
		return strings.TrimSpace(string(out))
	}
	git("", "read-tree", "main")
	git(diff, "apply", "--cached", "--whitespace=nowarn", "-")
	return git("", "write-tree")
}

// The diff of a dry run, applied by git, makes the tree of the commit that follows: for
// every golden case of pkg/manifest.
func TestDiffsOfGoldenCases(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one request after the other, and many of them")
	}
	sets, files := goldenSets(t)
	w := start(t, onMain, withFiles(files))
	for _, set := range sets {
		var changed []string
		for _, body := range set.updates {
			ask := func(dryRun bool) reply {
				body["dry_run"] = dryRun
				text, err := json.Marshal(body)
				w.must(err)
				return w.post(string(text))
			}
			dry := ask(true)
			if dry.status != http.StatusOK || dry.update.Status != api.StatusPlanned || *dry.update.Targets[0].Diff == "" {
				t.Fatalf("%v: %d %s", body, dry.status, dry.body)
			}
			want := w.applied(*dry.update.Targets[0].Diff)
			wantCommitted(t, ask(false))
			if got := strings.TrimSpace(w.git("", "rev-parse", "main^{tree}")); got != want {
				t.Errorf("%v: the commit's tree is %s, with the diff it is %s; the commit:\n%s\nthe diff:\n%s",
					body, got, want, w.git("", "show", "main"), *dry.update.Targets[0].Diff)
			}
			for _, f := range dry.update.Targets[0].Files {
				changed = append(changed, f.Path)
			}
		}
		for _, path := range set.changes {
			if !slices.Contains(changed, path) {
				t.Errorf("no diff changes %s", path)
			}
		}
	}
	if len(files) < 70 {
		t.Errorf("only %d cases were found", len(files))
	}
}
