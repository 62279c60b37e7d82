package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		stage option
		state api.GitHubReadinessState
	}{
		{"ready", func(*world) {}, api.GitHubReadinessStateOk},
		{"wrong token", withEnv("GITHUB_TOKEN", "wrong"), api.GitHubReadinessStateRefused},
		{"not shown", withEnv("GITHUB_REPOSITORY", "refty-yapi/gone"), api.GitHubReadinessStateRefused},
		{"missing permission", func(w *world) {
			w.hub.Inject(sandbox.MissingPermission("metadata=read"))
		}, api.GitHubReadinessStateRefused},
		{"GitHub fails", func(w *world) { w.hub.Inject(sandbox.BadGateway()) }, api.GitHubReadinessStateUnreachable},
		{"nobody answers", withEnv("GITHUB_API_URL", "http://127.0.0.1:1/"), api.GitHubReadinessStateUnreachable},
		{"limited", func(w *world) {
			w.hub.Inject(sandbox.PrimaryLimit(http.StatusForbidden, time.Hour))
		}, api.GitHubReadinessStateLimited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, tt.stage)
			for range 3 {
				r := w.get("/readyz")
				var got api.Readiness
				if err := json.Unmarshal([]byte(r.body), &got); err != nil {
					t.Fatal(err)
				}
				if r.status != http.StatusOK || got.Status != api.ReadinessStatusReady || len(got.Github) != 1 || got.Github[0].State != tt.state {
					t.Errorf("status %d: %s", r.status, r.body)
				}
				if tt.state != api.GitHubReadinessStateOk && got.Github[0].Detail == nil {
					t.Errorf("no detail: %s", r.body)
				}
				if tt.state == api.GitHubReadinessStateOk && got.Github[0].RateLimit == nil {
					t.Errorf("no budget: %s", r.body)
				}
			}
			if tt.state == api.GitHubReadinessStateOk && len(w.hub.Requests()) != 1 {
				t.Errorf("GitHub was asked %d times", len(w.hub.Requests()))
			}
		})
	}
}

// TestRefusalIsToldAndCleared starts with a credential and a branch that GitHub
// does not know: the log, the metrics and /readyz tell of it from the start, the
// service stays in reach, and the first success clears it.
func TestRefusalIsToldAndCleared(t *testing.T) {
	t.Parallel()
	const late = "token-that-GitHub-knows-late"
	p := prepare(t, withData(), withEnv("GITHUB_TOKEN", late), withEnv("GITHUB_BRANCH", "release")).spawn()
	tells := func(credential, branch string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
			ready, metrics := p.get("/readyz"), p.get("/metrics").body
			wantMetrics := map[string]string{
				"ok":        `versions_service_github_credential_ok{repository="` + repoName + `"} 1`,
				"refused":   `versions_service_github_credential_ok{repository="` + repoName + `"} 0`,
				"not_found": `versions_service_github_branch_ok{branch="release",repository="` + repoName + `"} 0`,
				"unknown":   "versions_service_store_ok 1",
			}
			var got api.Readiness
			if err := json.Unmarshal([]byte(ready.body), &got); err != nil {
				t.Fatal(err)
			}
			if ready.status == http.StatusOK && string(got.Github[0].State) == credential && string(got.Github[0].Branches[0].State) == branch &&
				strings.Contains(metrics, wantMetrics[credential]) && strings.Contains(metrics, wantMetrics[branch]) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s %s is never told: %d %s\n%s", credential, branch, ready.status, ready.body, metrics)
			}
		}
	}
	tells("refused", "unknown")
	if warned := strings.Count(p.logs.String(), `"GitHub refuses the credential"`); warned != 1 {
		t.Errorf("the refusal is told %d times", warned)
	}
	p.hub.AddToken(late, sandbox.Token{Name: "service", Login: "octocat"})
	wantProblem(t, p.post(mission), http.StatusNotFound, api.ProblemCodeBranchNotFound)
	tells("ok", "not_found")
	for _, line := range []string{`"level":"WARN","msg":"the branch does not take commits"`, `"msg":"GitHub accepts the credential"`} {
		if strings.Count(p.logs.String(), line) != 1 {
			t.Errorf("the log does not tell %s once:\n%s", line, p.logs)
		}
	}
	if asked := p.hub.Counts(); asked["GET /repos/{owner}/{repo}"] > 3 {
		t.Errorf("GitHub was asked again and again: %v", asked)
	}
}

func TestTargetsAreToldAtTheStart(t *testing.T) {
	t.Parallel()
	byVariables := prepare(t, withData()).spawn()
	byBranch := prepare(t, withData(), withEnv("GITHUB_BRANCH", "main")).spawn()
	byFile := start(t, withConfig("targets:\n  - {name: production, repository: "+repoName+", branch: main}\n"))
	for want, logs := range map[string]*logBook{
		`"repository_by":"GITHUB_REPOSITORY","branch_by":"the repository's default branch"`:                                             byVariables.logs,
		`"msg":"default branch","repository":"` + repoName + `","branch":"main"`:                                                        byVariables.logs,
		`"repository_by":"GITHUB_REPOSITORY","branch":"main","branch_by":"GITHUB_BRANCH"`:                                               byBranch.logs,
		`"target":"production","repository":"` + repoName + `","repository_by":"CONFIG_FILE","branch":"main","branch_by":"CONFIG_FILE"`: byFile.logs,
	} {
		for deadline := time.Now().Add(patience); !strings.Contains(logs.String(), want); <-time.After(betweenLooks) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s in the log:\n%s", want, logs)
			}
		}
	}
}

func TestHealthNeedsNoGitHub(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("GITHUB_API_URL", "http://127.0.0.1:1/"))
	if r := w.get("/healthz"); r.status != http.StatusOK || r.body != `{"status":"ok"}`+"\n" {
		t.Errorf("status %d: %q", r.status, r.body)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.post(mission)
	w.post(mission)
	w.post(`{"image": "octo-org/none", "version": "1"}`)
	w.get("/no/such/path")
	text := w.get("/metrics").body
	for _, want := range []string{
		`versions_service_updates_total{outcome="committed"} 1`,
		`versions_service_updates_total{outcome="unchanged"} 1`,
		`versions_service_updates_total{outcome="image_not_referenced"} 1`,
		`versions_service_update_duration_seconds_count{outcome="committed"} 1`,
		`versions_service_http_requests_total{method="POST",route="/v1/updates",status="201"} 1`,
		`versions_service_http_requests_total{method="other",route="other",status="404"} 1`,
		`versions_service_github_requests_total{endpoint="/repos/{owner}/{repo}/git/refs/{ref}",method="PATCH",status="200"} 1`,
		`versions_service_github_rate_limit 5000`,
		`versions_service_github_rate_limit_remaining 49`,
		`versions_service_build_info{`,
		`go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, node) || strings.Contains(text, "octo-org") {
		t.Error("an image is a label")
	}
}

func TestOneLogLineForEachRequest(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken))
	r := w.post(mission, "Authorization", "Bearer "+callerToken, "X-Request-Id", "run-17")
	w.post(mission, "Authorization", "Bearer wrong-secret-of-somebody")
	w.post(`{`, "Authorization", "Bearer "+callerToken, "X-Request-Id", "bad id\twith spaces")
	w.get("/docs?token=secret-in-the-query")

	lines := w.logs.requests(t, "/v1/updates")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	want := map[string]any{
		"request_id": "run-17", "caller": "ci", "image": node, "version": "05-06-42a252", "outcome": "committed",
		"commit": w.head(), "files": 2.0, "status": 201.0, "method": "POST",
		"github_requests": float64(len(w.hub.Requests())), "update": r.update.Id,
	}
	for key, value := range want {
		if lines[0][key] != value {
			t.Errorf("%s is %v, want %v", key, lines[0][key], value)
		}
	}
	if took, _ := lines[0]["duration_ms"].(float64); took <= 0 || took > time.Minute.Seconds()*1000 {
		t.Errorf("duration_ms: %v", lines[0]["duration_ms"])
	}
	if r.header.Get("X-Request-Id") != "run-17" {
		t.Errorf("X-Request-Id: %s", r.header.Get("X-Request-Id"))
	}
	if lines[1]["outcome"] != "unauthenticated" || lines[2]["outcome"] != "invalid_request" {
		t.Errorf("outcomes: %v, %v", lines[1]["outcome"], lines[2]["outcome"])
	}
	if id, _ := lines[2]["request_id"].(string); len(id) != 36 {
		t.Errorf("request_id: %v", id)
	}
	if calls := strings.Count(w.logs.String(), `"msg":"github"`); calls != len(w.hub.Requests()) {
		t.Errorf("%d lines of GitHub calls, %d requests", calls, len(w.hub.Requests()))
	}
	for _, secret := range []string{githubToken, callerToken, "wrong-secret", "secret-in-the-query"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
}

// TestLogHoldsNothingThatATerminalObeys sends control, bidirectional and invisible
// characters wherever a request's text reaches the log.
func TestLogHoldsNothingThatATerminalObeys(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "tint"} {
		w := start(t, withEnv("LOG_FORMAT", format))
		const evil = "%1b]0;owned%07%1b[31m%c2%9b31m%0a%e2%80%ae%e2%80%8b"
		w.get("/no/such/" + evil)
		w.get("/v1/updates?image=" + evil)
		w.get("/v1/updates?cursor=" + evil)
		w.get("/v1/updates/" + evil)
		w.post(`{"image": "a\u001b[31mb", "version": "\u009b1", "\u202eunknown\u001b[31m": 1}`)
		w.post(mission, "X-Request-Id", "\u009b31m")
		w.post(mission, "Idempotency-Key", "\u009b31m")
		log := w.logs.String()
		for _, bad := range []string{"\x1b]", "\x1b[31m", "\x07", "\u009b", "\u202e", "\u200b"} {
			if strings.Contains(log, bad) {
				t.Errorf("%s: %q in the log:\n%q", format, bad, log)
			}
		}
		for line := range strings.Lines(log) {
			if format == "json" && !json.Valid([]byte(line)) || format == "tint" && !strings.Contains(line, ":") {
				t.Errorf("%s: a line is %q", format, line)
			}
		}
		if !strings.Contains(log, "no/such") {
			t.Errorf("%s: the path is not in the log:\n%s", format, log)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := start(t)
	if r := w.get("/openapi.yaml"); r.status != http.StatusOK || !bytes.Equal([]byte(r.body), openapi.YAML) {
		t.Errorf("GET /openapi.yaml: %d", r.status)
	}
	page := w.get("/docs")
	if policy := page.header.Get("Content-Security-Policy"); page.status != http.StatusOK || !strings.Contains(policy, "script-src 'self' 'sha256-") {
		t.Errorf("GET /docs: %d, policy %q", page.status, policy)
	}
	for _, file := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png"} {
		if !strings.Contains(page.body, `"/docs/`+file) {
			t.Errorf("the page does not load /docs/%s", file)
		}
		if r := w.get("/docs/" + file); r.status != http.StatusOK || r.body == "" {
			t.Errorf("GET /docs/%s: %d", file, r.status)
		}
	}
	if r := w.get("/docs/"); r.status != http.StatusMovedPermanently || r.header.Get("Location") != "/docs" {
		t.Errorf("GET /docs/: %d, Location %q", r.status, r.header.Get("Location"))
	}
	wantProblem(t, w.get("/docs/none.js"), http.StatusNotFound, api.ProblemCodeNotFound)
}

// TestPage follows the page for people to each of its files. A browser uses it in .ci/page.mjs.
func TestPage(t *testing.T) {
	t.Parallel()
	w := start(t)
	named := regexp.MustCompile(`(?:href|src)="(/[^"]*)"|from '\./([^']+)'`)
	waiting, seen := []string{"/"}, map[string]bool{"/docs": true}
	for len(waiting) > 0 {
		file := waiting[0]
		waiting = waiting[1:]
		if seen[file] {
			continue
		}
		seen[file] = true
		r := w.get(file)
		policy := r.header.Get("Content-Security-Policy")
		if r.status != http.StatusOK || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("GET %s: %d, policy %q", file, r.status, policy)
		}
		if again := w.get(file, "If-None-Match", r.header.Get("ETag")); again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("GET %s again: %d", file, again.status)
		}
		for _, m := range named.FindAllStringSubmatch(r.body, -1) {
			if m[2] != "" {
				m[1] = "/page/" + m[2]
			}
			waiting = append(waiting, m[1])
		}
	}
	if len(seen) < 10 || !seen["/page/main.js"] || !seen["/page/diff.js"] {
		t.Errorf("the page has the files %v", slices.Sorted(maps.Keys(seen)))
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	w := start(t)
	build := service.Build{Version: "1.2.3", Commit: "42a252d", Date: "2026-11-22"}
	tests := []struct {
		name   string
		args   []string
		env    map[string]string
		code   int
		stdout string
		stderr string
	}{
		{"version", []string{"--version"}, nil, 0, "versions-service 1.2.3, commit 42a252d, built 2026-11-22\n", ""},
		{"help", []string{"--help"}, nil, 0, "UPDATE_TIMEOUT", ""},
		{"schema", []string{"config-schema"}, nil, 0, "\"$schema\"", ""},
		{"unknown flag", []string{"--port"}, nil, 2, "", "--help"},
		{"unknown command", []string{"start"}, nil, 2, "", `"start"`},
		{"alive", []string{"healthcheck"}, map[string]string{"LISTEN_ADDR": strings.TrimPrefix(w.url, "http://")}, 0, "", ""},
		{"not alive", []string{"healthcheck"}, map[string]string{"LISTEN_ADDR": "127.0.0.1:1"}, 1, "", "healthcheck"},
		{"no environment", nil, nil, 2, "", "GITHUB_REPOSITORY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := build.Main(context.Background(), tt.args, tt.env, &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("code %d\nstdout: %s\nstderr: %s", code, stdout.String(), stderr.String())
			}
			if tt.code != 0 && strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("stderr has more than one line: %s", stderr.String())
			}
		})
	}
}
