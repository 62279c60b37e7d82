package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/cli"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	repoName    = "refty-yapi/refty-infra-test"
	githubToken = "token-of-github-that-nobody-may-see"
	callerToken = "token-of-ci-that-nobody-may-see"
)

var updateScripts = flag.Bool("update", false, "write what the commands print into the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"versions-service": func() {
			os.Exit(program(service.ParseEnvironment(os.Environ()), os.Stdout, os.Stderr).Run(context.Background(), os.Args[1:]))
		},
	})
}

// program is versions-service, which waits little.
func program(env service.Environment, stdout, stderr io.Writer) cli.Program {
	p := service.Build{Version: "1.2.3", Commit: "42a252d", Date: "2026-11-25"}.Program(env, stdout, stderr)
	p.Clock = hasty{time.Now()}
	return p
}

// haste is how many times as fast time passes for the commands of scripts.
const haste = 20

// hasty is a clock by which waiting takes little time.
type hasty struct{ began time.Time }

func (c hasty) Now() time.Time { return c.began.Add(haste * time.Since(c.began)) }

func (hasty) Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d / haste):
		return true
	}
}

// TestScripts runs the program as a user does, against the real service in front of
// the embedded GitHub. Beside the commands of testscript there are
//
//	serve [NAME=VALUE…]      the service with the files below infra/, config.yaml and
//	                         variables of its own; it sets VERSIONS_SERVICE_URL
//	asks CODE ARG…           runs versions-service, which ends with CODE, in this process;
//	                         the files out, err and summary hold what it printed and the
//	                         job's summary, without what differs from run to run
//	exits CODE PROGRAM ARG…  is asks for a program in a process of its own
//	github FAULT             what the embedded GitHub answers from now on
//	issuer                   the service's issuer, which gives this job its token
//	id NAME                  sets NAME to the id in the last answer of --output json
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *updateScripts,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "")
			e.Values[worldKey{}] = &world{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve": serve, "asks": asks, "exits": exits, "github": stage, "issuer": issuer, "id": id,
		},
	})
}

type worldKey struct{}

// world is what a script's commands run against.
type world struct {
	hub *sandbox.Server
}

func worldOf(ts *testscript.TestScript) *world {
	w, _ := ts.Value(worldKey{}).(*world)
	return w
}

// serve starts the service in this process, in front of an embedded GitHub.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	hub, err := sandbox.New(sandbox.Options{Dir: ts.MkAbs("github")})
	ts.Check(err)
	worldOf(ts).hub = hub
	hub.AddToken(githubToken, sandbox.Token{Name: "service", Login: "octocat"})
	web := httptest.NewServer(hub)
	repo, err := hub.CreateRepository(repoName, sandbox.RepositoryOptions{Branch: "main", Empty: true})
	ts.Check(err)
	_, err = repo.Commit("main", seed(ts, "infra"), "start")
	ts.Check(err)
	env := service.Environment{
		"GITHUB_REPOSITORY": repoName, "GITHUB_TOKEN": githubToken, "GITHUB_API_URL": web.URL,
		"API_TOKENS": "ci=" + callerToken, "LISTEN_ADDR": "127.0.0.1:0", "DATA_DIR": ts.MkAbs("data"),
	}
	if config := ts.MkAbs("config.yaml"); exists(config) {
		env["CONFIG_FILE"] = config
		if strings.Contains(ts.ReadFile("config.yaml"), "targets:") {
			delete(env, "GITHUB_REPOSITORY")
		}
	}
	maps.Copy(env, service.ParseEnvironment(args))
	settings, err := service.ReadEnvironment(env)
	ts.Check(err)
	svc, err := service.New(settings, service.Build{Version: "test"}, io.Discard)
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	ts.Setenv("VERSIONS_SERVICE_URL", "http://"+svc.Addr().String())
	ts.Setenv("VERSIONS_SERVICE_TOKEN", callerToken)
	ts.Setenv("REPO", repo.Dir())
	ts.Defer(func() {
		cancel()
		ts.Check(errors.Join(<-done, hub.Close()))
		web.Close()
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// seed are the files of a folder of the script.
func seed(ts *testscript.TestScript, dir string) sandbox.Files {
	files, root := sandbox.Files{}, ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[filepath.ToSlash(path[len(root)+1:])] = sandbox.File{Content: content}
		return err
	}))
	return files
}

// ownTexts differ from run to run.
var ownTexts = []struct {
	is *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://HOST"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "SHA"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{7}\b`), "SHORT"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "RANDOM"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?Z)?`), "TIME"},
}

// variables are those that scripts set for versions-service.
var variables = []string{
	"VERSIONS_SERVICE_URL", "VERSIONS_SERVICE_TOKEN", "VERSIONS_SERVICE_TOKEN_FILE", "VERSIONS_SERVICE_AUDIENCE", "VERSIONS_SERVICE_ID_TOKEN",
	"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "NO_COLOR",
	"GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA", "GITHUB_RUN_ID",
	"CI_JOB_ID", "CI_PROJECT_PATH", "CI_COMMIT_SHA", "CI_JOB_URL", "BUILD_TAG", "GIT_COMMIT", "BUILD_URL",
}

// asks runs a command of this process.
func asks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: asks CODE ARG…")
	}
	env := service.Environment{}
	for _, name := range variables {
		if value := ts.Getenv(name); value != "" {
			env[name] = value
		}
	}
	var out, errs bytes.Buffer
	code := program(env, &out, &errs).Run(context.Background(), args[1:])
	check(ts, args[0], code, map[string]string{"out": out.String(), "err": errs.String()})
	_, err := ts.Stdout().Write(out.Bytes())
	ts.Check(err)
	_, err = ts.Stderr().Write(errs.Bytes())
	ts.Check(err)
}

// exits runs a program.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	check(ts, args[0], code, map[string]string{"out": ts.ReadFile("stdout"), "err": ts.ReadFile("stderr")})
}

// check wants an exit code and no secret in what was printed, which it writes into files.
func check(ts *testscript.TestScript, want string, code int, printed map[string]string) {
	if summary := ts.Getenv("GITHUB_STEP_SUMMARY"); summary != "" && exists(summary) {
		printed["summary"] = ts.ReadFile(summary)
	}
	for to, text := range printed {
		for _, secret := range []string{githubToken, callerToken, sandbox.IssuerRequestToken, "eyJ"} {
			if strings.Contains(text, secret) {
				ts.Fatalf("%s holds the secret %q", to, secret)
			}
		}
		for _, own := range ownTexts {
			text = own.is.ReplaceAllString(text, own.to)
		}
		ts.Check(os.WriteFile(ts.MkAbs(to), []byte(text), 0o600))
	}
	if got := strconv.Itoa(code); got != want {
		ts.Fatalf("exit code %s, want %s:\n%s%s", got, want, printed["out"], printed["err"])
	}
}

// stage makes the embedded GitHub answer something else.
func stage(ts *testscript.TestScript, _ bool, args []string) {
	hub := worldOf(ts).hub
	switch strings.Join(args, " ") {
	case "away":
		hub.Inject(sandbox.BadGateway())
	case "limited":
		hub.Inject(sandbox.PrimaryLimit(http.StatusForbidden, time.Hour))
	case "protected":
		hub.Inject(sandbox.LockedBranch())
	case "back":
		hub.Reset()
	default:
		ts.Fatalf("github has no fault %v", args)
	}
}

// issuer serves an issuer and makes the script a job of it.
func issuer(ts *testscript.TestScript, _ bool, _ []string) {
	var i *sandbox.Issuer
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { i.ServeHTTP(w, r) }))
	ts.Defer(web.Close)
	i, err := sandbox.NewIssuer(web.URL, map[string]any{
		"sub":        "repo:refty-yapi/refty-node:ref:refs/heads/main",
		"repository": "refty-yapi/refty-node", "repository_id": "7", "repository_owner_id": "42",
		"event_name": "push", "ref": "refs/heads/main", "sha": "0123abc", "run_id": "99",
	}, nil)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("config.yaml"), []byte(strings.ReplaceAll(ts.ReadFile("config.yaml"), "ISSUER", web.URL)), 0o600))
	ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", web.URL+"/token?api-version=2.0")
	ts.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", sandbox.IssuerRequestToken)
}

var anID = regexp.MustCompile(`"id": "([^"]+)"`)

// id sets a variable to the id of the last answer.
func id(ts *testscript.TestScript, _ bool, args []string) {
	m := anID.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil || len(args) != 1 {
		ts.Fatalf("no id in the last answer")
	}
	ts.Setenv(args[0], m[1])
}
