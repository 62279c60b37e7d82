//go:build openapi

package sandbox_test

import (
	"encoding/json"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The file api.github.com.json of GitHub's published description, which the
// npm package @octokit/openapi holds:
//
//	go test -tags openapi ./pkg/sandbox -run OpenAPI -args -openapi FILE
var description = flag.String("openapi", "", "GitHub's OpenAPI description")

// Every operation's answers have what GitHub's description asks of them.
func TestAnswersAgainstGitHubsOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(*description)
	if err != nil {
		t.Fatal(err)
	}
	h, key := newAppHub(t, &watch{now: time.Now()})
	h.commit(sandbox.Files{"apps/a.yaml": text("image: a:1\n")})
	h.repo.Protect("ruled", sandbox.Protection{Ruleset: true})
	auth := "Authorization: Bearer sandbox"
	check := func(method, template, path string, body any) reply {
		t.Helper()
		r := h.do(method, path, body, auth)
		checkAnswer(t, doc, method+" "+template, r)
		return r
	}
	const repo = "/repos/{owner}/{repo}"
	head := h.head()
	check("GET", repo, "", nil)
	check("GET", repo+"/branches/{branch}", "/branches/main", nil)
	check("GET", repo+"/rules/branches/{branch}", "/rules/branches/ruled", nil)
	check("GET", repo+"/git/ref/{ref}", "/git/ref/heads/main", nil)
	check("GET", repo+"/git/ref/{ref}", "/git/ref/heads/none", nil)
	check("GET", repo+"/git/matching-refs/{ref}", "/git/matching-refs/heads", nil)
	base := check("GET", repo+"/git/commits/{commit_sha}", "/git/commits/"+head, nil).text("tree", "sha")
	check("GET", repo+"/git/trees/{tree_sha}", "/git/trees/"+base+"?recursive=1", nil)
	blob := check("POST", repo+"/git/blobs", "/git/blobs", map[string]string{"content": "x"}).text("sha")
	check("GET", repo+"/git/blobs/{file_sha}", "/git/blobs/"+blob, nil)
	entry := map[string]any{"path": "a", "mode": "100644", "type": "blob", "sha": blob}
	made := check("POST", repo+"/git/trees", "/git/trees", map[string]any{"base_tree": base, "tree": []any{entry}}).text("sha")
	check("POST", repo+"/git/commits", "/git/commits", map[string]string{"message": "m"})
	sha := check("POST", repo+"/git/commits", "/git/commits", map[string]any{"message": "m", "tree": made, "parents": []string{head}}).text("sha")
	check("POST", repo+"/git/refs", "/git/refs", map[string]string{"ref": "refs/heads/new", "sha": sha})
	check("PATCH", repo+"/git/refs/{ref}", "/git/refs/heads/main", map[string]string{"sha": sha})
	check("PATCH", repo+"/git/refs/{ref}", "/git/refs/heads/main", map[string]string{"sha": head})
	check("GET", repo+"/compare/{basehead}", "/compare/"+head+"..."+sha, nil)
	checkPulls(t, h, check)
	check("GET", "/rate_limit", "//rate_limit", nil)
	check("GET", "/user", "//user", nil)
	check("GET", "/meta", "//meta", nil)
	now := h.Requests()[0].Time.Unix()
	auth = "Authorization: Bearer " + jwt(t, key, "RS256", map[string]any{"iss": 42, "iat": now, "exp": now + 300})
	check("GET", "/app", "//app", nil)
	check("GET", repo+"/installation", "/installation", nil)
	check("POST", "/app/installations/{installation_id}/access_tokens", "//app/installations/7/access_tokens", map[string]any{"repositories": []string{"infra"}})
}

func checkPulls(t *testing.T, h *hub, check func(method, template, path string, body any) reply) {
	t.Helper()
	const (
		repo  = "/repos/{owner}/{repo}"
		pull  = repo + "/pulls/{pull_number}"
		issue = repo + "/issues/{issue_number}"
	)
	head := h.branch("pull", sandbox.Files{"p.yaml": text("p")})
	check("POST", repo+"/pulls", "/pulls", object{"title": "t", "body": "b", "head": "pull", "base": "main"})
	check("POST", repo+"/pulls", "/pulls", object{"title": "t", "head": "pull", "base": "main"})
	check("GET", repo+"/pulls", "/pulls?state=all", nil)
	check("GET", pull, "/pulls/1", nil)
	check("PATCH", pull, "/pulls/1", object{"title": "other"})
	check("POST", pull+"/requested_reviewers", "/pulls/1/requested_reviewers", object{"reviewers": []string{"mona"}, "team_reviewers": []string{"release"}})
	check("POST", issue+"/labels", "/issues/1/labels", object{"labels": []string{"a"}})
	check("POST", issue+"/assignees", "/issues/1/assignees", object{"assignees": []string{"mona"}})
	check("POST", issue+"/comments", "/issues/1/comments", object{"body": "hello"})
	check("GET", issue+"/comments", "/issues/1/comments", nil)
	check("POST", repo+"/statuses/{sha}", "/statuses/"+head, object{"state": "success"})
	check("GET", repo+"/commits/{ref}/status", "/commits/"+head+"/status", nil)
	h.repo.SetCheck(head, "build", "success", true)
	check("GET", repo+"/commits/{ref}/check-runs", "/commits/"+head+"/check-runs", nil)
	a := check("PUT", pull+"/merge-async", "/pulls/1/merge-async", object{"merge_method": "squash"})
	check("GET", pull+"/merge-async/{uuid}", "/pulls/1/merge-async/"+a.text("details", "uuid"), nil)
	check("PUT", pull+"/merge-async", "/pulls/1/merge-async", nil)
	check("PUT", pull+"/merge", "/pulls/1/merge", nil)
}

func checkAnswer(t *testing.T, doc *openapi3.T, endpoint string, r reply) {
	t.Helper()
	method, path, _ := strings.Cut(endpoint, " ")
	described := doc.Paths.Value(path).GetOperation(method).Responses.Status(r.status)
	if described == nil {
		t.Errorf("%s: status %d is not described", endpoint, r.status)
		return
	}
	var v any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Errorf("%s: %v", endpoint, err)
		return
	}
	if err := described.Value.Content.Get("application/json").Schema.Value.VisitJSON(v); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		t.Errorf("%s: %d: %s", endpoint, r.status, first)
	}
}
