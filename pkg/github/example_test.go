package github_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A branch is read, edited and committed to in a loop that ends when nobody else
// was faster.
func Example() {
	server, stop := embedded()
	defer stop()
	ctx := context.Background()

	client, err := github.NewClient(github.Options{BaseURL: server, Credential: github.Token("sandbox")})
	if err != nil {
		panic(err)
	}
	branch := client.Branch(github.Repo{Owner: "octo-org", Name: "infra"}, "main")
	for {
		snapshot, err := branch.Snapshot(ctx)
		if err != nil {
			panic(err)
		}
		plan := github.Changeset{Message: "Set app to 2.0.0"}
		err = branch.Read(ctx, snapshot, snapshot.Entries, func(i int, content []byte) error {
			e := snapshot.Entries[i]
			edited := bytes.ReplaceAll(content, []byte("app:1.0.0"), []byte("app:2.0.0"))
			if path.Ext(e.Path) == ".yaml" && !bytes.Equal(edited, content) {
				plan.Edits = append(plan.Edits, github.Edit{Path: e.Path, Mode: e.Mode, Content: edited})
			}
			return nil
		})
		if err != nil {
			panic(err)
		}
		commit, err := branch.Commit(ctx, snapshot, plan)
		if errors.Is(err, github.ErrBranchMoved) {
			continue
		}
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %d file\n", commit.Message, len(plan.Edits))
		return
	}
	// Output: Set app to 2.0.0: 1 file
}

// embedded is a GitHub with one small repository.
func embedded() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	sb, err := sandbox.New(sandbox.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	repo, err := sb.CreateRepository("octo-org/infra", sandbox.RepositoryOptions{})
	if err != nil {
		panic(err)
	}
	if _, err := repo.Commit("main", sandbox.Files{"deploy.yaml": {Content: []byte("image: app:1.0.0\n")}}, "app"); err != nil {
		panic(err)
	}
	server := httptest.NewServer(sb)
	return server.URL, func() {
		server.Close()
		_ = sb.Close()
		_ = os.RemoveAll(dir)
	}
}
