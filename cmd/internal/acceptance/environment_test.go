package acceptance_test

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
	got := fmt.Sprintln(s.Targets[0].Repository, s.Targets[0].Branch, s.StoreURL, s.APIURL, s.ListenAddr, s.UpdateTimeout, s.LogLevel, s.LogFormat, s.GroupCommits, s.CacheBytes, s.Author, s.Secrets)
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
		{"WEBHOOK_GHCR_SECRET=s CONFIG_FILE=" + file("beside.yaml", "webhooks: [{name: ghcr, kind: ghcr, secrets: [{value: s}]}]\n"), "WEBHOOK_GHCR_SECRET: unset it"},
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
		{"GITHUB_API_URL=https://github.com", "GITHUB_API_URL: github.com is where people read; set it to https://api.github.com/"},
		{"GITHUB_API_URL=https://www.github.com/api/v3/", "GITHUB_API_URL: www.github.com is where people read; set it to https://api.github.com/"},
		{"GITHUB_API_URL=https://Octo.ghe.com/", "GITHUB_API_URL: octo.ghe.com is where people read; set it to https://api.octo.ghe.com/"},
		{"GITHUB_API_URL=https://api.octo.ghe.com/api/v3/", "GITHUB_API_URL: set it to https://api.octo.ghe.com/"},
		{"GITHUB_API_URL=http://api.github.com", "GITHUB_API_URL: set it to https://api.github.com/"},
		{"GITHUB_API_URL=http://github.example.com/api/v3/", "GITHUB_API_URL: http:// sends the credential in clear text"},
		{"GITHUB_API_INSECURE=yes", "GITHUB_API_INSECURE: "},
		{"WEBHOOK_GCHR_SECRET=nokey", "WEBHOOK_GCHR_SECRET: there is no webhook of the kind gchr"},
		{"WEBHOOK_ZOT_SECRET_FILE=nokey", "WEBHOOK_ZOT_SECRET_FILE: a webhook of the kind zot needs more than a secret; name the source in CONFIG_FILE"},
		{"AUTH API_TOKENS=ci=nokey,cd=nokey", "API_TOKENS: want name=secret pairs, separated by commas: ci and cd have the same secret"},
		{"AUTH API_TOKENS=ci=replace-me", "API_TOKENS: it still holds replace-me"},
		{"AUTH API_TOKENS=ci=t", "API_TOKENS: a caller's secret is GITHUB_TOKEN itself"},
		{"GITHUB_TOKEN=replace-me", "GITHUB_TOKEN: it still holds replace-me"},
		{"GITHUB_TOKEN GITHUB_TOKEN_FILE=" + file("example", "replace-me\n"), "GITHUB_TOKEN: it still holds replace-me"},
		{"DATABASE_URL=postgres://versions:replace-me@postgres.example.com/versions", "DATABASE_URL: it still holds replace-me"},
		{"WEBHOOK_GHCR_SECRET=replace-me", "WEBHOOK_GHCR_SECRET: it still holds replace-me"},
		{"CONFIG_FILE=" + file("example.yaml", "webhooks: [{name: a, kind: ghcr, secrets: [{value: replace-me}]}]\n"), "CONFIG_FILE: the secret of webhook a is still replace-me"},
		{"AUTH API_TOKENS=ci=nokey X=nokey CONFIG_FILE=" + file("one.yaml", "callers: [{name: cd, tokens: [{env: X}]}]\n"), "CONFIG_FILE: the callers ci and cd have the same secret"},
		{"AUTH X=nokey CONFIG_FILE=" + file("two.yaml", "callers: [{name: ci, tokens: [{env: X}]}, {name: cd, tokens: [{env: X}]}]\n"), "CONFIG_FILE: the callers ci and cd have the same secret"},
		{"AUTH X=t CONFIG_FILE=" + file("token.yaml", "callers: [{name: cd, tokens: [{env: X}]}]\n"), "CONFIG_FILE: the secret of the caller cd is GITHUB_TOKEN itself"},
		{"AUTH X=replace-me CONFIG_FILE=" + file("still.yaml", "callers: [{name: cd, tokens: [{env: X}]}]\n"), "CONFIG_FILE: the secret of the caller cd is still replace-me"},
		{"AUTH X=nokey WEBHOOK_QUAY_SECRET=nokey CONFIG_FILE=" + file("hook.yaml", "callers: [{name: cd, tokens: [{env: X}]}]\n"), "WEBHOOK_QUAY_SECRET: the secret of webhook quay is that of the caller cd as well"},
		{"AUTH API_TOKENS=ci=nokey WEBHOOK_QUAY_SECRET=nokey", "WEBHOOK_QUAY_SECRET: the secret of webhook quay is that of the caller ci as well"},
		{"AUTH", "API_TOKENS: set it"},
		{"AUTH=basic", "AUTH: "},
		{"API_TOKENS=ci=secret", "AUTH: none contradicts"},
		{"AUTH API_TOKENS=secret", "API_TOKENS: "},
		{"LISTEN_ADDR=8080", "LISTEN_ADDR: "},
		{"METRICS_ADDR=9090", "METRICS_ADDR: "},
		{"TRUSTED_PROXIES=10.0.0.0/8,proxy", "TRUSTED_PROXIES: \"proxy\" is neither an address nor a network"},
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
		{"GITHUB_TOKEN GITHUB_TOKEN_FILE=-" + filepath.Join(dir, "none"), "GITHUB_TOKEN: set it"},
		{"GITHUB_TOKEN GITHUB_TOKEN_FILE=-" + dir, "GITHUB_TOKEN_FILE: "},
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

// TestSuspiciousEnvironment looks for what the start warns of and goes on with.
func TestSuspiciousEnvironment(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("webhooks: [{name: a, kind: ghcr, secrets: [{env: GITHUB_TOKEN_A}, {env: WEBHOOK_A_SECRET}]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const long, other = "0123456789abcdef", "fedcba9876543210"
	tests := []struct {
		set  string // space-separated
		want string // what is said, by variable; "" for nothing
	}{
		{"AUTH=none", ""},
		{"AUTH=none GITHUB_API_URL=https://api.github.com", ""},
		{"AUTH=none GITHUB_API_URL=https://api.octo.ghe.com", ""},
		{"AUTH=none GITHUB_API_URL=https://github.example.com/api/v3", ""},
		{"AUTH=none GITHUB_API_URL=http://127.0.0.1:8080/", ""},
		{"AUTH=none GITHUB_API_URL=http://[::1]:8080/", ""},
		{"AUTH=none GITHUB_API_URL=http://localhost:8080/", ""},
		{"AUTH=none GITHUB_API_INSECURE=true GITHUB_API_URL=http://sandbox:8080/", ""},
		{"AUTH=none GITHUB_API_URL=https://github.example.com/", "GITHUB_API_URL: an Enterprise Server has its API at https://github.example.com/api/v3/"},
		{"AUTH=none UPDATE_TIMOUT=9s", "UPDATE_TIMOUT: is not read; did you mean UPDATE_TIMEOUT?"},
		{"AUTH=none GITHUB_TOKNE=x", "GITHUB_TOKNE: is not read; did you mean GITHUB_TOKEN?"},
		{"AUTH=none API_TOKEN_FILE=x", "API_TOKEN_FILE: is not read; did you mean API_TOKENS_FILE?"},
		{"AUTH=none log_level=debug", "log_level: is not read; did you mean LOG_LEVEL?"},
		{"AUTH=none AUTHS=none", "AUTHS: is not read; did you mean AUTH?"},
		{"AUTH=none UPDATE_TIMOUT=", ""},
		{"AUTH=none PATH=/bin HOME=/ GITHUB_REPOSITORY_ID=1 GITHUB_REF=main GITHUB_ACTION=1 GITHUB_ACTOR_ID=1", ""},
		{"AUTH=none VERSIONS_SERVICE_PORT_80_TCP_ADDR=10.0.0.1 VERSIONS_SERVICE_SERVICE_PORT_HTTP=80 GITHUB_TOKEN_PORT=tcp://10.0.0.2:80 LISTEN_ADDR_PORT=tcp://10.0.0.2:80", ""},
		{"AUTH=none CONFIG_FILE=" + config + " GITHUB_TOKEN_A=" + long + " WEBHOOK_A_SECRET=" + other, ""},
		{"API_TOKENS=ci=" + long, ""},
		{"API_TOKENS=ci=" + long + ",cd=short,cd=brief", "API_TOKENS: the secret of cd has less than 16 characters; the next major version refuses it"},
		{"AUTH=none WEBHOOK_QUAY_SECRET=short", "WEBHOOK_QUAY_SECRET: the secret of webhook quay has less than 16 characters; the next major version refuses it"},
		{"AUTH=none WEBHOOK_QUAY_SECRET=" + long + " WEBHOOK_GHCR_SECRET=" + long, "WEBHOOK_QUAY_SECRET: the webhooks ghcr and quay share a secret; who has one can send as the other"},
	}
	for _, tt := range tests {
		t.Run(tt.set, func(t *testing.T) {
			t.Parallel()
			s, err := service.ReadEnvironment(env(append([]string{"GITHUB_REPOSITORY=o/r", "GITHUB_TOKEN=t"}, strings.Fields(tt.set)...)...))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range s.Warnings {
				got = append(got, w.Variable+": "+w.Detail)
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("warned of %q, want %q", got, tt.want)
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
	if name, ok := s.Secrets.Holder("two"); !ok || name != "cd" {
		t.Errorf("%q %v", name, ok)
	}
}

// env makes an environment; a later setting replaces an earlier one.
func env(settings ...string) service.Environment {
	return service.ParseEnvironment(settings)
}
