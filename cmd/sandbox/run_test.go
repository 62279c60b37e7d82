package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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

func TestOnceWithNothingToChange(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	write(t, filepath.Join(from, "a.yaml"), "image: octo-org/other:1\n")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--once", "--dir", t.TempDir(), "--from", from}, nil, &stdout, &stderr)
	if code != 1 || !strings.Contains(stdout.String(), "image_not_referenced") || !strings.Contains(stderr.String(), "404") {
		t.Errorf("code %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
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
