package sandbox_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// An update that loses a race, because somebody pushes right before it, and
// what the request log says of it.
func Example() {
	dir, err := os.MkdirTemp("", "sandbox")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	sb, err := sandbox.New(sandbox.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer sb.Close()
	repo, err := sb.CreateRepository("octo-org/infra", sandbox.RepositoryOptions{})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(sb)
	defer server.Close()

	sb.Inject(sandbox.LostRace().Once())
	head, err := repo.Head("main")
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		url := server.URL + "/repos/octo-org/infra/git/refs/heads/main"
		req, err := http.NewRequest(http.MethodPatch, url, strings.NewReader(`{"sha":"`+head+`"}`))
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer sandbox")
		resp, err := server.Client().Do(req)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	for endpoint, n := range sb.Counts() {
		fmt.Println(n, endpoint)
	}
	// Output:
	// 422
	// 200
	// 2 PATCH /repos/{owner}/{repo}/git/refs/{ref}
}
