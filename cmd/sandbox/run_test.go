package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	openapi "github.com/refty-yapi/refty-node-versions-service"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--once", "--dir", dir}, map[string]string{"API_TOKENS": "ci=secret"}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	repo := filepath.Join(dir, repository+".git")
	for _, want := range []string{"201 Created", `"status": "committed"`, "+          image: " + exampleImage + ":" + exampleVersion, repo} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	changed := git(t, repo, "diff", "--name-only", "main~1", "main")
	if want := "apps/listing-parser-deploy.yaml\napps/listing-sync-deploy.yaml\ncharts/refty-node/values.yaml\noverlays/staging/kustomization.yaml\n"; changed != want {
		t.Errorf("changed:\n%s", changed)
	}
	if got := git(t, repo, "rev-list", "--count", "main"); got != "2\n" {
		t.Errorf("%s commits", got)
	}
	git(t, repo, "fsck", "--strict")
}

// TestOnceWithAFolderOfOnesOwn asks for an image that the folder names, however it
// does, and for the example's where it names none.
func TestOnceWithAFolderOfOnesOwn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content string
		code          int
		asked         string
	}{
		{"image", "# image: octo-org/comment:1\nimage: octo-org/other:1\n", 0, "octo-org/other"},
		{"registry with a port", "spec:\n  - image: 'registry.example.com:5000/team/web:1'\n", 0, "registry.example.com:5000/team/web"},
		{"Helm values", "image:\n  repository: quay.io/octo-org/web\n  tag: \"1\"\n", 0, "quay.io/octo-org/web"},
		{"kustomization", "images:\n  - name: ghcr.io/octo-org/web\n    newTag: \"1\"\n", 0, "ghcr.io/octo-org/web"},
		{"templates before a reference", "image: {{ .Values.image }}\n---\nimage: octo-org/other:1\n", 0, "octo-org/other"},
		{"nothing", "name: octo-org/other\n", 1, exampleImage},
	}
	for _, tt := range tests {
		from := t.TempDir()
		write(t, filepath.Join(from, "a.yaml"), tt.content)
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"--once", "--from", from}, nil, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), `POST /v1/updates {"image":"`+tt.asked+`"`) {
			t.Errorf("%s: code %d\n%s\n%s", tt.name, code, stdout.String(), stderr.String())
		}
		if code != 0 && (!strings.Contains(stdout.String(), "image_not_referenced") || !strings.Contains(stderr.String(), "no file of "+from+" names an image")) {
			t.Errorf("%s: code %d\n%s\n%s", tt.name, code, stdout.String(), stderr.String())
		}
	}
}

// TestOnceLeavesNothing looks at the folder for temporary files.
func TestOnceLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--once"}, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 || strings.Contains(stdout.String(), dir) {
		t.Errorf("%v is left, %v\n%s", left, err, stdout.String())
	}
}

// twoTargets are parts of the sandbox's repository.
const twoTargets = `targets:
  - {name: staging, repository: refty-yapi/refty-infra-test, paths: {include: ["overlays/**"]}}
  - {name: production, repository: refty-yapi/refty-infra-test, paths: {include: ["apps/**"]}}
`

// TestExamplesOfTheDescriptionWork sends every example of a request body that the
// page at /docs offers, as its button does.
func TestExamplesOfTheDescriptionWork(t *testing.T) {
	t.Parallel()
	text, stop := startProgram(t, nil, map[string]string{"LISTEN_ADDR": "127.0.0.1:0"})
	defer stop()
	url := strings.TrimSuffix(find(t, text, `curl -sS (http://\S+/v1/updates)`), "/v1/updates")
	targets := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(targets, []byte(twoTargets), 0o600); err != nil {
		t.Fatal(err)
	}
	text, stop = startProgram(t, nil, map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "CONFIG_FILE": targets})
	defer stop()
	several := strings.TrimSuffix(find(t, text, `curl -sS (http://\S+/v1/updates)`), "/v1/updates")
	for _, tt := range requestExamples(t) {
		url := url
		if strings.HasPrefix(tt.path, "/v1/promotions") {
			url = several
		}
		response, err := http.Post(url+tt.path, "application/json", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode > http.StatusAccepted {
			t.Errorf("%s of %s: %d %s", tt.name, tt.path, response.StatusCode, body)
		}
	}
	response, err := http.Post(url+"/v1/webhooks/dockerhup?token=sandbox", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "no webhook source of this name") {
		t.Errorf("an unknown source: %d %s", response.StatusCode, body)
	}
}

// requestExample is what Swagger UI fills in and sends.
type requestExample struct{ name, path, body string }

func requestExamples(t *testing.T) []requestExample {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	var found []requestExample
	for path, item := range doc.Paths.Map() {
		if item.Post == nil || item.Post.RequestBody == nil {
			continue
		}
		query := neturl.Values{}
		for _, p := range item.Post.Parameters {
			example, _ := p.Value.Schema.Value.Example.(string)
			switch p.Value.In {
			case "path":
				path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", example)
			case "query":
				query.Set(p.Value.Name, example)
			}
		}
		for _, content := range item.Post.RequestBody.Value.Content {
			for name, example := range content.Examples {
				body, err := json.Marshal(example.Value.Value)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, requestExample{name: name, path: path + "?" + query.Encode(), body: string(body)})
			}
		}
	}
	if len(found) < 4 {
		t.Fatalf("only %d examples were found", len(found))
	}
	// Updates before rollbacks, and those before holds.
	slices.SortFunc(found, func(a, b requestExample) int {
		return cmp.Or(cmp.Compare(b.path, a.path), cmp.Compare(a.name, b.name))
	})
	return found
}

func TestGoOnWithAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, want := range []string{`"status": "committed"`, `"status": "unchanged"`} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"--once", "--dir", dir}, nil, &stdout, &stderr)
		if code != i || !strings.Contains(stdout.String(), want) {
			t.Errorf("code %d, want %d and %s\n%s\n%s", code, i, want, stdout.String(), stderr.String())
		}
	}
}

// TestFromAFolder seeds a folder with everything that git can hold, and looks
// that the folder itself stays as it was.
func TestFromAFolder(t *testing.T) {
	t.Parallel()
	from, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "deep", "er", "a.yaml"), "image: "+exampleImage+":1\r\n")
	write(t, filepath.Join(from, "run.sh"), "#!/bin/sh\n")
	write(t, filepath.Join(from, ".hidden", "b.yml"), "image: "+exampleImage+":1")
	write(t, filepath.Join(from, ".git", "config"), "[core]\n")
	if err := os.Chmod(filepath.Join(from, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("deep/er/a.yaml", filepath.Join(from, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--once", "--dir", dir, "--from", from}, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
	repo := filepath.Join(dir, repository+".git")
	tree := git(t, repo, "ls-tree", "-r", "--format=%(objectmode) %(path)", "main")
	if want := "100644 .hidden/b.yml\n100644 deep/er/a.yaml\n120000 link.yaml\n100755 run.sh\n"; tree != want {
		t.Errorf("tree:\n%s", tree)
	}
	if got := git(t, repo, "show", "main:deep/er/a.yaml"); got != "image: "+exampleImage+":"+exampleVersion+"\r\n" {
		t.Errorf("file: %q", got)
	}
	kept, err := os.ReadFile(filepath.Join(from, "deep", "er", "a.yaml"))
	if err != nil || string(kept) != "image: "+exampleImage+":1\r\n" {
		t.Errorf("the folder was written to: %q %v", kept, err)
	}
}

func TestWrongCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--from", "/nowhere/at/all"}, 1, "--from"},
		{[]string{"--from", os.Args[0]}, 1, "not a folder"},
		{[]string{"--from", t.TempDir()}, 1, "empty"},
		{[]string{"--once", "--github-only"}, 2, "exclude"},
		{[]string{"--once", "--oidc"}, 2, "exclude"},
		{[]string{"extra"}, 2, `"extra"`},
		{[]string{"--port", "1"}, 2, "--help"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tt.args, nil, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stderr.String(), tt.says) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%v: code %d: %s", tt.args, code, stderr.String())
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, nil, &stdout, &stderr); code != 0 || stdout.String() != usage {
		t.Errorf("--help: code %d: %s", code, stdout.String())
	}
}

// TestCallersOfAFile has the callers of a configuration file bring tokens, without a
// variable that says so.
func TestCallersOfAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, "callers: [{name: ci, tokens: [{value: a-secret-of-ci-jobs}]}]\n")
	text, stop := startProgram(t, nil, map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "CONFIG_FILE": file})
	defer stop()
	if !strings.Contains(text, "-H 'Authorization: Bearer TOKEN'") || strings.Contains(text, "Webhooks") {
		t.Errorf("it prints:\n%s", text)
	}
	url := find(t, text, `curl -sS (http://\S+/v1/updates)`)
	body := find(t, text, `-d '([^']+)'`)
	for token, want := range map[string]int{"": http.StatusUnauthorized, "a-secret-of-ci-jobs": http.StatusCreated} {
		if status := postTo(t, url, body, token); status != want {
			t.Errorf("with the token %q: status %d", token, status)
		}
	}
	var stderr strings.Builder
	if code := run(t.Context(), []string{"--once"}, map[string]string{"CONFIG_FILE": file}, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "without a token") {
		t.Errorf("--once: code %d: %s", code, stderr.String())
	}
}

// TestServe does what the program prints: it runs the curl line's request and
// the git command.
func TestServe(t *testing.T) {
	t.Parallel()
	for _, tokens := range []string{"", "ci=secret"} {
		text, stop := startProgram(t, nil, map[string]string{"LISTEN_ADDR": "127.0.0.1:0", "API_TOKENS": tokens})
		url := find(t, text, `curl -sS (http://\S+/v1/updates)`)
		body := find(t, text, `-d '([^']+)'`)
		dir := find(t, text, `git -C (\S+\.git) log -p`)
		if !filepath.IsAbs(dir) {
			t.Errorf("%s is not absolute", dir)
		}
		if tokens != "" {
			if status := postTo(t, url, body, ""); status != http.StatusUnauthorized {
				t.Errorf("without a token: status %d", status)
			}
		}
		if status := postTo(t, url, body, "secret"); status != http.StatusCreated {
			t.Errorf("status %d", status)
		}
		if got := git(t, dir, "log", "--format=%s", "-1", "main"); !strings.Contains(got, exampleVersion) {
			t.Errorf("log: %s", got)
		}
		docs, err := http.Get(find(t, text, `Swagger UI\s+(\S+)`))
		if err != nil || docs.StatusCode != http.StatusOK {
			t.Errorf("docs: %v %v", docs, err)
		}
		_ = docs.Body.Close()
		if code := stop(); code != 0 {
			t.Errorf("code %d", code)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s was left behind: %v", dir, err)
		}
	}
}

func TestGitHubOnly(t *testing.T) {
	t.Parallel()
	text, stop := startProgram(t, []string{"--github-only"}, map[string]string{"LISTEN_ADDR": "127.0.0.1:0"})
	url := find(t, text, `GITHUB_API_URL=(\S+)`)
	response, err := http.Get(url + "repos/" + repository + "/branches/" + branch)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var got struct{ Name string }
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil || got.Name != branch {
		t.Errorf("branch %+v, %v", got, err)
	}
	if code := stop(); code != 0 {
		t.Errorf("code %d", code)
	}
}

// startProgram runs the program until stop, and returns what it printed before
// it was ready.
func startProgram(t *testing.T, args []string, env map[string]string) (text string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, env, writer, io.Discard)
		_ = writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		text += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "Press Ctrl-C") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	return text, func() int { cancel(); return <-code }
}

func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	return m[1]
}

func postTo(t *testing.T, url, body, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
