package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/cli"
)

const (
	committed = `{"id": "1", "status": "committed", "image": "web", "version": "1.1", "targets": []}`
	queued    = `{"id": "1", "status": "queued", "image": "web", "version": "1.1", "targets": [], "last_error": "GitHub is away"}`
)

// answer is one of a server's.
type answer struct {
	status int
	body   string
	header map[string]string
	drop   bool // the connection ends without an answer
}

// server answers one request after the other, the last answer for ever.
type server struct {
	*httptest.Server
	requests []*http.Request
	bodies   []string
}

func newServer(t *testing.T, answers ...answer) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := answers[min(len(s.requests), len(answers)-1)]
		body, _ := io.ReadAll(r.Body)
		s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
		if a.drop {
			panic(http.ErrAbortHandler)
		}
		for name, value := range a.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.body))
	}))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

// stepping is a clock that only goes on while it is slept by. It is for one goroutine.
type stepping struct{ passed time.Duration }

func (c *stepping) Now() time.Time {
	return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC).Add(c.passed)
}

func (c *stepping) Sleep(ctx context.Context, d time.Duration) bool {
	c.passed += max(d, 0)
	return ctx.Err() == nil
}

// run runs a command line; settings are variables beside the server's.
func run(url string, settings map[string]string, args ...string) (code int, stdout, stderr string) {
	return runBy(&stepping{}, url, settings, args...)
}

func runBy(clock cli.Clock, url string, settings map[string]string, args ...string) (code int, stdout, stderr string) {
	env := map[string]string{"VERSIONS_SERVICE_URL": url, "VERSIONS_SERVICE_TOKEN": callerToken}
	for name, value := range settings {
		env[name] = value
	}
	var out, errs bytes.Buffer
	code = cli.Program{Version: "test", Env: env, Stdout: &out, Stderr: &errs, Clock: clock}.Run(context.Background(), args)
	return code, out.String(), errs.String()
}

func problem(status int, code string) answer {
	return answer{status: status, body: fmt.Sprintf(`{"status": %d, "code": %q, "detail": "a detail"}`, status, code)}
}

// A try begins within ten seconds of the first one, whatever the service asks for.
func TestTryWindow(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[string]int{"4": 3, "6": 2, "11": 1} {
		s := newServer(t, answer{status: 503, body: `{"code": "unavailable"}`, header: map[string]string{"Retry-After": seconds}})
		clock := &stepping{}
		if code, _, _ := runBy(clock, s.URL, nil, "plan", "web", "1.1"); code != 4 || len(s.requests) != want || clock.passed > 10*time.Second {
			t.Errorf("Retry-After %s: exit code %d after %d requests in %s, want %d", seconds, code, len(s.requests), clock.passed, want)
		}
	}
}

func TestTriesAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		answers []answer
		args    []string
		code    int
		sent    int
		says    string
	}{
		{"back at the third try", []answer{problem(502, "upstream_error"), problem(503, "unavailable"), {status: 201, body: committed}}, nil, 0, 3, "committed"},
		{"lost answers", []answer{{drop: true}, {drop: true}, {status: 200, body: committed}}, nil, 0, 3, "committed"},
		{"away", []answer{problem(504, "timeout")}, nil, 4, 3, "HTTP 504, timeout"},
		{"limited for long", []answer{{status: 503, body: `{"code": "upstream_rate_limited", "detail": "in an hour"}`, header: map[string]string{"Retry-After": "3600"}}}, nil, 4, 1, "in an hour"},
		{"too many at once", []answer{{status: 429, body: `{"code": "rate_limited"}`, header: map[string]string{"Retry-After": "60"}}}, nil, 4, 1, "rate_limited"},
		{"a fault of the service", []answer{problem(500, "internal")}, nil, 4, 1, "internal"},
		{"refused", []answer{problem(409, "branch_protected")}, nil, 2, 1, "branch_protected"},
		{"not of the service", []answer{{status: 200, body: "<html>"}}, nil, 1, 1, "no update"},
		{"a proxy's page", []answer{{status: 404, body: "<html>"}}, nil, 2, 1, "none of versions-service"},
		{"a retry that was accepted", []answer{problem(502, "upstream_error"), problem(409, "not_failed"), {status: 200, body: committed}}, []string{"retry", "1"}, 0, 3, "committed"},
		{"a retry of what has not failed", []answer{problem(409, "not_failed")}, []string{"retry", "1"}, 2, 1, "not_failed"},
		{"a hold whose answer was lost", []answer{{drop: true}, {status: 201, body: `{"id": "1", "image": "web"}`}}, []string{"hold", "web"}, 0, 2, "web"},
		{"a release that was done", []answer{problem(502, "upstream_error"), problem(404, "not_found")}, []string{"release", "1"}, 0, 2, "released"},
		{"a release of nothing", []answer{problem(404, "not_found")}, []string{"release", "1"}, 2, 1, "not_found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tt.answers...)
			args := tt.args
			if args == nil {
				args = []string{"bump", "web", "1.1"}
			}
			clock := &stepping{}
			code, stdout, stderr := runBy(clock, s.URL, nil, args...)
			if code != tt.code || len(s.requests) != tt.sent || !strings.Contains(stdout+stderr, tt.says) {
				t.Errorf("exit code %d after %d requests, want %d after %d and %q:\n%s%s", code, len(s.requests), tt.code, tt.sent, tt.says, stdout, stderr)
			}
			if clock.passed > 2500*time.Millisecond || (clock.passed > 0) != (tt.sent > 1) {
				t.Errorf("it waited %s", clock.passed)
			}
			for _, r := range s.requests {
				if key := r.Header.Get("Idempotency-Key"); key != s.requests[0].Header.Get("Idempotency-Key") || key == "" && (args[0] == "bump" || args[0] == "hold") {
					t.Errorf("the key %q of a try is another one", key)
				}
			}
		})
	}
}

// A token goes to the origin that it is for, and to no other one.
func TestRedirects(t *testing.T) {
	t.Parallel()
	elsewhere := newServer(t, answer{status: 200, body: committed})
	to := func(status int, location string) answer {
		return answer{status: status, header: map[string]string{"Location": location}}
	}
	tests := []struct {
		name    string
		answers []answer
		args    []string
		code    int
		says    string
	}{
		{"to another origin", []answer{to(307, elsewhere.URL)}, []string{"bump", "web", "1.1"}, 2, "where the token is not sent"},
		{"to another origin, of a question", []answer{to(302, elsewhere.URL)}, []string{"status", "1"}, 2, "where the token is not sent"},
		{"within the origin", []answer{to(307, "/v1/other"), {status: 200, body: committed}}, []string{"bump", "web", "1.1"}, 0, "committed"},
		{"to another method", []answer{to(302, "/v1/other"), {status: 200, body: committed}}, []string{"bump", "web", "1.1"}, 2, "redirects a POST"},
		{"in a circle", []answer{to(307, "/v1/updates")}, []string{"status", "1"}, 2, "redirects too often"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.answers...)
			code, stdout, stderr := run(s.URL, nil, tt.args...)
			if code != tt.code || !strings.Contains(stdout+stderr, tt.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", code, tt.code, tt.says, stdout, stderr)
			}
		})
	}
	if n := len(elsewhere.requests); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	s := newServer(t, answer{status: 202, body: queued}, problem(503, "unavailable"), answer{status: 200, body: queued}, answer{status: 200, body: committed})
	code, stdout, stderr := run(s.URL, nil, "bump", "web", "1.1", "--wait", "1m")
	if want := "web 1.1: committed\n"; code != 0 || stdout != want {
		t.Errorf("exit code %d, printed %q", code, stdout)
	}
	if want := "versions-service: waiting, 1m0s at most: the update 1 is stored: GitHub is away\n"; stderr != want {
		t.Errorf("%q, want %q", stderr, want)
	}
	if got := s.requests[0].Header.Get("Prefer"); got != "wait=20" {
		t.Errorf("Prefer: %s", got)
	}
}

// TestBodies compares what commands send with the contract's fields.
func TestBodies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args       []string
		path, body string
		says       string
	}{
		{[]string{"promote", "staging", "production", "--image", "ghcr.io/octo-org/*", "--dry-run"}, "/v1/promotions", `{"from":"staging","to":"production","images":["ghcr.io/octo-org/*"],"dry_run":true}`, "web 1.1, api 2: planned\n  left out ghcr.io/octo-org/twice: ambiguous_version\n"},
		{[]string{"bump", "web:1.1@sha256:1", "--override", "outage", "--branch", "main", "--message", "m"}, "/v1/updates", `{"image":"web","version":"1.1","digest":"sha256:1","branch":"main","message":"m","override":"outage"}`, "planned"},
	}
	for _, tt := range tests {
		s := newServer(t, answer{status: 200, body: `{"id": "1", "status": "planned", "images": [{"image": "web", "version": "1.1"}, {"image": "api", "version": "2"}], "targets": [], "left_out": [{"image": "ghcr.io/octo-org/twice", "reason": "ambiguous_version"}]}`})
		code, stdout, stderr := run(s.URL, nil, tt.args...)
		if code != 0 || !strings.Contains(stdout, tt.says) {
			t.Errorf("%v: exit code %d\n%s%s", tt.args, code, stdout, stderr)
			continue
		}
		if path := s.requests[0].URL.Path; path != tt.path || s.bodies[0] != tt.body {
			t.Errorf("%v: %s %s, want %s %s", tt.args, path, s.bodies[0], tt.path, tt.body)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, answer{status: 200, body: strings.Repeat(" ", 32<<20+1)})
	if code, _, stderr := run(s.URL, nil, "bump", "web", "1.1"); code != 1 || !strings.Contains(stderr, "more than 33554432 bytes") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// What a server answers is printed, and obeyed by nobody.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	const hostile = `x\n\r::set-output name=a::b\r\n##[add-path]/tmp\u001b[2J\u202e|<b>*_` + "`" + `</td>[a](javascript:b)`
	body := fmt.Sprintf(`{"id": %[1]q, "status": "failed", "image": %[1]q, "version": %[1]q, "targets": [{"repository": %[1]q, "branch": %[1]q, "name": %[1]q,
		"status": "failed", "commit": {"sha": %[1]q, "url": "javascript:alert(1)//%[2]s"}, "pull_request": {"number": 1, "url": %[1]q},
		"files": [{"path": %[1]q, "changes": [{"from": %[1]q, "to": %[1]q, "image": %[1]q}]}], "skipped": [{"path": %[1]q, "line": 1, "reason": %[1]q}],
		"merged_versions": [%[1]q], "diff": %[1]q, "problem": {"code": %[1]q, "detail": %[1]q}}], "left_out": [{"image": %[1]q, "reason": %[1]q}]}`, "HOSTILE", "x")
	body = strings.ReplaceAll(body, "HOSTILE", hostile)
	for _, output := range []string{"text", "json", "github"} {
		summary := t.TempDir() + "/summary"
		for _, a := range []answer{{status: 207, body: body}, {status: 422, body: strings.ReplaceAll(`{"code": "HOSTILE", "detail": "HOSTILE", "request_id": "HOSTILE"}`, "HOSTILE", hostile)}} {
			s := newServer(t, a)
			code, stdout, stderr := run(s.URL, map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary}, "bump", "web", "1.1", "-o", output)
			if code != 2 {
				t.Errorf("%s: exit code %d: %s", output, code, stderr)
			}
			guard := ""
			for l := range strings.Lines(stdout + stderr) {
				l = strings.TrimSpace(l)
				token, begins := strings.CutPrefix(l, "::stop-commands::")
				switch {
				case guard == "" && begins:
					guard = "::" + token + "::"
				case guard != "" && l == guard:
					guard = ""
				case guard == "" && strings.HasPrefix(l, "::") && !strings.HasPrefix(l, "::error title=versions-service") && !strings.HasPrefix(l, "::warning title=versions-service"):
					t.Errorf("%s: a command of GitHub Actions: %s", output, l)
				}
				if strings.Contains(l, "##[") || strings.ContainsAny(l, "\x1b\u202e") {
					t.Errorf("%s: a terminal or a runner obeys %q", output, l)
				}
			}
			if strings.Contains(strings.ReplaceAll(stdout, "\r\n", ""), "\r") {
				t.Errorf("%s: a carriage return: %q", output, stdout)
			}
			if guard != "" {
				t.Errorf("%s: commands stay off", output)
			}
		}
		if output != "github" {
			continue
		}
		content, err := os.ReadFile(summary)
		out := regexp.MustCompile("(?s)```diff\n.*?\n```\n").ReplaceAllString(string(content), "") // which is no Markdown
		out = strings.ReplaceAll(out, "| --- |", "")
		if err != nil || !strings.Contains(out, "left out") || strings.ContainsAny(out, "_[]`") || strings.Contains(out, "javascript:") || strings.Contains(out, "<b>") {
			t.Errorf("the summary: %v\n%s", err, out)
		}
	}
}
