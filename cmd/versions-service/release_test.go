package main_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const workflowDir = "../../.github/workflows"

// TestActionsArePinned has every action of the workflows be one commit, whose version is
// beside it for the reader and for Dependabot.
func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (.*)$`)
	pinned := regexp.MustCompile(`^[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	versions := map[string]string{}
	for name, text := range workflows(t) {
		for _, m := range uses.FindAllStringSubmatch(text, -1) {
			action, version, _ := strings.Cut(m[1], "@")
			switch before, ok := versions[action]; {
			case strings.HasPrefix(m[1], "./.github/workflows/"):
			case !pinned.MatchString(m[1]):
				t.Errorf("%s: %s is not pinned by a commit with its version", name, m[1])
			case ok && before != version:
				t.Errorf("%s: %s is at %s here and at %s elsewhere", name, action, version, before)
			}
			versions[action] = version
		}
	}
	if len(versions) < 5 {
		t.Errorf("only %d actions are used", len(versions))
	}
}

// TestWorkflowsHaveLeastPermissions has each workflow begin with reading alone, and each
// job that may more say so here.
func TestWorkflowsHaveLeastPermissions(t *testing.T) {
	t.Parallel()
	type job struct {
		Permissions map[string]string `yaml:"permissions"`
	}
	got := map[string]map[string]string{}
	for name, text := range workflows(t) {
		var workflow struct {
			Permissions map[string]string `yaml:"permissions"`
			Jobs        map[string]job    `yaml:"jobs"`
		}
		if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(map[string]string{"contents": "read"}, workflow.Permissions); diff != "" {
			t.Errorf("%s: permissions of all jobs (-want +got):\n%s", name, diff)
		}
		for title, j := range workflow.Jobs {
			for permission, access := range j.Permissions {
				if access == "read" {
					continue
				}
				at := name + "/" + title
				if got[at] == nil {
					got[at] = map[string]string{}
				}
				got[at][permission] = access
			}
		}
	}
	want := map[string]map[string]string{
		"release.yml/images":   {"packages": "write", "id-token": "write", "attestations": "write"},
		"release.yml/archives": {"contents": "write", "id-token": "write", "attestations": "write"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs that may write (-want +got):\n%s", diff)
	}
}

// TestBaseImagesArePinned has each stage of the Dockerfile begin with a digest or a stage.
func TestBaseImagesArePinned(t *testing.T) {
	t.Parallel()
	stages := map[string]bool{}
	from := regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+) AS (\w+)$`)
	pinned := regexp.MustCompile(`^[\w.-]+(?:\.[\w.-]+)?/\S+:[\w.-]+@sha256:[0-9a-f]{64}$`)
	dockerfile := string(read(t, "../../Dockerfile"))
	found := from.FindAllStringSubmatch(dockerfile, -1)
	if want := strings.Count(dockerfile, "\nFROM "); len(found) != want {
		t.Fatalf("%d of %d stages are understood", len(found), want)
	}
	for _, m := range found {
		if !stages[m[1]] && !pinned.MatchString(m[1]) {
			t.Errorf("the stage %s begins with %s, which is not pinned by a digest", m[2], m[1])
		}
		stages[m[2]] = true
	}
}

// workflows are the texts of the workflows by their names.
func workflows(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(workflowDir, "*.yml"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("workflows: %v, %v", paths, err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		texts[filepath.Base(path)] = string(read(t, path))
	}
	return texts
}
