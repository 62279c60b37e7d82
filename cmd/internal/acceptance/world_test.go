package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue/queuetest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	repoName = "refty-yapi/refty-infra-test"
	node     = "ghcr.io/refty-yapi/refty-node/refty-node"
	worker   = "ghcr.io/refty-yapi/bigquery/data-sync-worker"
	mission  = `{"image": "ghcr.io/refty-yapi/refty-node/refty-node", "version": "05-06-42a252"}`

	githubToken = "token-of-github-that-nobody-may-see"
	callerToken = "token-of-ci-that-nobody-may-see"

	// patience is how long a test waits for what must happen. It is no measure of
	// speed: a busy machine with the race detector is many times slower.
	patience = racetime.Slower * time.Minute
	// betweenLooks is how long it waits before it looks again.
	betweenLooks = 20 * time.Millisecond
)

// world is the program in front of an embedded GitHub, reached over HTTP alone.
type world struct {
	t    *testing.T
	hub  *sandbox.Server
	repo *sandbox.Repository
	// others are the repositories beside repo, by their names.
	others map[string]*sandbox.Repository
	url    string
	// metricsURL is that of METRICS_ADDR, or url.
	metricsURL string
	env        map[string]string
	logs       *logBook
	stop       func() error
	// watchEvery is how often files of settings are looked at; 0 is the default.
	watchEvery time.Duration
	// now replaces the program's clock; nil is the real one.
	now func() time.Time
	// trial leaves the pace out by which GitHub's limits are kept.
	trial bool
}

// option changes the environment or the repository before the program starts.
type option func(*world)

func withEnv(name, value string) option {
	return func(w *world) { w.env[name] = value }
}

func withFiles(files map[string]string) option {
	return func(w *world) { w.push(files) }
}

// withConfig gives the program a CONFIG_FILE; targets in it replace the one of the
// variables.
func withConfig(content string) option {
	return func(w *world) {
		path := filepath.Join(w.t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.env["CONFIG_FILE"] = path
		if strings.Contains(content, "targets:\n  -") {
			delete(w.env, "GITHUB_REPOSITORY")
		}
	}
}

// withRepository adds a repository with files on its branch main.
func withRepository(name string, files map[string]string) option {
	return func(w *world) {
		other, err := w.hub.CreateRepository(name, sandbox.RepositoryOptions{Branch: "main", Empty: true})
		if err != nil {
			w.t.Fatal(err)
		}
		w.others[name] = other
		seed := sandbox.Files{}
		for path, content := range files {
			seed[path] = sandbox.File{Content: []byte(content)}
		}
		if _, err := other.Commit("main", seed, "start"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// withData keeps the store where the next run finds it.
func withData() option {
	return func(w *world) { w.env["DATA_DIR"] = dataFolder(w.t) }
}

// dataFolder is a DATA_DIR whose database holds no update yet.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	queuetest.SQLite(t, filepath.Join(dir, "versions-service.db"))
	return dir
}

func deployment(image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          image: " + image + "\n"
}

// sample is a repository with two files that name the image.
var sample = map[string]string{
	"apps/parser.yaml":  deployment(node + ":10-10-ver"),
	"apps/sync.yml":     deployment(node + ":10-10-ver"),
	"apps/worker.yaml":  deployment(worker + ":08-06-zzz"),
	"apps/similar.yaml": deployment(node + "-worker:10-10-ver"),
	"README.md":         "image: " + node + ":10-10-ver\n",
}

// ownAddress is where nobody else listens, on a port that is still to be chosen: when it
// is given up, because the program was killed or the line was cut, nobody else's server
// takes it and is spoken to instead. Only Linux has all of 127.0.0.0/8 without asking.
func ownAddress() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1:0"
	}
	return fmt.Sprintf("127.%d.%d.%d:0", 1+rand.N(254), rand.N(256), 1+rand.N(254))
}

// start runs the program at an address of its own until the test ends.
func start(t *testing.T, options ...option) *world {
	t.Helper()
	w := prepare(t, options...)
	w.run()
	return w
}

// prepare is the embedded GitHub and the environment, without the program.
func prepare(t *testing.T, options ...option) *world {
	t.Helper()
	hub, err := sandbox.New(sandbox.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hub.Close() })
	hub.AddToken(githubToken, sandbox.Token{Name: "service", Login: "octocat"})
	web := httptest.NewServer(hub)
	t.Cleanup(web.Close)
	repo, err := hub.CreateRepository(repoName, sandbox.RepositoryOptions{Branch: "main", Empty: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, hub: hub, repo: repo, others: map[string]*sandbox.Repository{}, logs: &logBook{},
		env: map[string]string{
			"GITHUB_REPOSITORY": repoName, "GITHUB_TOKEN": githubToken, "GITHUB_API_URL": web.URL,
			"AUTH": "none", "LISTEN_ADDR": ownAddress(), "LOG_LEVEL": "debug",
		},
	}
	w.push(sample)
	for _, o := range options {
		o(w)
	}
	hub.ResetRequests()
	return w
}

func (w *world) run() {
	w.t.Helper()
	own := service.Environment{"DATA_DIR": dataFolder(w.t)} // of this process alone, unless the test says otherwise
	maps.Copy(own, w.env)
	settings, err := service.ReadEnvironment(own)
	if err != nil {
		w.t.Fatal(err)
	}
	settings.WatchEvery, settings.Now, settings.Trial = w.watchEvery, w.now, w.trial
	svc, err := service.New(settings, service.Build{Version: "test"}, w.logs)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	w.url, w.metricsURL = "http://"+svc.Addr().String(), "http://"+svc.MetricsAddr().String()
	w.stop = sync.OnceValue(func() error { cancel(); return <-done })
	w.t.Cleanup(func() {
		if err := w.stop(); err != nil {
			w.t.Errorf("stop: %v", err)
		}
	})
}

// push commits files as a colleague would; an empty content removes the file.
func (w *world) push(files map[string]string) {
	w.t.Helper()
	changes := sandbox.Files{}
	for path, content := range files {
		changes[path] = sandbox.File{Content: []byte(content), Remove: content == ""}
	}
	if _, err := w.repo.Commit("main", changes, "push by a colleague"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) head() string {
	w.t.Helper()
	head, err := w.repo.Head("main")
	if err != nil {
		w.t.Fatal(err)
	}
	return head
}

func (w *world) file(path string) string {
	w.t.Helper()
	content, err := w.repo.ReadFile("main", path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(content)
}

func (w *world) log() []sandbox.CommitInfo {
	w.t.Helper()
	log, err := w.repo.Log("main")
	if err != nil {
		w.t.Fatal(err)
	}
	return log
}

// git asks the git command line about the repository.
func (w *world) git(stdin string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", w.repo.Dir()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// waitFor returns when n updates wait for their turn.
func (w *world) waitFor(n int) {
	w.t.Helper()
	want := fmt.Sprintf("versions_service_updates_waiting %d\n", n)
	for deadline := time.Now().Add(patience); !strings.Contains(w.get("/metrics").body, want); <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never %d updates wait", n)
		}
	}
}

// reply is an answer of the service, which fits openapi.yaml.
type reply struct {
	status  int
	header  http.Header
	body    string
	update  api.Update
	record  api.UpdateRecord
	page    api.UpdatePage
	receipt api.Receipt
	problem api.Problem
}

func (w *world) post(body string, headers ...string) reply {
	w.t.Helper()
	r, err := w.tryPost(body, headers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// tryPost is post for goroutines.
func (w *world) tryPost(body string, headers ...string) (reply, error) {
	headers = append([]string{"Content-Type", "application/json"}, headers...)
	return w.try(http.MethodPost, "/v1/updates", strings.NewReader(body), headers...)
}

func (w *world) get(path string, headers ...string) reply {
	w.t.Helper()
	r, err := w.try(http.MethodGet, path, nil, headers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// try sends a request; headers are name, value, name, value. An empty value
// takes the header away.
func (w *world) try(method, path string, body io.Reader, headers ...string) (reply, error) {
	request, err := http.NewRequest(method, w.url+path, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: response.StatusCode, header: response.Header, body: string(content)}
	switch response.Header.Get("Content-Type") {
	case "application/json":
		for _, body := range []any{&r.update, &r.record, &r.page, &r.receipt} {
			_ = json.Unmarshal(content, body)
		}
	case "application/problem+json":
		err = json.Unmarshal(content, &r.problem)
	}
	if err != nil {
		return r, err
	}
	if err := fitsContract(request, r); err != nil {
		return r, fmt.Errorf("%s %s is answered %d: %w\n%s", method, path, r.status, err, r.body)
	}
	return r, nil
}

// fitsContract checks an answer against the description of its operation.
func fitsContract(request *http.Request, r reply) error {
	router, err := contractRouter()
	if err != nil {
		return err
	}
	plain := request.Clone(context.Background())
	plain.URL = &url.URL{Path: request.URL.Path}
	plain.Host = ""
	route, params, err := router.FindRoute(plain)
	if notDescribed := err != nil || r.status == http.StatusMethodNotAllowed; notDescribed {
		return nil
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 r.status,
		Header:                 r.header,
		Body:                   io.NopCloser(strings.NewReader(r.body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
}

var contractRouter = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil
	return legacy.NewRouter(doc)
})

// logBook keeps the program's log lines.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// requests are the log's lines about requests to path.
func (b *logBook) requests(t *testing.T, path string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(b.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if fields["msg"] == "request" && fields["path"] == path {
			lines = append(lines, fields)
		}
	}
	return lines
}

// wantProblem checks that the answer is that problem.
func wantProblem(t *testing.T, r reply, status int, code api.ProblemCode) {
	t.Helper()
	if r.status != status || r.problem.Code != code {
		t.Errorf("status %d %s, want %d %s\n%s", r.status, r.problem.Code, status, code, r.body)
	}
}
