package github_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// latency is what a request to GitHub waits for in the benchmarks.
const latency = 40 * time.Millisecond

// benchWorld is an embedded GitHub with n YAML files of about 800 bytes.
func benchWorld(b *testing.B, n int) github.Options {
	b.Helper()
	sb, err := sandbox.New(sandbox.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := sb.Close(); err != nil {
			b.Error(err)
		}
	})
	api, archives := httptest.NewServer(sb), httptest.NewServer(sb.Archives())
	b.Cleanup(api.Close)
	b.Cleanup(archives.Close)
	sb.SetURLs(api.URL, "", archives.URL)
	repo, err := sb.CreateRepository(repoName, sandbox.RepositoryOptions{})
	if err != nil {
		b.Fatal(err)
	}
	files := sandbox.Files{}
	for i := range n {
		content := fmt.Sprintf("image: ghcr.io/octo-org/app-%d:1.0.0\n%s", i, strings.Repeat("# nothing to see here\n", 35))
		files[fmt.Sprintf("apps/team-%03d/app-%05d.yaml", i%100, i)] = sandbox.File{Content: []byte(content)}
	}
	if _, err := repo.Commit("main", files, "files"); err != nil {
		b.Fatal(err)
	}
	sb.Configure(func(s *sandbox.Settings) { s.Latency = sandbox.Duration(latency) })
	return github.Options{BaseURL: api.URL, Credential: github.Token("sandbox"), Unpaced: true}
}

// BenchmarkUpdate measures one update: cold is a client that knows nothing, warm
// one that made the last commit.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		options := benchWorld(b, n)
		ctx := context.Background()
		repo, err := github.ParseRepo(repoName)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("cold/%d", n), func(b *testing.B) {
			for b.Loop() {
				client, err := github.NewClient(options)
				if err != nil {
					b.Fatal(err)
				}
				branch := client.Branch(repo, "main")
				s, err := branch.Snapshot(ctx)
				if err != nil {
					b.Fatal(err)
				}
				benchCommit(b, branch, s)
			}
		})
		client, err := github.NewClient(options)
		if err != nil {
			b.Fatal(err)
		}
		branch := client.Branch(repo, "main")
		s, err := branch.Snapshot(ctx)
		if err != nil {
			b.Fatal(err)
		}
		benchCommit(b, branch, s)
		b.Run(fmt.Sprintf("warm/%d", n), func(b *testing.B) {
			for b.Loop() {
				s, _ := branch.Remembered()
				benchCommit(b, branch, s)
			}
		})
	}
}

func benchCommit(b *testing.B, branch *github.Branch, s *github.Snapshot) {
	b.Helper()
	if _, err := readYAML(context.Background(), branch, s); err != nil {
		b.Fatal(err)
	}
	content := fmt.Sprintf("image: x:%d\n", time.Now().UnixNano())
	if _, err := branch.Commit(context.Background(), s, set(s, "apps/team-000/app-00000.yaml", content)); err != nil {
		b.Fatal(err)
	}
}
