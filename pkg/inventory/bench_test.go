package inventory_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// BenchmarkInventory prints a table of what a look at all references costs: cold, warm,
// and after one file changed. One iteration (-benchtime 1x) is enough.
func BenchmarkInventory(b *testing.B) {
	for b.Loop() {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(table, "\nfiles\tlook\treferences\tms\trequests\tMB allocated\tMB remembered\t\n")
		for _, files := range []int{10_000, 50_000} {
			benchLooks(b, table, files)
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchLooks(b *testing.B, table *tabwriter.Writer, n int) {
	b.Helper()
	hub, err := sandbox.New(sandbox.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = hub.Close() }()
	hub.AddToken("token", sandbox.Token{Name: "service", Login: "octocat"})
	repo, err := hub.CreateRepository("octo-org/infra", sandbox.RepositoryOptions{Branch: "main", Empty: true})
	if err != nil {
		b.Fatal(err)
	}
	push := func(files map[string]string) {
		changes := sandbox.Files{}
		for path, content := range files {
			changes[path] = sandbox.File{Content: []byte(content)}
		}
		if _, err := repo.Commit("main", changes, "push"); err != nil {
			b.Fatal(err)
		}
	}
	push(generated(n))
	server := httptest.NewServer(hub)
	defer server.Close()
	client, err := github.NewClient(github.Options{BaseURL: server.URL, Credential: github.Token("token"), Unpaced: true})
	if err != nil {
		b.Fatal(err)
	}
	name := github.Repo{Owner: "octo-org", Name: "infra"}
	inv := inventoryOf(b, plenty, update.Target{Name: "x", Repo: name, Repository: client.Branch(name, "main")})
	for _, look := range []struct {
		name   string
		before func()
	}{
		{"cold", func() {}},
		{"warm", func() {}},
		{"one file changed", func() {
			push(map[string]string{"teams/03/003/file-00003.yaml": "image: ghcr.io/octo-org/changed:1\n"})
		}},
	} {
		look.before()
		hub.ResetRequests()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		references := 0
		for _, err := range inv.References(b.Context(), inventory.Query{}) {
			if err != nil {
				b.Fatal(err)
			}
			references++
		}
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		fmt.Fprintf(table, "%d\t%s\t%d\t%.0f\t%d\t%.0f\t%.1f\t\n", n, look.name, references, took.Seconds()*1e3, len(hub.Requests()),
			float64(after.TotalAlloc-before.TotalAlloc)/1e6, float64(inv.Cost())/1e6)
	}
}
