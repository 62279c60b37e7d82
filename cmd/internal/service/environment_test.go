package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

func TestEnvironmentDefaults(t *testing.T) {
	t.Parallel()
	s, err := service.ReadEnvironment(env("GITHUB_REPOSITORY=o/r", "GITHUB_TOKEN=t", "AUTH=none"))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(s.Targets[0].Repository, s.Targets[0].Branch, s.StoreURL, s.APIURL, s.ListenAddr, s.UpdateTimeout, s.LogLevel, s.LogFormat, s.GroupCommits, s.CacheBytes, s.Author, s.Callers)
	want := fmt.Sprintln("o/r", "", "sqlite:data/versions-service.db", "https://api.github.com/", ":8080", time.Minute, "INFO", "auto", true, 128<<20, "<nil>", "<nil>")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWrongEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := []string{"GITHUB_REPOSITORY=o/r", "GITHUB_TOKEN=t", "AUTH=none"}
	tests := []struct {
		set  string // space-separated; a name alone unsets
		says string // how the line begins, and a part of it
	}{
		{"GITHUB_REPOSITORY", "GITHUB_REPOSITORY: set it"},
		{"GITHUB_REPOSITORY=infra", "GITHUB_REPOSITORY: \"infra\""},
		{"GITHUB_REPOSITORY=https://github.com/o/r", "GITHUB_REPOSITORY: "},
		{"GITHUB_BRANCH=refs/heads/main", "GITHUB_BRANCH: "},
		{"GITHUB_REPOSITORY GITHUB_BRANCH=main CONFIG_FILE=" + file("targets.yaml", "targets: [{repository: o/r}]\n"), "GITHUB_BRANCH: unset it"},
		{"CONFIG_FILE=" + file("targets.yaml", "targets: [{repository: o/r}]\n"), "CONFIG_FILE: "},
		{"CONFIG_FILE=" + file("others.yaml", "targets: [{repository: o/other}]\n"), "GITHUB_REPOSITORY: unset it"},
		{"GITHUB_REPOSITORY CONFIG_FILE=" + file("hooks.yaml", "webhooks: [{name: a, kind: ghcr, secrets: [{value: s}]}]\n"), "CONFIG_FILE: has no targets"},
		{"CONFIG_FILE=" + file("wrong.yaml", "queue: {retention: long}\n"), "CONFIG_FILE: "},
		{"CONFIG_FILE=" + dir + "/none.yaml", "CONFIG_FILE: "},
		{"WEBHOOK_GHCR_SECRET=s CONFIG_FILE=" + file("hook.yaml", "webhooks: [{name: ghcr, kind: ghcr, secrets: [{value: s}]}]\n"), "WEBHOOK_GHCR_SECRET: unset it"},
		{"GITHUB_REPOSITORY WEBHOOK_GHCR_SECRET=s CONFIG_FILE=" + file("targets.yaml", "targets: [{repository: o/r}]\n"), "WEBHOOK_GHCR_SECRET: unset it"},
		{"DATABASE_URL=mysql://octo:nokey@example.com/", "DATABASE_URL: "},
		{"GITHUB_TOKEN", "GITHUB_TOKEN: set it"},
		{"GITHUB_APP_ID=12", "GITHUB_TOKEN: unset it or GITHUB_APP_ID"},
		{"GITHUB_TOKEN GITHUB_APP_ID=12", "GITHUB_APP_PRIVATE_KEY: set it"},
		{"GITHUB_TOKEN GITHUB_APP_ID=x", "GITHUB_APP_ID: "},
		{"GITHUB_APP_PRIVATE_KEY=nokey", "GITHUB_APP_PRIVATE_KEY: "},
		{"GITHUB_APP_INSTALLATION_ID=-1", "GITHUB_APP_INSTALLATION_ID: "},
		{"GITHUB_API_URL=api.github.com", "GITHUB_API_URL: "},
		{"GITHUB_API_URL=ftp://example.com", "GITHUB_API_URL: "},
		{"GITHUB_API_URL=https://octo:nokey@example.com/", "GITHUB_API_URL: "},
		{"AUTH", "API_TOKENS: set it"},
		{"AUTH=basic", "AUTH: "},
		{"API_TOKENS=ci=secret", "AUTH: none contradicts"},
		{"AUTH API_TOKENS=secret", "API_TOKENS: "},
		{"LISTEN_ADDR=8080", "LISTEN_ADDR: "},
		{"UPDATE_TIMEOUT=60", "UPDATE_TIMEOUT: "},
		{"UPDATE_TIMEOUT=0s", "UPDATE_TIMEOUT: "},
		{"GROUP_COMMITS=yes", "GROUP_COMMITS: "},
		{"COMMIT_AUTHOR=bot", "COMMIT_AUTHOR: "},
		{"COMMIT_SIGNING_KEY=nokey", "COMMIT_SIGNING_KEY: "},
		{"CACHE_BYTES=much", "CACHE_BYTES: "},
		{"LOG_LEVEL=loud", "LOG_LEVEL: "},
		{"LOG_FORMAT=xml", "LOG_FORMAT: "},
		{"GITHUB_TOKEN_FILE=" + file("token", "t"), "GITHUB_TOKEN: unset it or GITHUB_TOKEN_FILE"},
		{"GITHUB_TOKEN GITHUB_TOKEN_FILE=" + filepath.Join(dir, "none"), "GITHUB_TOKEN_FILE: "},
		{"GITHUB_TOKEN GITHUB_TOKEN_FILE=" + file("empty", " \n"), "GITHUB_TOKEN_FILE: "},
	}
	for _, tt := range tests {
		t.Run(tt.set, func(t *testing.T) {
			t.Parallel()
			_, err := service.ReadEnvironment(env(append(good, strings.Fields(tt.set)...)...))
			if err == nil || !strings.HasPrefix(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %s…", err, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "nokey") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("ci=one,cd=two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := service.ReadEnvironment(env("GITHUB_REPOSITORY=o/r", "GITHUB_TOKEN=t", "API_TOKENS_FILE="+path))
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := s.Callers.Authenticate("two"); !ok || name != "cd" {
		t.Errorf("%q %v", name, ok)
	}
}

// env makes an environment; a later setting replaces an earlier one.
func env(settings ...string) func(string) string {
	values := map[string]string{}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}
