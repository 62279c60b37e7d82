package github_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// hugeURL makes this binary the client of TestHugeRepository, in a process whose
// memory is nobody else's.
const hugeURL = "TEST_HUGE_REPOSITORY_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(hugeURL); url != "" {
		os.Exit(updateHuge(url, os.Stdout))
	}
	os.Exit(m.Run())
}

// A repository of 100,000 entries, half of them YAML files, is updated within
// 512 MB of memory and a handful of requests.
func TestHugeRepository(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("its size is all there is to it")
	}
	const half, most = 50_000, 512 // MiB
	w := newWorld(t)
	files := sandbox.Files{}
	for i := range half {
		content := fmt.Sprintf("image: ghcr.io/octo-org/app-%d:1.0.0\n%s", i, strings.Repeat("# nothing to see here\n", 35))
		files[fmt.Sprintf("apps/team-%03d/app-%05d.yaml", i%400, i)] = sandbox.File{Content: []byte(content)}
		files[fmt.Sprintf("src/package-%03d/file-%05d.go", i%400, i)] = sandbox.File{Content: []byte("package x\n")}
	}
	_, err := w.repo.Commit("main", files, "files")
	w.must(err)

	client := exec.CommandContext(t.Context(), os.Args[0])
	client.Env = append(os.Environ(), hugeURL+"="+w.url)
	out, err := client.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var entries, read, peak int
	if _, err := fmt.Sscanf(string(out), "%d entries, %d read, %d MiB", &entries, &read, &peak); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	if entries != 2*half+1 || read != half {
		t.Errorf("%d entries and %d read, want %d and %d", entries, read, 2*half+1, half)
	}
	if peak > most {
		t.Errorf("it took %d MiB of memory", peak)
	}
	w.wire.sent = 9 // of the other process
	w.wantSpent(readHead, readTree, readTree, readTree, readTarball, newTree, newCommit, updateRef, headStands)
}

// updateHuge makes one update and tells what it took.
func updateHuge(url string, stdout io.Writer) int {
	ctx := context.Background()
	c, err := github.NewClient(github.Options{BaseURL: url, Credential: github.Token("sandbox")})
	if err != nil {
		_, _ = fmt.Fprintln(stdout, err)
		return 1
	}
	b := c.Branch(github.Repo{Owner: "octo-org", Name: "infra"}, "main")
	s, err := b.Snapshot(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(stdout, err)
		return 1
	}
	read, err := readYAML(ctx, b, s)
	if err == nil {
		s, _ = b.Remembered()
		_, err = b.Commit(ctx, s, set(s, "apps/team-000/app-00000.yaml", "image: x:2\n"))
	}
	if err != nil {
		_, _ = fmt.Fprintln(stdout, err)
		return 1
	}
	var used runtime.MemStats
	runtime.ReadMemStats(&used) // what was taken from the system is never less than the most that was needed
	_, _ = fmt.Fprintf(stdout, "%d entries, %d read, %d MiB\n", len(s.Entries), len(read), used.Sys>>20)
	return 0
}
