package github_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The tests of this file are attacks of a server that is no GitHub, or a broken
// one. Each must end with an error that says so, at a small cost. Those that
// measure memory do not run beside others.

// spentMemory runs f and returns how many MiB were allocated meanwhile, by the
// embedded GitHub as well.
func spentMemory(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

// floods are answers without an end, or with a far one.
var floods = map[string]sandbox.Flood{
	"bomb in a key":     {Begin: `{"`, Repeat: "k", Bytes: 1536 << 20, Gzip: true},
	"bomb in a value":   {Begin: `{"name":"`, Repeat: "v", Bytes: 1536 << 20, Gzip: true},
	"endless key":       {Begin: `{"`, Repeat: "k"},
	"endless value":     {Begin: `{"message":"`, Repeat: "m", Gzip: true},
	"endless space":     {Begin: `{`, Repeat: "\n", Gzip: true},
	"endless fields":    {Begin: `{"a":0`, Repeat: `,"b":[{"c":"d"}]`, Gzip: true},
	"endless depth":     {Begin: `{"a":`, Repeat: `[`, Gzip: true},
	"endless path":      {Begin: `{"tree":[{"path":"`, Repeat: "a/", Gzip: true},
	"endless entries":   {Begin: `{"tree":[` + someEntry, Repeat: "," + someEntry, Gzip: true},
	"endless in one":    {Begin: `{"tree":[{`, Repeat: `"path":"a",`, Gzip: true},
	"endless not JSON":  {Begin: "<html>", Repeat: "x", Gzip: true},
	"endless nothing":   {Repeat: " "},
	"endless mere text": {Repeat: "0123456789"},
}

// floodsOf returns the names of the floods that an endpoint answers with: listings,
// which are read in another way than the rest, with all. A run of -short has one of
// each: how much is read is not a matter of the race detector.
func floodsOf(endpoint string) []string {
	switch {
	case testing.Short():
		return []string{"endless key"}
	case endpoint == "git/trees":
		return slices.Sorted(maps.Keys(floods))
	default:
		return []string{"bomb in a value", "endless key", "endless depth", "endless not JSON"}
	}
}

const someEntry = `{"path":"a.yaml","mode":"100644","type":"blob","sha":"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"}`

func TestFloodedReads(t *testing.T) { //nolint:paralleltest // it measures memory
	for _, endpoint := range []string{"git/trees", "/branches/", "repos/{owner}/{repo}", "git/blobs", "tarball", "compare"} {
		for _, name := range floodsOf(endpoint) {
			w := newWorld(t)
			w.push(many(2))
			b := w.branch()
			if endpoint == "repos/{owner}/{repo}" {
				b = w.client.Branch(parse(t, repoName), "")
			}
			w.sb.Inject(sandbox.Flooded(floods[name]).On(http.MethodGet, endpoint))
			used := spentMemory(func() {
				s, err := b.Snapshot(t.Context())
				if err == nil && endpoint == "compare" {
					_, err = b.Landed(t.Context(), s.Commit[1:]+"0")
				} else if err == nil {
					_, err = readYAML(t.Context(), b, s)
				}
				if endpoint != "tarball" && !errors.Is(err, github.ErrUpstream) {
					t.Errorf("%s of %s: error %v", endpoint, name, err)
				}
			})
			if used > 400 {
				t.Errorf("%s of %s took %d MiB", endpoint, name, used)
			}
			if sent := len(w.requests()); sent > 12 {
				t.Errorf("%s of %s: %d requests", endpoint, name, sent)
			}
			w.wire.sent = 0
		}
	}
}

func TestFloodedWrites(t *testing.T) { //nolint:paralleltest // it measures memory
	for _, endpoint := range []string{"git/trees", "git/commits", "git/refs", "git/blobs"} {
		for _, name := range floodsOf("POST " + endpoint) {
			w, b, s := planned(t)
			id := w.sb.Inject(sandbox.Flooded(floods[name]).On("", endpoint))
			content := "image: a:2\n"
			if endpoint == "git/blobs" {
				content += "\xff" // not UTF-8: a blob of its own
			}
			used := spentMemory(func() {
				if _, err := b.Commit(t.Context(), s, set(s, fileA, content)); !errors.Is(err, github.ErrUpstream) {
					t.Errorf("%s of %s: error %v", endpoint, name, err)
				}
			})
			if used > 512 {
				t.Errorf("%s of %s took %d MiB", endpoint, name, used)
			}
			w.sb.Remove(id)
			if w.head() != string(s.Commit) {
				t.Errorf("%s of %s: the branch moved", endpoint, name)
			}
		}
	}
}

func TestFloodedApp(t *testing.T) { //nolint:paralleltest // it measures memory
	for _, endpoint := range []string{"/installation", "access_tokens"} {
		for _, name := range floodsOf(endpoint) {
			w := newAppWorld(t, 0, nil)
			w.sb.Inject(sandbox.Flooded(floods[name]).On("", endpoint))
			used := spentMemory(func() {
				if _, err := w.branch().Snapshot(t.Context()); !errors.Is(err, github.ErrUpstream) {
					t.Errorf("%s of %s: error %v", endpoint, name, err)
				}
			})
			if used > 256 {
				t.Errorf("%s of %s took %d MiB", endpoint, name, used)
			}
		}
	}
}

// treesOf answers every listing with what list returns for the tree's name.
func treesOf(list func(sha string, recursive bool) string) sandbox.Fault {
	f := sandbox.Tampered(func(r *http.Request, _ []byte) []byte {
		return []byte(list(path.Base(r.URL.Path), r.URL.Query().Has("recursive")))
	}).On(http.MethodGet, "git/trees")
	f.Status = http.StatusOK // no such tree is there
	return f
}

func treeAnswer(truncated bool, entries ...string) string {
	return fmt.Sprintf(`{"tree":[%s],"truncated":%t}`, strings.Join(entries, ","), truncated)
}

func folderEntry(name, sha string) string {
	return fmt.Sprintf(`{"path":%q,"mode":"040000","type":"tree","sha":%q}`, name, sha)
}

func TestTreesWithoutEnd(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	fresh := func() string { return fmt.Sprintf("%040x", n.Add(1)) }
	other := strings.Repeat("ab", 20)
	for _, test := range []struct {
		name string
		list func(sha string, recursive bool) string
		most int // requests
		says string
	}{
		{"a tree that holds itself", func(sha string, recursive bool) string {
			return treeAnswer(recursive, folderEntry("d", sha))
		}, 3, "holds itself"},
		{"two trees that hold each other", func(sha string, recursive bool) string {
			if sha == other {
				return treeAnswer(recursive, folderEntry("d", strings.Repeat("cd", 20)))
			}
			return treeAnswer(recursive, folderEntry("d", other))
		}, 8, "holds itself"},
		{"trees that go down for ever", func(_ string, recursive bool) string {
			return treeAnswer(recursive, folderEntry("d", fresh()))
		}, 2 * 260, "folders"},
		{"trees that go down and aside for ever", func(_ string, recursive bool) string {
			return treeAnswer(recursive, folderEntry("d", fresh()), folderEntry("e", fresh()), folderEntry("f", fresh()))
		}, 1010, "requests"},
		{"folders with long names", func(_ string, recursive bool) string {
			return treeAnswer(recursive, folderEntry(strings.Repeat("n", 255), fresh()))
		}, 2 * 20, "bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sb.Inject(treesOf(test.list))
			_, err := w.branch().Snapshot(t.Context())
			var e *github.Error
			if !errors.As(err, &e) || !errors.Is(err, github.ErrUpstream) || !strings.Contains(e.Detail, test.says) {
				t.Fatalf("error %v, want one that says %q", err, test.says)
			}
			if sent := len(w.requests()); sent > test.most {
				t.Errorf("%d requests, want at most %d", sent, test.most)
			}
		})
	}
}

func TestPathsThatAreNone(t *testing.T) {
	t.Parallel()
	blob := func(path string) string {
		return treeAnswer(false, fmt.Sprintf(`{"path":%q,"mode":"100644","type":"blob","sha":%q,"size":1}`, path, strings.Repeat("ab", 20)))
	}
	for name, answer := range map[string]string{
		"200,000 folders": blob(strings.Repeat("a/", 200_000) + "a.yaml"),
		"300 folders":     blob(strings.Repeat("a/", 300) + "a.yaml"),
		"5,000 bytes":     blob(strings.Repeat("a", 5000)),
		"upwards":         blob("../a.yaml"),
		"here":            blob("./a.yaml"),
		"absolute":        blob("/a.yaml"),
		"empty folder":    blob("a//a.yaml"),
		"empty":           blob(""),
		"negative size":   treeAnswer(false, `{"path":"a","mode":"100644","type":"blob","sha":"`+strings.Repeat("ab", 20)+`","size":-1}`),
		"enormous size":   treeAnswer(false, `{"path":"a","mode":"100644","type":"blob","sha":"`+strings.Repeat("ab", 20)+`","size":9000000000000000000}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sb.Inject(treesOf(func(string, bool) string { return answer }))
			if _, err := w.branch().Snapshot(t.Context()); !errors.Is(err, github.ErrUpstream) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Paths within the bounds cost what they are long.
func TestDeepPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{}
	for i := range inShort(2, 10) { // two thousand folders
		files[strings.Repeat("d/", 100)+strings.Repeat(fmt.Sprintf("%d/", i), 100)+"a.yaml"] = "image: a:1\n"
	}
	w.push(files)
	b := w.branch()
	s, err := b.Snapshot(t.Context())
	w.must(err)
	for name := range files {
		files[name] = "image: a:2\n"
	}
	_, err = b.Commit(t.Context(), s, change(s, files))
	w.must(err)
}

// GitHub's word for a new object is compared with what was asked for.
func TestAnswersToWritesAreCompared(t *testing.T) {
	t.Parallel()
	swap := func(from, to string) func(*http.Request, []byte) []byte {
		return func(_ *http.Request, body []byte) []byte { return bytes.ReplaceAll(body, []byte(from), []byte(to)) }
	}
	other := strings.Repeat("ab", 20)
	for _, test := range []struct {
		name     string
		endpoint string
		change   func(parent, tree string) func(*http.Request, []byte) []byte
		says     string
	}{
		{"the tree of before", "git/trees", func(_, tree string) func(*http.Request, []byte) []byte {
			return func(*http.Request, []byte) []byte { return fmt.Appendf(nil, `{"sha":%q}`, tree) }
		}, "the edits give"},
		{"a commit that is its parent", "git/commits", func(parent, _ string) func(*http.Request, []byte) []byte {
			return func(*http.Request, []byte) []byte { return fmt.Appendf(nil, `{"sha":%q}`, parent) }
		}, "its own parent"},
		{"a commit of another tree", "git/commits", func(_, tree string) func(*http.Request, []byte) []byte {
			return func(_ *http.Request, body []byte) []byte {
				_, after, _ := bytes.Cut(body, []byte(`"tree":{"sha":"`))
				return bytes.ReplaceAll(body, after[:40], []byte(tree))
			}
		}, "of the tree"},
		{"a commit with another parent", "git/commits", func(parent, _ string) func(*http.Request, []byte) []byte {
			return swap(parent, other)
		}, "other parents"},
		{"no commit", "git/commits", func(string, string) func(*http.Request, []byte) []byte {
			return func(*http.Request, []byte) []byte { return []byte(`{}`) }
		}, "not the name of a commit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t)
			w.sb.Inject(sandbox.Tampered(test.change(string(s.Commit), string(s.Tree))).On(http.MethodPost, test.endpoint))
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			if e := wantKind(t, err, github.ErrUpstream, http.StatusCreated); !strings.Contains(e.Detail, test.says) {
				t.Errorf("detail %q, want that it says %q", e.Detail, test.says)
			}
			if w.head() != string(s.Commit) {
				t.Errorf("the branch moved to %s", w.head())
			}
		})
	}
}
