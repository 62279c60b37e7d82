package sandbox_test

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// Clients of the API, a colleague and git itself all move one branch. Whatever
// was answered with 200 must be in the history, once.
func TestManyWritersOfOneBranch(t *testing.T) {
	t.Parallel()
	const clients, rounds = 30, 1
	h := newHub(t)
	work := t.TempDir()
	runGit(t, work, "clone", "-q", h.repo.Dir(), "clone")
	var wg sync.WaitGroup
	var mu sync.Mutex
	landed := map[string]bool{}
	note := func(sha string) {
		mu.Lock()
		defer mu.Unlock()
		landed[sha] = true
	}
	for client := range clients {
		wg.Go(func() {
			for round := range rounds {
				note(h.landOnce(fmt.Sprintf("c%d/r%d", client, round)))
			}
		})
	}
	wg.Go(func() {
		for i := range 10 {
			sha, err := h.repo.Commit("main", sandbox.Files{fmt.Sprintf("theirs/%d", i): text("x")}, "theirs")
			if err != nil {
				t.Error(err)
				return
			}
			note(sha)
		}
	})
	wg.Go(func() {
		for range 2 {
			note(pushByGit(t, work+"/clone"))
		}
	})
	wg.Wait()
	log, err := h.repo.Log("main")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range log {
		delete(landed, c.SHA)
	}
	if len(landed) > 0 {
		t.Errorf("%d accepted commits are not on the branch", len(landed))
	}
	if want := 1 + clients*rounds + 10 + 2; len(log) != want {
		t.Errorf("%d commits, want %d", len(log), want)
	}
	h.fsck()
}

// landOnce commits one file through the API, as often as it takes.
func (h *hub) landOnce(path string) string {
	for {
		head := h.do("GET", "/git/ref/heads/main", nil).text("object", "sha")
		base := h.do("GET", "/git/commits/"+head, nil).text("tree", "sha")
		tree := h.do("POST", "/git/trees", map[string]any{"base_tree": base, "tree": []any{
			map[string]string{"path": path, "mode": "100644", "type": "blob", "content": path},
		}}).text("sha")
		sha := h.do("POST", "/git/commits", map[string]any{"message": path, "tree": tree, "parents": []string{head}}).text("sha")
		switch r := h.patch(sha); r.text("message") {
		case "":
			if r.status != 200 {
				h.t.Errorf("PATCH: %d %v", r.status, r.err)
			}
			return sha
		case "Update is not a fast forward", "Reference cannot be updated":
		default:
			h.t.Errorf("PATCH: %d %s", r.status, r.body)
			return sha
		}
	}
}

// pushByGit makes an empty commit on the newest head and pushes it, as often as
// it takes.
func pushByGit(t *testing.T, clone string) string {
	for {
		runGit(t, clone, "fetch", "-q")
		runGit(t, clone, "reset", "-q", "--hard", "origin/main")
		runGit(t, clone, "commit", "-q", "--allow-empty", "-m", "by git")
		sha := runGit(t, clone, "rev-parse", "HEAD")
		cmd := exec.CommandContext(t.Context(), "git", "push", "-q", "origin", "main")
		cmd.Dir = clone
		out, err := cmd.CombinedOutput()
		if err == nil {
			return sha
		}
		if !strings.Contains(string(out), "rejected") && !strings.Contains(string(out), "failed to push") {
			t.Errorf("git push: %v\n%s", err, out)
			return sha
		}
	}
}
