package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	nobody = "1111111111111111111111111111111111111111"
	docs   = "https://docs.github.com/rest"
)

// tree makes the body of POST git/trees with one entry.
func tree(entry map[string]any) map[string]any { return map[string]any{"tree": []any{entry}} }

// Every text here is GitHub's own; clients match on them.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.head()
	side, err := h.repo.Commit("side", sandbox.Files{"b.yaml": text("b\n")}, "side")
	if err != nil {
		t.Fatal(err)
	}
	head := h.commit(sandbox.Files{"a.yaml": text("a\n")})
	blob := h.git("rev-parse", "main:a.yaml")
	root := h.git("rev-parse", "main^{tree}")
	type object = map[string]any
	author := object{"name": "M", "email": "m@example.com", "date": "2026-11-22"}
	tests := []struct {
		name, method, path string
		body               any
		status             int
		message, doc       string
	}{
		{"unknown ref", "GET", "/git/ref/heads/none", nil, 404, "Not Found", "/git/refs#get-a-reference"},
		{"unknown branch", "GET", "/branches/none", nil, 404, "Branch not found", "/branches/branches#get-a-branch"},
		{"commit by a branch's name", "GET", "/git/commits/main", nil, 404, "Not Found", "/git/commits#get-a-commit-object"},
		{"trailing slash", "GET", "/git/ref/heads/main/", nil, 404, "Not Found", "/git/refs#get-a-reference"},
		{"trailing slash on no operation", "GET", "/", nil, 404, "Not Found", ""},
		{"not JSON", "PATCH", "/git/refs/heads/main", "{", 400, "Problems parsing JSON", "/git/refs#update-a-reference"},
		{"JSON and more", "PATCH", "/git/refs/heads/main", "{}{}", 400, "Problems parsing JSON", "/git/refs#update-a-reference"},
		{"not an object", "PATCH", "/git/refs/heads/main", "[]", 400, "Body should be a JSON object", "/git/refs#update-a-reference"},
		{"no sha", "PATCH", "/git/refs/heads/main", object{}, 422, "Invalid request.\n\n\"sha\" wasn't supplied.", "/git/refs#update-a-reference"},
		{"back", "PATCH", "/git/refs/heads/main", object{"sha": first}, 422, "Update is not a fast forward", "/git/refs#update-a-reference"},
		{"sideways", "PATCH", "/git/refs/heads/main", object{"sha": side}, 422, "Update is not a fast forward", "/git/refs#update-a-reference"},
		{"update of no ref", "PATCH", "/git/refs/heads/none", object{"sha": head}, 422, "Reference does not exist", "/git/refs#update-a-reference"},
		{"update with refs/", "PATCH", "/git/refs/refs/heads/main", object{"sha": head}, 422, "Reference does not exist", "/git/refs#update-a-reference"},
		{"update to nothing", "PATCH", "/git/refs/heads/main", object{"sha": nobody}, 422, "Object does not exist", "/git/refs#update-a-reference"},
		{"update to a blob", "PATCH", "/git/refs/heads/main", object{"sha": blob}, 422, "Object is not a commit", "/git/refs#update-a-reference"},
		{"delete of no ref", "DELETE", "/git/refs/heads/none", nil, 422, "Reference does not exist", "/git/refs#delete-a-reference"},
		{"ref twice", "POST", "/git/refs", object{"ref": "refs/heads/main", "sha": head}, 422, "Reference already exists", "/git/refs#create-a-reference"},
		{"base that is a blob", "POST", "/git/trees", object{"base_tree": blob, "tree": []any{}}, 422, "base_tree is not a valid tree oid", "/git/trees#create-a-tree"},
		{"empty base", "POST", "/git/trees", object{"base_tree": "", "tree": []any{}}, 422, "base_tree is not a valid tree oid", "/git/trees#create-a-tree"},
		{"path with a slash", "POST", "/git/trees", tree(object{"path": "/a", "mode": "100644", "content": ""}), 422, "tree.path cannot start with a slash", "/git/trees#create-a-tree"},
		{"path with dots", "POST", "/git/trees", tree(object{"path": "a/../b", "mode": "100644", "content": ""}), 422, "tree.path contains a malformed path component", "/git/trees#create-a-tree"},
		{"mode", "POST", "/git/trees", tree(object{"path": "a", "mode": "100600", "content": ""}), 422, "Must supply a valid tree.mode", "/git/trees#create-a-tree"},
		{"content of a folder", "POST", "/git/trees", tree(object{"path": "a", "mode": "040000", "content": ""}), 422, "A subdirectory may not have content", "/git/trees#create-a-tree"},
		{"content and sha", "POST", "/git/trees", tree(object{"path": "a", "mode": "100644", "content": "", "sha": blob}), 422, "Must supply either tree.sha or tree.content. Request will be rejected if both are present.", "/git/trees#create-a-tree"},
		{"sha of nothing", "POST", "/git/trees", tree(object{"path": "a", "mode": "100644", "type": "blob", "sha": nobody}), 422, "tree.sha " + nobody + " is not a valid blob", "/git/trees#create-a-tree"},
		{"sha of another type", "POST", "/git/trees", tree(object{"path": "a", "mode": "100644", "type": "blob", "sha": root}), 422, "GitRPC::BadObjectState", "/git/trees#create-a-tree"},
		{"type against mode", "POST", "/git/trees", tree(object{"path": "a", "mode": "100644", "type": "tree", "sha": root}), 422, "GitRPC::BadObjectState", "/git/trees#create-a-tree"},
		{"removal of nothing", "POST", "/git/trees", object{"base_tree": root, "tree": []any{object{"path": "none", "mode": "100644", "sha": nil}}}, 422, "GitRPC::BadObjectState", "/git/trees#create-a-tree"},
		{"no tree", "POST", "/git/commits", object{"message": "m"}, 422, "Invalid request.\n\n\"tree\" wasn't supplied.", "/git/commits#create-a-commit"},
		{"tree null", "POST", "/git/commits", object{"message": "m", "tree": nil}, 422, "Invalid request.\n\nFor 'properties/tree', nil is not a string.", "/git/commits#create-a-commit"},
		{"tree short", "POST", "/git/commits", object{"message": "m", "tree": "abc"}, 422, "The tree parameter must be exactly 40 characters and contain only [0-9a-f].", "/git/commits#create-a-commit"},
		{"tree unknown", "POST", "/git/commits", object{"message": "m", "tree": nobody}, 422, "Tree SHA does not exist", "/git/commits#create-a-commit"},
		{"parent unknown", "POST", "/git/commits", object{"message": "m", "tree": root, "parents": []string{nobody}}, 422, "Parent SHA does not exist or is not a commit object", "/git/commits#create-a-commit"},
		{"author null", "POST", "/git/commits", object{"message": "m", "tree": root, "author": nil}, 422, "Invalid request.\n\nFor 'properties/author', nil is not an object.", "/git/commits#create-a-commit"},
		{"date without time", "POST", "/git/commits", object{"message": "m", "tree": root, "author": author}, 422, "Invalid request.\n\n\"2026-11-22\" is not a valid date-time.", "/git/commits#create-a-commit"},
		{"author without name", "POST", "/git/commits", object{"message": "m", "tree": root, "author": object{"email": "m@example.com"}}, 422, "Validation Failed", "/git/commits#create-a-commit"},
		{"unknown blob", "GET", "/git/blobs/" + nobody, nil, 404, "Not Found", "/git/blobs#get-a-blob"},
		{"compare with nothing", "GET", "/compare/main...none", nil, 404, "Not Found", "/commits/commits#compare-two-commits"},
		{"tarball of nothing", "GET", "/tarball/none", nil, 404, "Not Found", "/repos/contents#download-a-repository-archive-tar"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := h.do(tc.method, tc.path, tc.body)
			doc := docs
			if tc.doc != "" {
				doc += tc.doc
			}
			wantBody := map[string]string{"message": tc.message, "documentation_url": doc, "status": statusText(tc.status)}
			var got map[string]any
			if err := json.Unmarshal(r.body, &got); err != nil {
				t.Fatalf("answer %d is no JSON: %v: %.200s", r.status, err, r.body)
			}
			gotBody := map[string]string{}
			for k := range wantBody {
				gotBody[k], _ = got[k].(string)
			}
			if diff := cmp.Diff(wantBody, gotBody); diff != "" || r.status != tc.status {
				t.Errorf("status %d, want %d; body (-want +got):\n%s", r.status, tc.status, diff)
			}
		})
	}
	if h.head() != head {
		t.Error("a refused request moved the branch")
	}
	h.fsck()
}

func statusText(status int) string {
	b, _ := json.Marshal(status)
	return string(b)
}

func TestMissingFieldIsNamed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.do("POST", "/git/commits", map[string]any{
		"message": "m", "tree": h.git("rev-parse", "main^{tree}"), "committer": map[string]string{"name": "M"},
		"author": map[string]string{"name": "M", "email": "m@example.com"},
	})
	want := []any{map[string]any{"resource": "committer", "code": "missing_field", "field": "email"}}
	if diff := cmp.Diff(want, r.field("errors")); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestEmptyRepository(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if _, err := h.CreateRepository("octo-org/empty", sandbox.RepositoryOptions{Empty: true}); err != nil {
		t.Fatal(err)
	}
	for _, op := range []struct{ method, path string }{
		{"GET", "git/ref/heads/main"},
		{"GET", "git/matching-refs/heads"},
		{"GET", "git/trees/main"},
		{"POST", "git/blobs"},
		{"POST", "git/trees"},
		{"POST", "git/commits"},
		{"POST", "git/refs"},
		{"PATCH", "git/refs/heads/main"},
	} {
		body := any(nil)
		if op.method != "GET" {
			body = map[string]string{"content": "x", "sha": nobody}
		}
		r := h.do(op.method, "//repos/octo-org/empty/"+op.path, body)
		if r.status != 409 || r.text("message") != "Git Repository is empty." || r.text("status") != "409" {
			t.Errorf("%s %s: %d %s", op.method, op.path, r.status, r.body)
		}
	}
	if r := h.do("GET", "//repos/octo-org/empty/branches/main", nil); r.status != 404 {
		t.Errorf("branch of an empty repository: %d", r.status)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	hidden, err := h.CreateRepository("octo-org/hidden", sandbox.RepositoryOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	h.AddToken("reader", sandbox.Token{Permissions: sandbox.Permissions{"contents": sandbox.Read}})
	h.AddToken("elsewhere", sandbox.Token{Repositories: []string{"octo-org/other"}})
	h.AddToken("old", sandbox.Token{Expires: time.Unix(1_000_000, 0)})
	h.AddToken("classic", sandbox.Token{Kind: sandbox.KindClassic, Permissions: sandbox.Permissions{"contents": sandbox.Read}})
	h.AddToken("saml", sandbox.Token{SSO: "https://github.com/orgs/octo-org/sso?authorization_request=1"})
	h.AddToken("noflows", sandbox.Token{Permissions: sandbox.Permissions{"contents": sandbox.Write}})
	blob := map[string]string{"content": "x"}
	flow := tree(map[string]any{"path": ".github/workflows/x.yml", "mode": "100644", "content": "on: push\n"})
	tests := []struct {
		name, token, method, path string
		body                      any
		status                    int
		message, header           string // header: one the answer must have
	}{
		{"bearer", "Bearer sandbox", "POST", "/git/blobs", blob, 201, "", ""},
		{"token", "token sandbox", "POST", "/git/blobs", blob, 201, "", ""},
		{"basic", "Basic eDpzYW5kYm94", "POST", "/git/blobs", blob, 201, "", ""},
		{"nobody reads", "", "GET", "/branches/main", nil, 200, "", ""},
		{"nobody writes", "", "POST", "/git/blobs", blob, 401, "Requires authentication", ""},
		{"unknown", "Bearer wrong", "GET", "/branches/main", nil, 401, "Bad credentials", ""},
		{"expired", "Bearer old", "GET", "/branches/main", nil, 401, "Bad credentials", ""},
		{"reader writes", "Bearer reader", "POST", "/git/blobs", blob, 403, "Resource not accessible by personal access token", "X-Accepted-GitHub-Permissions: contents=write"},
		{"classic without scope", "Bearer classic", "POST", "/git/blobs", blob, 404, "Not Found", ""},
		{"other repository's token reads", "Bearer elsewhere", "GET", "/branches/main", nil, 200, "", ""},
		{"other repository's token writes", "Bearer elsewhere", "POST", "/git/blobs", blob, 403, "Resource not accessible by personal access token", ""},
		{"hidden from others", "Bearer elsewhere", "GET", "//repos/octo-org/hidden/branches/main", nil, 404, "Not Found", ""},
		{"hidden from nobody", "", "GET", "//repos/octo-org/hidden/branches/main", nil, 404, "Not Found", ""},
		{"single sign-on", "Bearer saml", "GET", "/branches/main", nil, 403, "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.", "X-GitHub-SSO: required; url=https://github.com/orgs/octo-org/sso?authorization_request=1"},
		{"workflow without permission", "Bearer noflows", "POST", "/git/trees", flow, 404, "Not Found", ""},
		{"workflow with permission", "Bearer sandbox", "POST", "/git/trees", flow, 201, "", ""},
		{"user", "Bearer sandbox", "GET", "//user", nil, 200, "", ""},
		{"user without a token", "", "GET", "//user", nil, 401, "Requires authentication", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := h.do(tc.method, tc.path, tc.body, "Authorization: "+tc.token)
			if r.status != tc.status || r.text("message") != tc.message {
				t.Errorf("%d %q, want %d %q", r.status, r.text("message"), tc.status, tc.message)
			}
			if name, value, ok := strings.Cut(tc.header, ": "); ok && r.header.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, r.header.Get(name), value)
			}
		})
	}
	if _, err := hidden.Head("main"); err != nil {
		t.Error(err)
	}
}

func TestArchivedAndRenamed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.repo.SetArchived(true)
	r := h.do("POST", "/git/blobs", map[string]string{"content": "x"})
	if r.status != 403 || r.text("message") != "Repository was archived so is read-only." {
		t.Errorf("archived: %d %s", r.status, r.body)
	}
	h.repo.SetArchived(false)
	if err := h.Rename(repoName, "octo-org/platform"); err != nil {
		t.Fatal(err)
	}
	read := h.must(301, h.do("GET", "/git/trees/main?recursive=1", nil))
	if read.text("message") != "Moved Permanently" || read.text("url") != read.header.Get("Location") {
		t.Errorf("redirect: %s, Location %s", read.body, read.header.Get("Location"))
	}
	h.must(200, h.send("GET", read.header.Get("Location"), nil))
	body := map[string]string{"content": "x"}
	write := h.must(307, h.do("POST", "/git/blobs", body))
	h.must(201, h.send("POST", write.header.Get("Location"), body))
	if got := h.must(200, h.do("GET", "//repos/octo-org/platform", nil)).text("full_name"); got != "octo-org/platform" {
		t.Errorf("full_name %q", got)
	}
}

func TestProtection(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	tree := h.git("rev-parse", "main^{tree}")
	head := h.head()
	sha := h.must(201, h.do("POST", "/git/commits", map[string]any{"message": "m", "tree": tree, "parents": []string{head}})).text("sha")
	tests := []struct {
		name    string
		p       sandbox.Protection
		status  int
		message string
		doc     string
	}{
		{"classic", sandbox.Protection{}, 422, "At least 1 approving review is required by reviewers with write access.", "https://docs.github.com/articles/about-protected-branches"},
		{"ruleset", sandbox.Protection{Ruleset: true}, 422, "Repository rule violations found\n\nChanges must be made through a pull request.\n\n", docs + "/git/refs#update-a-reference"},
		{"own text", sandbox.Protection{Message: "You're not authorized to push to this branch.", Status: 403}, 403, "You're not authorized to push to this branch.", "https://docs.github.com/articles/about-protected-branches"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			h.repo.Protect("main", tc.p)
			r := h.do("PATCH", "/git/refs/heads/main", map[string]any{"sha": sha})
			if r.status != tc.status || r.text("message") != tc.message || r.text("documentation_url") != tc.doc {
				t.Errorf("%d %s", r.status, r.body)
			}
			if r := h.do("PATCH", "/git/refs/heads/main", map[string]any{"sha": head}); r.status != 200 {
				t.Errorf("setting the present value: %d", r.status)
			}
			var rules []map[string]any
			if err := json.Unmarshal(h.do("GET", "/rules/branches/main", nil).body, &rules); err != nil || (len(rules) == 1) != tc.p.Ruleset {
				t.Errorf("rules %v, error %v", rules, err)
			}
		})
	}
	h.repo.Unprotect("main")
	h.must(200, h.do("PATCH", "/git/refs/heads/main", map[string]any{"sha": sha}))
}

func TestUnknownOperationAdmitsTheGap(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.do("GET", "/issues", nil)
	if r.status != 501 || !strings.Contains(r.text("message"), "embedded GitHub") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestRulesetAndProtectionOfOtherWrites(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.repo.Protect("ruled", sandbox.Protection{Ruleset: true})
	h.repo.Protect("main", sandbox.Protection{})
	made := h.do("POST", "/git/refs", map[string]string{"ref": "refs/heads/ruled", "sha": h.head()})
	if made.status != 422 || made.text("message") != "Reference update failed" {
		t.Errorf("a ruled branch is made: %d %s", made.status, made.body)
	}
	if r := h.do("DELETE", "/git/refs/heads/main", nil); r.status != 422 || h.head() == "" {
		t.Errorf("a protected branch is deleted: %d %s", r.status, r.body)
	}
}

// The third form of "errors" is one bare string.
func TestErrorsAsOneString(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.must(200, h.do("POST", "//_sandbox/faults", `{"effect":"bare_error_string"}`, "Content-Type: application/json"))
	r := h.must(422, h.do("GET", "/branches/main", nil))
	if _, ok := r.field("errors").(string); !ok || r.text("message") != "Validation Failed" {
		t.Errorf("%s", r.body)
	}
}

func TestSchemaTexts(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for body, want := range map[string]string{
		`{"sha":1}`:                  "For 'properties/sha', 1 is not a string.",
		`{"sha":true}`:               "For 'properties/sha', true is not a string.",
		`{"sha":[]}`:                 "For 'properties/sha', an array is not a string.",
		`{"sha":{}}`:                 "For 'properties/sha', an object is not a string.",
		`{"sha":"x","force":"true"}`: "For 'properties/force', \"true\" is not a boolean.",
	} {
		r := h.must(422, h.do("PATCH", "/git/refs/heads/main", body))
		if got := r.text("message"); got != "Invalid request.\n\n"+want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	if r := h.must(422, h.do("POST", "/git/trees", `{"tree":{}}`)); r.text("message") != "Invalid request.\n\nFor 'properties/tree', an object is not an array." {
		t.Errorf("%s", r.body)
	}
}

func TestNoUserAgent(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/repos/"+repoName, nil))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "User-Agent header") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.must(200, h.do("GET", "//api/v3/repos/octo-org/infra/branches/main", nil)) // as an Enterprise Server
	h.must(200, h.do("GET", "//repos/OCTO-ORG/Infra/branches/main", nil))        // names regardless of case
	version := h.do("GET", "/branches/main", nil, "X-GitHub-Api-Version: 2026-03-10").header.Get("X-GitHub-Api-Version-Selected")
	if version != "2026-03-10" {
		t.Errorf("version %q", version)
	}
	h.SetURLs("https://api.example.com/", "https://example.com", "")
	r := h.do("GET", "/git/commits/"+h.head(), nil)
	if !strings.HasPrefix(r.text("url"), "https://api.example.com/repos/") || !strings.HasPrefix(r.text("html_url"), "https://example.com/octo-org/infra/commit/") {
		t.Errorf("%s", r.body)
	}
}
