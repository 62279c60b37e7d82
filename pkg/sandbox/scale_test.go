package sandbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// manyFiles are n manifests in folders of a hundred.
func manyFiles(n int) sandbox.Files {
	files := make(sandbox.Files, n)
	for i := range n {
		path := fmt.Sprintf("apps/team-%04d/deploy-%06d.yaml", i/100, i)
		files[path] = text(fmt.Sprintf("kind: Deployment\nimage: ghcr.io/octo-org/service-%d:1\n", i))
	}
	return files
}

func TestManyFiles(t *testing.T) {
	t.Parallel()
	const n = 5_000
	h := newHub(t)
	h.commit(manyFiles(n))
	all := h.list("/git/trees/main?recursive=1")
	if want := n + n/100 + 2; len(all.Tree) != want || all.Truncated {
		t.Errorf("%d entries, truncated %t; want %d", len(all.Tree), all.Truncated, want)
	}
	h.commit(sandbox.Files{"apps/team-0000/deploy-000000.yaml": text("new\n")})
	got, err := h.repo.ReadFile("main", "apps/team-0049/deploy-004999.yaml")
	if err != nil || string(got) != "kind: Deployment\nimage: ghcr.io/octo-org/service-4999:1\n" {
		t.Errorf("%q, error %v", got, err)
	}
	h.fsck()
}

func benchmarkRepository(b *testing.B, n int) (*sandbox.Server, *sandbox.Repository) {
	b.Helper()
	sb, err := sandbox.New(sandbox.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	repo, err := sb.CreateRepository(repoName, sandbox.RepositoryOptions{Empty: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := repo.Commit("main", manyFiles(n), "seed"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := sb.Close(); err != nil {
			b.Error(err)
		}
	})
	return sb, repo
}

func BenchmarkSeed(b *testing.B) {
	for b.Loop() {
		benchmarkRepository(b, 10_000)
	}
}

func BenchmarkRecursiveListing(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			sb, _ := benchmarkRepository(b, n)
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/repos/"+repoName+"/git/trees/main?recursive=1", nil)
				r.Header.Set("User-Agent", "benchmark")
				w := httptest.NewRecorder()
				sb.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatalf("status %d", w.Code)
				}
			}
		})
	}
}

// BenchmarkNewTree makes a tree on a folder of 10,000 files.
func BenchmarkNewTree(b *testing.B) {
	sb, repo := benchmarkRepository(b, 1)
	files := sandbox.Files{}
	for i := range 10_000 {
		files[fmt.Sprintf("flat/%05d.yaml", i)] = text(fmt.Sprint(i))
	}
	head, err := repo.Commit("main", files, "flat")
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		body := fmt.Sprintf(`{"base_tree":%q,"tree":[{"path":"flat/00007.yaml","mode":"100644","type":"blob","content":"n%d"}]}`, head, n)
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/repos/"+repoName+"/git/trees", strings.NewReader(body))
		r.Header.Set("User-Agent", "benchmark")
		r.Header.Set("Authorization", "Bearer sandbox")
		w := httptest.NewRecorder()
		sb.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			b.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
}
