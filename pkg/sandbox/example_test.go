package sandbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A ref update that loses a race once, and what the request log says of it.
func Example() {
	dir, err := os.MkdirTemp("", "sandbox")
	check(err)
	defer os.RemoveAll(dir)
	sb, err := sandbox.New(sandbox.Options{Dir: dir})
	check(err)
	repo, err := sb.CreateRepository("octo-org/infra", sandbox.RepositoryOptions{})
	check(err)
	head, err := repo.Head("main")
	check(err)
	server := httptest.NewServer(sb)
	defer server.Close()

	sb.Inject(sandbox.LostRace().Once())
	for range 2 {
		url := server.URL + "/repos/octo-org/infra/git/refs/heads/main"
		req, err := http.NewRequest(http.MethodPatch, url, strings.NewReader(`{"sha":"`+head+`"}`))
		check(err)
		req.Header.Set("Authorization", "Bearer sandbox")
		resp, err := server.Client().Do(req)
		check(err)
		check(resp.Body.Close())
		fmt.Println(resp.StatusCode)
	}
	fmt.Println(sb.Counts())
	check(sb.Close())
	// Output:
	// 422
	// 200
	// map[PATCH /repos/{owner}/{repo}/git/refs/{ref}:2]
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
