package acceptance_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// runScript runs the script for CI jobs against a service, and returns its exit
// code and what it printed. The environment is empty but for PATH and settings.
func runScript(t *testing.T, settings ...string) (code int, out string) {
	t.Helper()
	for _, tool := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip("the script for CI jobs needs curl and jq, which are not installed; .ci/run has them")
		}
	}
	cmd := exec.Command("sh", "../../../.github/set-version.sh")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "IMAGE=" + node, "VERSION=05-06-42a252"}, settings...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for _, secret := range []string{callerToken, sandbox.IssuerRequestToken, "eyJ"} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("the script prints a token:\n%s", printed.String())
		}
	}
	return cmd.ProcessState.ExitCode(), printed.String()
}

// lastLine is the script's summary.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

func TestSetVersionScript(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a script that sends one request after the other")
	}
	p := prepare(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken), withData()).spawn()
	caller := []string{"VERSIONS_SERVICE_URL=" + p.url, "VERSIONS_SERVICE_TOKEN=" + callerToken}
	github := []string{
		"GITHUB_RUN_ID=17", "GITHUB_RUN_ATTEMPT=1", "GITHUB_JOB=deploy", "GITHUB_REPOSITORY=octo-org/web",
		"GITHUB_SHA=42a252d", "GITHUB_SERVER_URL=https://github.com",
	}
	gitlab := []string{"CI_JOB_ID=99", "CI_PROJECT_PATH=octo-org/web", "CI_COMMIT_SHA=42a252d", "CI_JOB_URL=https://gitlab.example.com/octo-org/web/-/jobs/99"}
	jenkins := []string{"BUILD_TAG=jenkins-web-7", "GIT_COMMIT=42a252d", "BUILD_URL=https://jenkins.example.com/job/web/7/"}
	tests := []struct {
		name string
		set  []string
		code int
		says string // in the last line
		from string // in the commit's message, when one was made
	}{
		{"GitHub Actions", github, 0, "committed http", "Source-URL: https://github.com/octo-org/web/actions/runs/17"},
		{"the same step once more", github, 0, "committed http", ""},
		{"GitLab CI", append(gitlab, "VERSION=2"), 0, "committed http", "Source-Repository: octo-org/web"},
		{"Jenkins", append(jenkins, "VERSION=3"), 0, "committed http", "Source-Revision: 42a252d"},
		{"by hand", []string{"VERSION=4"}, 0, "committed http", node},
		{"nothing to do", []string{"VERSION=4"}, 0, "unchanged", ""},
		{"image without a reference", []string{"IMAGE=octo-org/none"}, 3, "octo-org/none", ""},
		{"no image", []string{"IMAGE=octo-org/none:1"}, 2, "HTTP 422", ""},
		{"wrong token", []string{"VERSIONS_SERVICE_TOKEN=wrong"}, 2, "HTTP 401", ""},
		{"the same with a digest", []string{"VERSION=4", "DIGEST=sha256:" + strings.Repeat("1", 64)}, 0, "unchanged", ""},
		{"dry run", []string{"VERSION=5", "DRY_RUN=true"}, 0, "planned", ""},
		{"quote", []string{`VERSION="`}, 2, "HTTP 422", ""},
		{"a command", []string{"VERSION=1\n::set-output name=a::b"}, 2, "HTTP 422", ""},
		{"nothing set", []string{"VERSION="}, 2, "VERSION", ""},
	}
	for _, tt := range tests {
		before := p.head()
		code, out := runScript(t, append(append([]string{}, caller...), tt.set...)...)
		if code != tt.code || !strings.Contains(lastLine(out), tt.says) {
			t.Errorf("%s: exit code %d, want %d\n%s", tt.name, code, tt.code, out)
		}
		switch moved := p.head() != before; {
		case moved != (tt.from != ""):
			t.Errorf("%s: the branch moved: %t\n%s", tt.name, moved, out)
		case moved && !strings.Contains(p.log()[0].Message, tt.from):
			t.Errorf("%s: no %q in the commit's message:\n%s", tt.name, tt.from, p.log()[0].Message)
		}
	}
	p.hub.Inject(sandbox.MissingPermission("contents=write").On(http.MethodPost, "git/trees"))
	if code, out := runScript(t, append(append([]string{}, caller...), "VERSION=6")...); code != 4 || !strings.Contains(lastLine(out), "HTTP 502") {
		t.Errorf("without the permission: exit code %d, want 4\n%s", code, out)
	}
}

// TestSetVersionScriptOfJobs runs the script in jobs that have no secret, but a token of
// their own.
func TestSetVersionScriptOfJobs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a script that sends one request after the other")
	}
	j := newJobs(t)
	p := start(t, withRules(j))
	server := []string{"VERSIONS_SERVICE_URL=" + p.url}
	github := []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + j.url + "/token?v=2", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + sandbox.IssuerRequestToken, "GITHUB_ACTIONS=true"}
	elsewhere := "VERSIONS_SERVICE_ID_TOKEN=" + strings.TrimPrefix(j.token(t, nil), "Bearer ")
	summary, output := t.TempDir()+"/summary", t.TempDir()+"/output"
	tests := []struct {
		name string
		set  []string
		code int
		says string
	}{
		{"its own image", append(github, "VERSIONS_SERVICE_AUDIENCE="+audience, "GITHUB_STEP_SUMMARY="+summary, "GITHUB_OUTPUT="+output, "GITHUB_RUN_ID=1", "GITHUB_REPOSITORY=octo-org/other"), 0, "committed http"},
		{"for the server's origin", github, 2, "another audience"},
		{"another image", append(github, "VERSIONS_SERVICE_AUDIENCE="+audience, "IMAGE="+worker), 2, "own-image"},
		{"no permission", []string{github[0], "ACTIONS_ID_TOKEN_REQUEST_TOKEN=other"}, 2, "id-token: write"},
		{"of another issuer's CI", []string{elsewhere, "VERSION=2", "CI_JOB_ID=99", "CI_PROJECT_PATH=octo-org/other"}, 0, "committed http"},
	}
	for _, tt := range tests {
		code, out := runScript(t, append(append([]string{}, server...), tt.set...)...)
		if code != tt.code || !strings.Contains(lastLine(out), tt.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s", tt.name, code, tt.code, tt.says, out)
		}
		if refused := strings.Contains(out, "\n::error title=versions-service::"); refused != (code != 0 && slices.Contains(tt.set, "GITHUB_ACTIONS=true")) {
			t.Errorf("%s: an annotation: %t\n%s", tt.name, refused, out)
		}
	}
	if message := p.log()[0].Message; !strings.Contains(message, "Source-Repository: refty-yapi/refty-node") {
		t.Errorf("the token does not say where the version came from: %s", message)
	}
	for path, want := range map[string]string{summary: "05-06-42a252: committed", output: "status=committed\ncommit=" + p.log()[1].SHA + "\n"} {
		if content, err := os.ReadFile(path); err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%v, want %q in %q", err, want, content)
		}
	}
}

// TestSetVersionScriptIsBounded lets GitHub and the service be away: the script
// says what it waits for, ends in time, and leaves one update.
func TestSetVersionScriptIsBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a script that sends one request after the other")
	}
	p := prepare(t, withData()).spawn()
	tests := []struct {
		name  string
		stage func()
		set   []string
		code  int
		says  string
	}{
		{"limit of an hour", func() { p.hub.Inject(sandbox.PrimaryLimit(http.StatusForbidden, time.Hour)) }, nil, 5, "goes on with /v1/updates/"},
		{"refused credential", func() { p.hub.Reset(); p.hub.Inject(sandbox.BadCredentials()) }, []string{"VERSION=5"}, 5, "goes on with /v1/updates/"},
		{"nobody listens", func() {}, []string{"VERSIONS_SERVICE_URL=http://127.0.0.1:1"}, 4, "http://127.0.0.1:1 does not answer"},
	}
	for _, tt := range tests {
		tt.stage()
		start := time.Now()
		code, out := runScript(t, append([]string{"VERSIONS_SERVICE_URL=" + p.url, "VERSIONS_SERVICE_WAIT=2", "BUILD_TAG=web-7"}, tt.set...)...)
		if took := time.Since(start); code != tt.code || !strings.Contains(out, tt.says) || took > 30*time.Second {
			t.Errorf("%s: exit code %d after %s, want %d and %q\n%s", tt.name, code, took, tt.code, tt.says, out)
		}
	}
	if page := p.get("/v1/updates").page; len(page.Updates) != 2 {
		t.Errorf("%d updates were stored, want one for each version: %v", len(page.Updates), page.Updates)
	}
}
