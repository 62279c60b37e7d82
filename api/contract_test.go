package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestGeneratedCodeIsCurrent fails when openapi.yaml and the code drift apart.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("oapi-codegen.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "openapi.gen.go")
	elsewhere := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(elsewhere, bytes.Replace(config, []byte("openapi.gen.go"), []byte(fresh), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	generate := exec.Command("go", "tool", "-modfile=../.ci/tools/go.mod", "oapi-codegen", "-config", elsewhere, "../openapi.yaml")
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("generate: %v\n%s", err, out)
	}
	want, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("openapi.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("openapi.gen.go is not what openapi.yaml says; run `go generate ./api`")
	}
}

func TestDescriptionIsValid(t *testing.T) {
	t.Parallel()
	doc := describe(t)
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
}

// inBraces finds the parameters of gin's paths, which OpenAPI writes in braces.
var inBraces = regexp.MustCompile(`:(\w+)`)

// TestEveryRouteIsDescribed compares what is served with what is promised.
func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	pages := map[string]bool{"GET /": true, "GET /docs": true, "GET /docs/*file": true, "GET /openapi.yaml": true, "GET /favicon.ico": true}
	var served, promised, got, head []string
	routes := newServer(t, quiet, unchanged).Routes()
	for _, r := range routes {
		switch r.Method {
		case http.MethodGet:
			got = append(got, r.Path)
		case http.MethodHead:
			head = append(head, r.Path)
			continue
		}
		if name := r.Method + " " + inBraces.ReplaceAllString(r.Path, "{$1}"); !pages[name] && !strings.HasPrefix(r.Path, "/page/") {
			served = append(served, name)
		}
	}
	slices.Sort(got)
	slices.Sort(head)
	if diff := cmp.Diff(got, head); diff != "" {
		t.Errorf("paths with GET (-) and with HEAD (+):\n%s", diff)
	}
	for path, item := range describe(t).Paths.Map() {
		for method := range item.Operations() {
			promised = append(promised, method+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(promised)
	if diff := cmp.Diff(promised, served); diff != "" {
		t.Errorf("routes (-promised +served):\n%s", diff)
	}
}

// TestEveryExampleOfARequestIsTaken posts the examples as they are printed.
func TestEveryExampleOfARequestIsTaken(t *testing.T) {
	t.Parallel()
	op := describe(t).Paths.Find("/v1/updates").Post
	for name, example := range op.RequestBody.Value.Content.Get("application/json").Examples {
		body := marshal(t, example.Value.Value)
		seen := 0
		server := newServer(t, quiet, func(r update.Request) update.Result { seen++; return unchanged(r) })
		if r := post(server, body); r.Code != http.StatusOK || seen != 1 {
			t.Errorf("%s: status %d: %s", name, r.Code, r.Body)
		}
	}
}

// TestAnyBodyGetsAnAnswer sends bodies of any shape: a request that reaches the
// use case is a sound one, and whatever else is refused with a problem.
func TestAnyBodyGetsAnAnswer(t *testing.T) {
	t.Parallel()
	reached := 0
	server := newServer(t, quiet, func(r update.Request) update.Result {
		reached++
		if r.Images[0].Repository.Name() == "" || r.Images[0].Version.String() == "" || strings.ContainsAny(r.Source.Revision+r.Source.URL, "\n\r\x00") {
			t.Errorf("request: %+v", r)
		}
		return unchanged(r)
	})
	field := rapid.OneOf(rapid.SampledFrom([]string{
		"image", "version", "digest", "repository", "branch", "paths", "message", "dry_run", "source",
	}), rapid.String())
	value := rapid.OneOf(
		rapid.SampledFrom([]any{"nginx", "1.2", true, 1, nil, "ghcr.io/x/y", []any{"a/**"}, map[string]any{"revision": "a\nb"}}),
		rapid.Map(rapid.String(), func(s string) any { return s }),
	)
	rapid.Check(t, func(rt *rapid.T) {
		fields := rapid.MapOf(field, value).Draw(rt, "fields")
		if rapid.Bool().Draw(rt, "sound") {
			fields["image"], fields["version"] = "nginx", "1.2"
		}
		r := post(server, marshal(t, fields))
		if r.Code != http.StatusOK && r.Code != http.StatusUnprocessableEntity && r.Code != http.StatusBadRequest {
			rt.Fatalf("status %d: %s", r.Code, r.Body)
		}
	})
	if reached == 0 {
		t.Error("no request was sound")
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"image": "nginx", "version": "1.2"}`, `{`, `[]`, `{"image": "a", "image": "b"}`, `{"a": {"b": [1, null]}} x`, "\xff"} {
		f.Add(seed)
	}
	server := newServer(f, quiet, unchanged)
	f.Fuzz(func(t *testing.T, body string) {
		r := post(server, body)
		if r.Code >= http.StatusInternalServerError {
			t.Errorf("status %d: %s", r.Code, r.Body)
		}
		if r.Code >= 300 && r.Body.Len() > 8<<10 {
			t.Errorf("a refusal of %d bytes", r.Body.Len())
		}
	})
}

func TestPanicTellsNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server := newServer(t, slog.New(slog.NewJSONHandler(&log, nil)), func(update.Request) update.Result { panic("secret inside") })
	r := post(server, `{"image": "nginx", "version": "1"}`)
	if r.Code != http.StatusInternalServerError || strings.Contains(r.Body.String(), "inside") || r.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d: %s", r.Code, r.Body)
	}
	if !strings.Contains(log.String(), "secret inside") || !strings.Contains(log.String(), "contract_test.go") {
		t.Errorf("the log does not tell where: %s", log.String())
	}
}

var quiet = slog.New(slog.DiscardHandler)

func post(server http.Handler, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/v1/updates", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, request)
	return answer
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func describe(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
