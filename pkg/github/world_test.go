package github_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const repoName = "octo-org/infra"

// clock goes on by what is slept, which takes no real time, and a microsecond by each
// look at it: how slow the machine is counts for nothing.
type clock struct {
	mu    sync.Mutex
	time  time.Time
	slept []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(time.Microsecond)
	return c.time
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// world is an embedded GitHub with one repository, and a client of it.
type world struct {
	t       *testing.T
	sb      *sandbox.Server
	repo    *sandbox.Repository
	url     string
	clock   *clock
	options github.Options
	client  *github.Client
	wire    *wire
}

// wire counts the requests to the API that are sent through it.
type wire struct {
	host string
	mu   sync.Mutex
	sent int
}

func (c *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if req.URL.Host == c.host && req.Context().Err() == nil { // else it may have arrived or not
		c.mu.Lock()
		c.sent++
		c.mu.Unlock()
	}
	return resp, err
}

func newWorld(t *testing.T, change ...func(*github.Options)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{time: time.Now()}}
	var err error
	w.sb, err = sandbox.New(sandbox.Options{Dir: t.TempDir(), Clock: w.clock.Now, Seed: 1})
	w.must(err)
	t.Cleanup(func() { w.must(w.sb.Close()) })
	api := httptest.NewServer(w.sb)
	t.Cleanup(api.Close)
	archives := httptest.NewServer(w.sb.Archives())
	t.Cleanup(archives.Close)
	w.sb.SetURLs(api.URL, "https://github.example.com", archives.URL)
	w.url = api.URL
	w.repo, err = w.sb.CreateRepository(repoName, sandbox.RepositoryOptions{})
	w.must(err)
	w.wire = &wire{host: api.Listener.Addr().String()}
	w.options = github.Options{
		Transport: w.wire, BaseURL: api.URL, Credential: github.Token("sandbox"),
		Now: w.clock.Now, Sleep: w.clock.Sleep, Random: func() float64 { return 0.5 },
	}
	for _, f := range change {
		f(&w.options)
	}
	w.client = w.another()
	return w
}

// another returns a client that knows nothing yet.
func (w *world) another(change ...func(*github.Options)) *github.Client {
	w.t.Helper()
	o := w.options
	for _, f := range change {
		f(&o)
	}
	c, err := github.NewClient(o)
	w.must(err)
	return c
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) branch() *github.Branch { return w.client.Branch(parse(w.t, repoName), "main") }

func parse(t *testing.T, name string) github.Repo {
	t.Helper()
	repo, err := github.ParseRepo(name)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// push commits as somebody else does.
func (w *world) push(files map[string]string) string {
	w.t.Helper()
	commit := sandbox.Files{}
	for path, content := range files {
		commit[path] = sandbox.File{Content: []byte(content)}
	}
	sha, err := w.repo.Commit("main", commit, "somebody else's")
	w.must(err)
	return sha
}

func (w *world) snapshot(b *github.Branch) *github.Snapshot {
	w.t.Helper()
	s, err := b.Snapshot(w.t.Context())
	w.must(err)
	return s
}

// contents reads the YAML files of a snapshot.
func (w *world) contents(b *github.Branch, s *github.Snapshot) map[string]string {
	w.t.Helper()
	got, err := readYAML(w.t.Context(), b, s)
	w.must(err)
	return got
}

func readYAML(ctx context.Context, b *github.Branch, s *github.Snapshot) (map[string]string, error) {
	entries := slices.DeleteFunc(slices.Clone(s.Entries), func(e github.Entry) bool { return !strings.HasSuffix(e.Path, ".yaml") })
	got := map[string]string{}
	err := b.Read(ctx, s, entries, func(i int, content []byte) error {
		if _, twice := got[entries[i].Path]; twice {
			return fmt.Errorf("%s was visited twice", entries[i].Path)
		}
		got[entries[i].Path] = string(content)
		return nil
	})
	return got, err
}

// change is a Changeset that sets files of a snapshot to new contents.
func change(s *github.Snapshot, files map[string]string) github.Changeset {
	c := github.Changeset{Message: "Set the version"}
	for _, e := range s.Entries {
		if content, ok := files[e.Path]; ok {
			c.Edits = append(c.Edits, github.Edit{Path: e.Path, Mode: e.Mode, Content: []byte(content)})
		}
	}
	return c
}

// head is the commit that the branch is at.
func (w *world) head() string {
	w.t.Helper()
	sha, err := w.repo.Head("main")
	w.must(err)
	return sha
}

func (w *world) wantFile(path, want string) {
	w.t.Helper()
	got, err := w.repo.ReadFile("main", path)
	w.must(err)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		w.t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// requests returns the embedded GitHub's log since it was last emptied. A request
// is put there when its answer is out, so the last ones are waited for.
func (w *world) requests() []sandbox.Request {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
		w.wire.mu.Lock()
		sent := w.wire.sent
		w.wire.mu.Unlock()
		if got := w.sb.Requests(); len(got) >= sent {
			return got
		} else if time.Now().After(deadline) {
			w.t.Fatalf("%d requests were sent, %d arrived", sent, len(got))
		}
	}
}

// spent returns the requests since the last call, without the method's repetition
// of the repository.
func (w *world) spent() []string {
	w.t.Helper()
	var out []string
	for _, r := range w.requests() {
		line := strings.Replace(r.Endpoint, "/repos/{owner}/{repo}/", "", 1)
		if r.Conditional {
			line += " 304"
		}
		out = append(out, line)
	}
	w.wire.mu.Lock()
	w.wire.sent = 0
	w.wire.mu.Unlock()
	w.sb.ResetRequests()
	return out
}

func (w *world) wantSpent(want ...string) {
	w.t.Helper()
	got := slices.Sorted(slices.Values(w.spent()))
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		w.t.Errorf("requests (-want +got)\n%s", diff)
	}
}

// The requests, as wantSpent names them.
const (
	readHead    = "GET branches/{branch}"
	headStands  = readHead + " 304"
	readRef     = "GET git/ref/{ref}"
	readTree    = "GET git/trees/{tree_sha}"
	readBlob    = "GET git/blobs/{file_sha}"
	readCommit  = "GET git/commits/{commit_sha}"
	readTarball = "GET tarball/{ref}"
	readCompare = "GET compare/{basehead}"
	newTree     = "POST git/trees"
	newBlob     = "POST git/blobs"
	newCommit   = "POST git/commits"
	updateRef   = "PATCH git/refs/{ref}"
)

// inShort returns short in a run of -short, as that of the race detector is, and full
// in others.
func inShort(short, full int) int {
	if testing.Short() {
		return short
	}
	return full
}

// many is n YAML files in a few directories.
func many(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("apps/team-%d/app-%04d.yaml", i%7, i)] = fmt.Sprintf("image: ghcr.io/octo-org/app-%d:1.0.0\n", i)
	}
	return files
}
