package acceptance_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// farm is one repository behind a slow line, and what is needed to change it in
// every way.
type farm struct {
	b      *testing.B
	binary string
	files  int
	hub    *sandbox.Server
	repo   *sandbox.Repository
	front  *httptest.Server
	line   *slowLine
	steady *program // has made the last commit
	next   int      // of version
	scrap  string   // folder for clones
	clones int
}

// newFarm makes a repository of so many YAML files of about 900 bytes in a hundred
// folders, packed as a server keeps it.
func newFarm(b *testing.B, binary string, files int) *farm {
	b.Helper()
	f := &farm{b: b, binary: binary, files: files, scrap: b.TempDir()}
	var err error
	f.hub, err = sandbox.New(sandbox.Options{Dir: b.TempDir()})
	f.must(err)
	f.repo, err = f.hub.CreateRepository(repoName, sandbox.RepositoryOptions{})
	f.must(err)
	content := sandbox.Files{}
	for i := range files {
		text := deployment(f.image(i)+":1") + strings.Repeat(fmt.Sprintf("# %05d: nothing to see here\n", i), 27)
		content[f.path(i)] = sandbox.File{Content: []byte(text)}
	}
	_, err = f.repo.Commit("main", content, "Add the files")
	f.must(err)
	f.git("-C", f.repo.Dir(), "repack", "-adbq")
	for _, setting := range []string{"http.receivepack", "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"} {
		f.git("-C", f.repo.Dir(), "config", setting, "true")
	}
	f.line = &slowLine{git: gitBackend(f), api: f.hub}
	f.front = httptest.NewServer(f.line)
	if transport, ok := f.front.Client().Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = 10 // as many as are asked for side by side
	}
	f.steady = f.program()
	f.steady.mustSet(f.image(0), f.version())
	return f
}

// newEstate makes so many repositories behind a slow line, the i-th of them with the
// files of(i). Nothing runs in front of it yet.
func newEstate(b *testing.B, binary string, repositories int, of func(i int) map[string]string) *farm {
	b.Helper()
	f := &farm{b: b, binary: binary}
	var err error
	f.hub, err = sandbox.New(sandbox.Options{Dir: b.TempDir()})
	f.must(err)
	b.Cleanup(func() { f.must(f.hub.Close()) })
	for i := range repositories {
		f.repo, err = f.hub.CreateRepository(estateName(i), sandbox.RepositoryOptions{Branch: "main", Empty: true})
		f.must(err)
		content := sandbox.Files{}
		for path, text := range of(i) {
			content[path] = sandbox.File{Content: []byte(text)}
		}
		_, err = f.repo.Commit("main", content, "Add the files")
		f.must(err)
	}
	f.line = &slowLine{api: f.hub}
	f.front = httptest.NewServer(f.line)
	return f
}

// estateName is the i-th repository's; the first is that of a farm.
func estateName(i int) string {
	if i == 0 {
		return repoName
	}
	return fmt.Sprintf("octo-org/infra-%d", i)
}

func (f *farm) close() {
	f.steady.stop()
	f.front.Close()
	f.must(f.hub.Close())
}

func (f *farm) must(err error) {
	f.b.Helper()
	if err != nil {
		f.b.Fatal(err)
	}
}

func (f *farm) image(i int) string { return fmt.Sprintf("octo-org/app-%05d", i) }

func (f *farm) path(i int) string { return fmt.Sprintf("apps/team-%03d/app-%05d.yaml", i%100, i) }

// version is another one each time.
func (f *farm) version() string {
	f.next++
	return "v" + strconv.Itoa(f.next)
}

// git runs git and returns what it prints.
func (f *farm) git(args ...string) string {
	f.b.Helper()
	cmd := exec.Command("git", args...)
	cmd.Stderr, cmd.Env = os.Stderr, f.environment()
	out, err := cmd.Output()
	f.must(err)
	return string(out)
}

// environment keeps the user's own settings of git away.
func (f *farm) environment() []string {
	return append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "HOME="+f.scrap,
		"GIT_AUTHOR_NAME=Octo Org", "GIT_AUTHOR_EMAIL=octo@example.com",
		"GIT_COMMITTER_NAME=Octo Org", "GIT_COMMITTER_EMAIL=octo@example.com")
}

func (f *farm) commits() int {
	n, err := strconv.Atoi(strings.TrimSpace(f.git("-C", f.repo.Dir(), "rev-list", "--count", "main")))
	f.must(err)
	return n
}

// grep counts the files on the branch that hold the text.
func (f *farm) grep(text string) int {
	return strings.Count(f.git("-C", f.repo.Dir(), "grep", "-lF", text, "main"), "\n")
}

// slowLine is GitHub at a distance: its API, its archives, and git over HTTP.
type slowLine struct {
	api, git http.Handler
	requests atomic.Int64
	bytes    atomic.Int64 // of bodies, both ways
	shut     sync.RWMutex // no request is answered while it is locked
}

func (l *slowLine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.requests.Add(1)
	<-time.After(benchLatency)
	l.shut.RLock()
	defer l.shut.RUnlock()
	r.Body = &countedBody{r.Body, &l.bytes}
	counted := &countedAnswer{w, &l.bytes}
	if strings.Contains(r.URL.Path, ".git/") {
		l.git.ServeHTTP(counted, r)
		return
	}
	l.api.ServeHTTP(counted, r)
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

type countedAnswer struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countedAnswer) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *countedAnswer) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// gitBackend is git's own server.
func gitBackend(f *farm) http.Handler {
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(f.git("--exec-path")), "git-http-backend"),
		Dir:  f.repo.Dir(),
		Env:  []string{"GIT_PROJECT_ROOT=" + strings.TrimSuffix(f.repo.Dir(), repoName+".git"), "GIT_HTTP_EXPORT_ALL=1"},
	}
}

// program is the program itself, as a process of its own.
type program struct {
	f   *farm
	cmd *exec.Cmd
	url string
}

func buildProgram(b *testing.B) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "versions-service")
	if out, err := exec.Command("go", "build", "-o", binary, "../../versions-service").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// program starts a fresh one, which knows nothing yet. More of its environment may
// be given.
func (f *farm) program(more ...string) *program {
	f.b.Helper()
	return f.run(exec.Command(f.binary), append([]string{
		"GITHUB_REPOSITORY=" + repoName, "GITHUB_BRANCH=main", "GITHUB_TOKEN=sandbox", "GITHUB_API_URL=" + f.front.URL,
		"AUTH=none", "LISTEN_ADDR=127.0.0.1:0", "DATA_DIR=" + f.b.TempDir(),
	}, more...))
}

// run starts a command and returns when it listens, by its own log.
func (f *farm) run(cmd *exec.Cmd, environment []string) *program {
	f.b.Helper()
	p := &program{f: f, cmd: cmd}
	p.cmd.Env = environment
	logs, err := p.cmd.StderrPipe()
	f.must(err)
	f.must(p.cmd.Start())
	lines := bufio.NewScanner(logs)
	for p.url == "" && lines.Scan() {
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			p.url = "http://" + line.Addr
		}
	}
	if p.url == "" {
		f.b.Fatal("the program does not listen")
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	return p
}

func (p *program) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	if err := p.cmd.Wait(); err != nil {
		p.f.b.Errorf("the program ended with %v", err)
	}
}

// mustSet updates an image and fails unless that made a commit. It may be called
// from any goroutine.
func (p *program) mustSet(image, version string) {
	resp, err := http.Post(p.url+"/v1/updates", "application/json", strings.NewReader(setTo(image, version)))
	if err != nil {
		p.f.b.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		p.f.b.Errorf("%s to %s: %d %s", image, version, resp.StatusCode, answer)
	}
}

// cpu and peak are the process's own, from /proc; 0 where there is none.
func (p *program) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, after, ok := strings.Cut(string(stat), ") ")
	if err != nil || !ok {
		return 0
	}
	fields := strings.Fields(after) // from the third on, see proc(5)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick
}

func (p *program) peak() int64 { return peakOf(p.cmd.Process.Pid) }

// peakOf is the most memory that a process held, in bytes; 0 where the system does not
// tell.
func peakOf(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, _ := strconv.ParseInt(strings.Fields(after + " 0")[0], 10, 64)
	return kilobytes << 10
}
