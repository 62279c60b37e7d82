package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestEveryFailureHasAStatus answers each code of a failure as the contract knows it.
func TestEveryFailureHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[update.Code]int{
		update.CodeImageNotReferenced: 404, update.CodeRepositoryNotFound: 404, update.CodeBranchNotFound: 404,
		update.CodeBranchMoved: 409, update.CodeBranchProtected: 409,
		update.CodeUpstreamUnauthorized: 502, update.CodeUpstreamForbidden: 502, update.CodeUpstreamError: 502,
		update.CodeUpstreamRateLimited: 503, update.CodeUnavailable: 503, update.CodeTimeout: 504,
		update.CodePolicyDenied: 403, update.CodeTargetFrozen: 409, update.CodeImageNotFound: 422, update.CodeDigestUnknown: 422, update.CodePullRequestChanged: 409,
		update.CodeCanceled: 499, update.CodeInternal: 500,
	}
	for _, code := range append(update.Codes(), "of_a_later_version") {
		stored, err := update.DecodeResult([]byte(`{"v":1,"failure":{"code":"` + string(code) + `","detail":"why","retry_after":7000000000}}`))
		if err != nil {
			t.Fatal(err)
		}
		answer := post(newServer(t, quiet, func(update.Request) update.Result { return stored }), `{"image": "nginx", "version": "1"}`)
		status, ok := want[code]
		if !ok {
			status = 500
		}
		var problem api.Problem
		if err := json.Unmarshal(answer.Body.Bytes(), &problem); err != nil {
			t.Fatal(err)
		}
		if answer.Code != status || problem.Code == "" || answer.Header().Get("Retry-After") != "7" {
			t.Errorf("%s: status %d, want %d: %s", code, answer.Code, status, answer.Body)
		}
		if status == 500 && problem.Code != api.ProblemCodeInternal {
			t.Errorf("%s: %s", code, problem.Code)
		}
	}
}

// TestRowsOfBeforeAreShown shows what was stored before the stored form had a version.
func TestRowsOfBeforeAreShown(t *testing.T) {
	t.Parallel()
	server, store := newServerAndStore(t, quiet, unchanged)
	row := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("..", "pkg", "update", "testdata", "stored", "unversioned", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	tests := []struct {
		result string
		status queue.Status
		want   string // the target as JSON
	}{
		{"result-many.json", queue.Committed, `{
			"name": "staging", "repository": "refty-yapi/refty-infra-test", "branch": "main", "status": "committed",
			"commit": {
				"sha": "ce19f3c9428493d8806609c14c6b085610ae1476", "message": "Update 2 images\n\n- Update nginx to 2\n- Update redis to 7",
				"url": "https://github.com/refty-yapi/refty-infra-test/commit/ce19f3c9428493d8806609c14c6b085610ae1476"
			},
			"files": [{"path": "a.yaml", "changes": [{
				"line": 1, "column": 8, "from": "1", "to": "2",
				"from_digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
				"to_digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111"
			}]}],
			"merged_versions": ["1", "1.1"],
			"skipped": [{"path": "charts/x/templates/deploy.yaml", "line": 7, "reason": "templated"}, {"path": "link.yaml", "reason": "symlink"}]
		}`},
		{"result-absent.json", queue.Absent, `{
			"repository": "refty-yapi/refty-infra-test", "branch": "main", "status": "failed", "files": [], "skipped": [],
			"problem": {"status": 404, "code": "image_not_referenced", "detail": "no YAML file on refty-yapi/refty-infra-test@main names the image octo-org/absent; check its spelling, registry included"}
		}`},
		{"result-gone.json", queue.Failed, `{
			"repository": "/", "status": "failed", "files": [], "skipped": [],
			"problem": {"status": 404, "code": "repository_not_found", "detail": "gone is not a target of this service; it writes to refty-yapi/refty-infra-test@main"}
		}`},
		{"result-waiting.json", queue.Queued, `{
			"name": "production", "repository": "refty-yapi/refty-infra-test", "branch": "main", "status": "queued", "files": [], "skipped": []
		}`},
	}
	for _, tt := range tests {
		u := queue.Update{
			ID: newID(), Image: "docker.io/library/nginx", Version: "2", Request: []byte(`{"image":"docker.io/library/nginx","version":"2"}`), AbsentAs: queue.Failed,
			Tasks: []queue.Task{{Target: tt.result, Branch: tt.result, Status: tt.status, Result: row(tt.result)}},
		}
		if _, err := store.Accept(t.Context(), []queue.Update{u}, nil); err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/v1/updates/"+u.ID, http.NoBody))
		var got struct {
			Image   string
			Targets []json.RawMessage
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || len(got.Targets) != 1 || got.Image != "docker.io/library/nginx" {
			t.Fatalf("%s: %v: %s", tt.result, err, answer.Body)
		}
		if diff := cmp.Diff(decoded(t, []byte(tt.want)), decoded(t, got.Targets[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.result, diff)
		}
	}
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
