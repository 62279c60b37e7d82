package sandbox_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The road that an update takes, judged by the git command line.
func TestOneCommitThroughTheAPI(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.commit(sandbox.Files{
		"apps/a.yaml":  text("image: a:1\n"),
		"apps/run.sh":  {Content: []byte("#!/bin/sh\n"), Mode: "100755"},
		"apps.yaml":    text("x: 1\n"),
		"link":         {Content: []byte("apps/a.yaml"), Mode: "120000"},
		"ünï/cödé.yml": text("ok\n"),
	})
	head := h.head()
	h.ResetRequests()

	branch := h.must(200, h.do("GET", "/branches/main", nil))
	if got := branch.text("commit", "sha"); got != head {
		t.Fatalf("branch is at %s, want %s", got, head)
	}
	base := branch.text("commit", "commit", "tree", "sha")
	if want := h.git("rev-parse", "main^{tree}"); base != want {
		t.Errorf("tree %s, git says %s", base, want)
	}
	tree := h.must(201, h.do("POST", "/git/trees", map[string]any{
		"base_tree": base,
		"tree":      []any{map[string]any{"path": "apps/a.yaml", "mode": "100644", "type": "blob", "content": "image: a:2\n"}},
	}))
	commit := h.must(201, h.do("POST", "/git/commits", map[string]any{
		"message": "Set a to 2, no newline at the end", "tree": tree.text("sha"), "parents": []string{head},
	}))
	sha := commit.text("sha")
	moved := h.must(200, h.do("PATCH", "/git/refs/heads/main", map[string]any{"sha": sha, "force": false}))
	if got := moved.text("object", "sha"); got != sha {
		t.Errorf("PATCH answered %s, want %s", got, sha)
	}

	if got := h.git("rev-parse", "main"); got != sha {
		t.Errorf("git sees %s, want %s", got, sha)
	}
	if diff := cmp.Diff("image: a:2", h.git("show", "main:apps/a.yaml")); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if got := h.git("diff", "--name-only", head, sha); got != "apps/a.yaml" {
		t.Errorf("changed %q, want one file", got)
	}
	if raw := h.git("cat-file", "-p", sha); !strings.HasSuffix(raw, "\n\nSet a to 2, no newline at the end") {
		t.Errorf("message is not kept byte for byte:\n%q", raw)
	}
	h.fsck()
	want := map[string]int{
		"GET /repos/{owner}/{repo}/branches/{branch}": 1,
		"POST /repos/{owner}/{repo}/git/trees":        1,
		"POST /repos/{owner}/{repo}/git/commits":      1,
		"PATCH /repos/{owner}/{repo}/git/refs/{ref}":  1,
	}
	if diff := cmp.Diff(want, h.Counts()); diff != "" {
		t.Errorf("request log (-want +got):\n%s", diff)
	}
}

func TestCloneAndPushByGit(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.commit(sandbox.Files{"a/b/c.yaml": text("one\n")})
	work := t.TempDir()
	runGit(t, work, "clone", "-q", h.repo.Dir(), "clone")
	clone := work + "/clone"
	runGit(t, clone, "-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "by git")
	runGit(t, clone, "push", "-q", "origin", "main")
	h.git("gc", "-q") // packs objects and references
	got := h.must(http.StatusOK, h.do("GET", "/git/ref/heads/main", nil)).text("object", "sha")
	if want := runGit(t, clone, "rev-parse", "HEAD"); got != want {
		t.Errorf("the API sees %s, git pushed %s", got, want)
	}
	h.must(http.StatusOK, h.do("GET", "/git/commits/"+got, nil))
	content, err := h.repo.ReadFile("main", "a/b/c.yaml")
	if diff := cmp.Diff("one\n", string(content)); diff != "" || err != nil {
		t.Errorf("file from a pack (-want +got), error %v:\n%s", err, diff)
	}
	h.commit(sandbox.Files{"a/b/c.yaml": {Remove: true}, "d.yaml": text("two\n")})
	if got := h.git("ls-tree", "-r", "--name-only", "main"); got != "README.md\nd.yaml" {
		t.Errorf("files after the next commit: %q", got)
	}
	h.fsck()
}

// What one server wrote, the next serves, also by the names that git gave.
func TestOpenRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHub(t, func(o *sandbox.Options) { o.Dir = dir })
	head := h.commit(sandbox.Files{"a.yaml": text("a\n")})
	h.git("tag", "-a", "-m", "release", "v1", "main")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := sandbox.New(sandbox.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := again.OpenRepository(repoName, sandbox.RepositoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []string{"main", "v1", "tags/v1", head} {
		content, err := repo.ReadFile(revision, "a.yaml")
		if err != nil || string(content) != "a\n" {
			t.Errorf("at %s: %q, error %v", revision, content, err)
		}
	}
	if _, err := again.OpenRepository(repoName, sandbox.RepositoryOptions{}); !errors.Is(err, sandbox.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if _, err := again.OpenRepository("octo-org/none", sandbox.RepositoryOptions{}); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("no such folder: %v", err)
	}
}
