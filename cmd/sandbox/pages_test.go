package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/pages"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

const (
	moduleRoot = "../.."
	// programVariable makes the test binary one of the programs that pages start.
	programVariable = "PAGES_TEST_PROGRAM"
	// pageTimeout bounds the commands of one page, and the wait for stored updates.
	pageTimeout = 2 * time.Minute
	// printedAddress is the sandbox's in the pages.
	printedAddress = "127.0.0.1:8080"
)

func TestMain(m *testing.M) {
	switch os.Getenv(programVariable) {
	case "./cmd/sandbox":
		os.Exit(run(context.Background(), os.Args[1:], service.ParseEnvironment(os.Environ()), os.Stdout, os.Stderr))
	case "./cmd/versions-service":
		os.Exit(service.Build{}.Main(context.Background(), os.Args[1:], service.ParseEnvironment(os.Environ()), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// elsewhere are the things that commands of pages may need and no test has, each
// with what such a block contains.
var elsewhere = map[string]string{
	"github": "api.github.com|github_pat_|Bearer SECRET|rollback", // a repository and a credential
	"ci":     "go test|make|\\.ci/",                               // what runs this very test
	"docker": "docker|make image", "kubectl": "kubectl", "postgresql": "pg_dump", "cosign": "cosign ",
	"gh": "gh ", "az": "az ", "aws": "aws ", "gcloud": "gcloud",
	"cloudflared": "cloudflared", "ngrok": "ngrok", "ssh": "ssh",
}

// goShim stands for the command go in pages: `go run` starts the program that the
// test binary holds.
const goShim = `#!/bin/sh
[ "$1" = run ] || { echo "go $1 is not run by this test" >&2; exit 2; }
program=$2
shift 2
` + programVariable + `=$program exec "$PAGES_TEST_BINARY" "$@"
`

// TestPages runs every command block of every page as it is printed, in the
// page's order, against the sandbox that the page starts, and compares what is
// printed under it. A block that needs something which is not here says so behind
// its language; it is checked for syntax.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "jq", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skipf("the commands of the pages are not run: %v", err)
		}
	}
	all, err := pages.All(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	t.Run("all", func(t *testing.T) {
		for _, page := range all {
			ran[page.Path] = 0
			for _, b := range page.Blocks() {
				if b.Language == "sh" && b.Needs == nil {
					ran[page.Path]++
				}
			}
			t.Run(page.Path, func(t *testing.T) {
				t.Parallel()
				runPage(t, page)
			})
		}
	})
	for path, least := range map[string]int{"README.md": 4, "api/README.md": 1, "cmd/versions-service/README.md": 2, "k8s/README.md": 5, "pkg/config/README.md": 2, "pkg/sandbox/README.md": 6, "pkg/webhook/README.md": 14} {
		if ran[path] < least {
			t.Errorf("%s: only %d blocks are run", path, ran[path])
		}
	}
}

// reader is somebody who follows a page.
type reader struct {
	page    pages.Page
	dir     string // where the commands run: it looks like the module's root
	env     []string
	server  *exec.Cmd
	address string
	printed strings.Builder // by all commands
}

func runPage(t *testing.T, page pages.Page) {
	r := newReader(t, page)
	defer r.stop(t)
	for _, section := range page.Sections {
		var out string
		for _, b := range section.Blocks {
			switch {
			case b.Language == "sh" && b.Needs != nil:
				r.checkNeeds(t, b)
				out = ""
			case b.Language == "sh" && strings.Contains(b.Text, "go run ./cmd/sandbox") && !strings.Contains(b.Text, "--once") && !strings.Contains(b.Text, "--help"):
				r.stop(t)
				r.start(t, b)
				out = ""
			case b.Language == "sh":
				out = r.run(t, b)
			case b.Language == "json" && out != "":
				r.checkAnswer(t, b, out)
			case b.Language == "text" && out != "":
				if diff := cmp.Diff(b.Text, out); diff != "" {
					t.Errorf("%s:%d: something else is printed (-page +printed):\n%s", page.Path, b.Line, diff)
				}
			case b.IsConfiguration():
				write(t, filepath.Join(r.dir, "config.yaml"), b.Text)
			}
		}
	}
	for _, b := range page.Blocks() {
		if b.Language == "diff" && !strings.Contains(r.printed.String(), b.Text) {
			t.Errorf("%s:%d: no command prints this diff", page.Path, b.Line)
		}
	}
}

func newReader(t *testing.T, page pages.Page) *reader {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	root, err := filepath.Abs(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".github", "cmd", "k8s", "pkg"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(goShim), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &reader{page: page, dir: dir, env: []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(),
		"PAGES_TEST_BINARY=" + self, "LISTEN_ADDR=127.0.0.1:0",
		// What the README's step of CI finds.
		"VERSIONS_SERVICE_TOKEN=SECRET", "IMAGE=" + exampleImage, "VERSION=05-06-42a252",
	}}
}

// bash is a command that runs a block's text.
func (r *reader) bash(ctx context.Context, text string, options ...string) *exec.Cmd {
	address := r.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	text = strings.ReplaceAll(text, printedAddress, address)
	command := exec.CommandContext(ctx, "bash", append(options, "-c", text)...)
	command.Dir = r.dir
	command.Env = append(slices.Clone(r.env), "VERSIONS_SERVICE_URL=http://"+address)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// start starts a sandbox and waits until it listens.
func (r *reader) start(t *testing.T, b pages.Block) {
	t.Helper()
	r.server = r.bash(context.Background(), b.Text, "-eu")
	out, err := r.server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r.server.Stderr = &log
	if err := r.server.Start(); err != nil {
		t.Fatal(err)
	}
	var text string
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Press Ctrl-C") {
		text += lines.Text() + "\n"
	}
	m := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s:%d: the sandbox tells of no address\n%s%s", r.page.Path, b.Line, text, log.String())
	}
	r.address = m[1]
	go func() { _, _ = io.Copy(io.Discard, out) }()
}

// stop ends the sandbox when everything that it stored is done, and wants every
// update written.
func (r *reader) stop(t *testing.T) {
	t.Helper()
	if r.server == nil {
		return
	}
	if r.address != "" {
		r.checkHistory(t)
	}
	if err := syscall.Kill(-r.server.Process.Pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = r.server.Wait()
	r.server, r.address = nil, ""
}

func (r *reader) checkHistory(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		body, err := get(ctx, "http://"+r.address+"/v1/updates?limit=100")
		if err != nil && strings.Contains(err.Error(), "status 501") {
			return // the embedded GitHub alone
		}
		if err != nil && strings.Contains(err.Error(), "status 401") {
			return // the page's callers have tokens
		}
		var history struct {
			Updates []struct{ Image, Version, Status string }
		}
		if err == nil {
			err = json.Unmarshal(body, &history)
		}
		if err != nil {
			t.Errorf("%s: the history: %v", r.page.Path, err)
			return
		}
		waiting := false
		for _, u := range history.Updates {
			switch u.Status {
			case "queued":
				waiting = true
			case "committed", "held", "unchanged", "superseded":
			default:
				t.Errorf("%s: %s:%s is %s", r.page.Path, u.Image, u.Version, u.Status)
			}
		}
		if !waiting {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("%s: updates still wait", r.page.Path)
			return
		case <-tick.C:
		}
	}
}

// run runs a block to its end and returns what it printed.
func (r *reader) run(t *testing.T, b pages.Block) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	command := r.bash(ctx, b.Text, "-euo", "pipefail")
	var log bytes.Buffer
	command.Stderr = &log
	out, err := command.Output()
	if err != nil || log.Len() > 0 {
		t.Errorf("%s:%d: %v\n%s%s", r.page.Path, b.Line, err, out, log.String())
	}
	var problem struct{ Code, Detail string }
	if json.Unmarshal(out, &problem) == nil && problem.Code != "" {
		t.Errorf("%s:%d: refused: %s", r.page.Path, b.Line, out)
	}
	r.printed.Write(out)
	return string(out)
}

// checkNeeds expects a reason in a block which is not run, and that it is
// commands at all.
func (r *reader) checkNeeds(t *testing.T, b pages.Block) {
	t.Helper()
	for _, need := range b.Needs {
		if sign, ok := elsewhere[need]; !ok || !regexp.MustCompile(sign).MatchString(b.Text) {
			t.Errorf("%s:%d: does not need %q", r.page.Path, b.Line, need)
		}
	}
	if out, err := r.bash(t.Context(), b.Text, "-n").CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %v\n%s", r.page.Path, b.Line, err, out)
	}
}

// checkAnswer expects an answer that holds what the page shows.
func (r *reader) checkAnswer(t *testing.T, b pages.Block, printed string) {
	t.Helper()
	var shown, answer any
	if err := json.Unmarshal([]byte(b.Text), &shown); err != nil {
		t.Errorf("%s:%d: %v", r.page.Path, b.Line, err)
		return
	}
	if err := json.Unmarshal([]byte(printed), &answer); err != nil {
		t.Errorf("%s:%d: the answer is %v\n%s", r.page.Path, b.Line, err, printed)
		return
	}
	if where := differs(shown, answer, ""); where != "" {
		t.Errorf("%s:%d: the answer is another one at %s:\n%s", r.page.Path, b.Line, where, printed)
	}
}

// own are the texts of an answer that differ from run to run.
var own = []*regexp.Regexp{
	regexp.MustCompile(`^[0-9a-f]{40}$`),
	regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`),
}

// differs returns the JSON pointer at which answer does not hold what is shown.
// Fields, and elements at the end of a list, may be left out of what is shown.
func differs(shown, answer any, at string) string {
	switch shown := shown.(type) {
	case map[string]any:
		fields, ok := answer.(map[string]any)
		if !ok {
			return at
		}
		for name, value := range shown {
			if where := differs(value, fields[name], at+"/"+name); where != "" {
				return where
			}
		}
		return ""
	case []any:
		list, ok := answer.([]any)
		if !ok || len(list) < len(shown) {
			return at
		}
		for i, value := range shown {
			if where := differs(value, list[i], fmt.Sprintf("%s/%d", at, i)); where != "" {
				return where
			}
		}
		return ""
	case string:
		text, _ := answer.(string)
		for _, p := range own {
			if p.MatchString(shown) && p.MatchString(text) {
				return ""
			}
		}
	}
	if shown != answer {
		return at
	}
	return ""
}
