package acceptance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// TestWrongInput sends every kind of wrong body; each is refused by name and
// GitHub is not even asked.
func TestWrongInput(t *testing.T) {
	t.Parallel()
	w := start(t)
	head := w.head()
	field := func(name, value string) string {
		fields := map[string]string{"image": `"` + node + `"`, "version": `"v1"`}
		fields[name] = value
		var parts []string
		for k, v := range fields {
			parts = append(parts, `"`+k+`": `+v)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	tests := []struct {
		name    string
		body    string
		headers []string
		status  int
		code    api.ProblemCode
		pointer string // of the first error; "-" when there are none
		detail  string
	}{
		{"no body", "", nil, 400, api.ProblemCodeInvalidRequest, "", "empty"},
		{"only spaces", "  \n", nil, 400, api.ProblemCodeInvalidRequest, "", "empty"},
		{"not JSON", "image=nginx", nil, 400, api.ProblemCodeInvalidRequest, "", "byte 1"},
		{"half of it", `{"image": "nginx"`, nil, 400, api.ProblemCodeInvalidRequest, "", "end"},
		{"trailing data", mission + "{}", nil, 400, api.ProblemCodeInvalidRequest, "", "more after"},
		{"trailing word", mission + " x", nil, 400, api.ProblemCodeInvalidRequest, "", "more after"},
		{"field twice", `{"image": "a", "image": "b", "version": "1"}`, nil, 400, api.ProblemCodeInvalidRequest, "", `"image" stands twice`},
		{"not UTF-8", "{\"image\": \"\xff\", \"version\": \"1\"}", nil, 400, api.ProblemCodeInvalidRequest, "", "UTF-8"},
		{"nested without end", strings.Repeat("[", 100_000), nil, 400, api.ProblemCodeInvalidRequest, "", "nested"},
		{"an array", `[]`, nil, 422, api.ProblemCodeInvalidRequest, "", "must be object, not array"},
		{"null", `null`, nil, 422, api.ProblemCodeInvalidRequest, "", "must be object, not null"},
		{"unknown field", field("tag", `"v1"`), nil, 422, api.ProblemCodeInvalidRequest, "/tag", "not a field"},
		{"field in upper case", field("Image", `"nginx"`), nil, 422, api.ProblemCodeInvalidRequest, "/Image", "not a field"},
		{"no image", `{"version": "v1"}`, nil, 422, api.ProblemCodeInvalidRequest, "/image", "missing"},
		{"no version", `{"image": "nginx"}`, nil, 422, api.ProblemCodeInvalidRequest, "/version", "missing"},
		{"number for a string", field("version", `1.10`), nil, 422, api.ProblemCodeInvalidRequest, "/version", "must be string, not number"},
		{"null for a string", field("digest", `null`), nil, 422, api.ProblemCodeInvalidRequest, "/digest", "not null"},
		{"string for a boolean", field("dry_run", `"yes"`), nil, 422, api.ProblemCodeInvalidRequest, "/dry_run", "must be boolean"},
		{"empty image", field("image", `""`), nil, 422, api.ProblemCodeInvalidRequest, "/image", "empty"},
		{"tag in the image", field("image", `"ghcr.io/x/y:1.2"`), nil, 422, api.ProblemCodeInvalidRequest, "/image", "tag"},
		{"digest in the image", field("image", `"ghcr.io/x/y@sha256:`+strings.Repeat("a", 64)+`"`), nil, 422, api.ProblemCodeInvalidRequest, "/image", "digest"},
		{"upper case", field("image", `"ghcr.io/Refty/node"`), nil, 422, api.ProblemCodeInvalidRequest, "/image", "ghcr.io/refty/node"},
		{"scheme in the image", field("image", `"https://ghcr.io/x/y"`), nil, 422, api.ProblemCodeInvalidRequest, "/image", ""},
		{"empty version", field("version", `""`), nil, 422, api.ProblemCodeInvalidRequest, "/version", "empty"},
		{"129 characters", field("version", `"`+strings.Repeat("v", 129)+`"`), nil, 422, api.ProblemCodeInvalidRequest, "/version", "128"},
		{"newline in the version", field("version", `"v1\n"`), nil, 422, api.ProblemCodeInvalidRequest, "/version", `\n`},
		{"version that begins with a dot", field("version", `".v1"`), nil, 422, api.ProblemCodeInvalidRequest, "/version", ""},
		{"injection in the version", field("version", `"v1 # x"`), nil, 422, api.ProblemCodeInvalidRequest, "/version", ""},
		{"short digest", field("digest", `"sha256:abc"`), nil, 422, api.ProblemCodeInvalidRequest, "/digest", ""},
		{"repository without owner", field("repository", `"infra"`), nil, 422, api.ProblemCodeInvalidRequest, "/repository", "owner/name"},
		{"no paths", field("paths", `[]`), nil, 422, api.ProblemCodeInvalidRequest, "/paths", "leave it out"},
		{"broken glob", field("paths", `["apps/**", "a[" ]`), nil, 422, api.ProblemCodeInvalidRequest, "/paths/1", "glob"},
		{"glob that is a trap", field("paths", `["apps/`+strings.Repeat("{,}", 300)+`x"]`), nil, 422, api.ProblemCodeInvalidRequest, "/paths/0", "too complex"},
		{"glob with many deep stars", field("paths", `["`+strings.Repeat("**/", 20)+`x"]`), nil, 422, api.ProblemCodeInvalidRequest, "/paths/0", "too complex"},
		{"number in paths", field("paths", `[1]`), nil, 422, api.ProblemCodeInvalidRequest, "/paths/0", "must be string"},
		{"newline in a trailer", field("source", `{"revision": "a\nSigned-off-by: x"}`), nil, 422, api.ProblemCodeInvalidRequest, "/source/revision", ""},
		{"source that is no URL", field("source", `{"url": "javascript:alert(1)"}`), nil, 422, api.ProblemCodeInvalidRequest, "/source/url", ""},
		{"unknown field of source", field("source", `{"ref": "x"}`), nil, 422, api.ProblemCodeInvalidRequest, "/source/ref", "not a field"},
		{"blank message", field("message", `" \n "`), nil, 422, api.ProblemCodeInvalidRequest, "/message", ""},
		{"NUL in the message", field("message", `"a\u0000b"`), nil, 422, api.ProblemCodeInvalidRequest, "/message", ""},
		{"10 MB", field("message", `"`+strings.Repeat("x", 10<<20)+`"`), nil, 413, api.ProblemCodeTooLarge, "-", "1048576"},
		{"form", mission, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, api.ProblemCodeUnsupportedMediaType, "-", "application/json"},
		{"no content type", mission, []string{"Content-Type", ""}, 415, api.ProblemCodeUnsupportedMediaType, "-", "application/json"},
		{"latin", mission, []string{"Content-Type", "application/json; charset=latin1"}, 415, api.ProblemCodeUnsupportedMediaType, "-", "UTF-8"},
		{"compressed", mission, []string{"Content-Encoding", "gzip"}, 415, api.ProblemCodeUnsupportedMediaType, "-", "Content-Encoding"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := w.post(tt.body, tt.headers...)
			if r.status != tt.status || r.problem.Code != tt.code {
				t.Fatalf("got %d %s, want %d %s\n%s", r.status, r.problem.Code, tt.status, tt.code, r.body)
			}
			if !strings.Contains(r.problem.Detail, tt.detail) {
				t.Errorf("detail %q does not say %q", r.problem.Detail, tt.detail)
			}
			if tt.pointer == "-" {
				if r.problem.Errors != nil {
					t.Errorf("errors: %+v", *r.problem.Errors)
				}
				return
			}
			if r.problem.Errors == nil || len(*r.problem.Errors) != 1 || (*r.problem.Errors)[0].Pointer != tt.pointer {
				t.Errorf("errors: %s, want one at %q", r.body, tt.pointer)
			}
			if len(r.body) > 2000 {
				t.Errorf("the answer has %d bytes", len(r.body))
			}
		})
	}
	if w.head() != head || len(w.hub.Requests()) != 0 {
		t.Errorf("GitHub was asked: %v", w.hub.Counts())
	}
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	t.Parallel()
	w := start(t)
	r := w.post(`{"image": "a:1", "version": "", "extra": 1, "source": {}}`)
	if r.status != http.StatusUnprocessableEntity || r.problem.Errors == nil {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	var pointers []string
	for _, e := range *r.problem.Errors {
		pointers = append(pointers, e.Pointer)
	}
	if got := strings.Join(pointers, " "); got != "/extra /image /source /version" {
		t.Errorf("pointers: %s\n%s", got, r.body)
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, tt := range []struct {
		method, path string
		status       int
		code         api.ProblemCode
	}{
		{http.MethodGet, "/v1/update", 404, api.ProblemCodeNotFound},
		{http.MethodPost, "/v1/updates/", 404, api.ProblemCodeNotFound},
		{http.MethodPut, "/v1/updates", 405, api.ProblemCodeMethodNotAllowed},
		{http.MethodPost, "/healthz", 405, api.ProblemCodeMethodNotAllowed},
	} {
		r, err := w.try(tt.method, tt.path, nil)
		if err != nil || r.status != tt.status || r.problem.Code != tt.code {
			t.Errorf("%s %s: %d %s %v", tt.method, tt.path, r.status, r.body, err)
		}
		if tt.status == 405 && r.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", tt.method, tt.path)
		}
	}
}
