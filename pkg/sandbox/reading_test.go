package sandbox_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

type listing struct {
	SHA       string         `json:"sha"`
	Tree      []listingEntry `json:"tree"`
	Truncated bool           `json:"truncated"`
}

type listingEntry struct {
	Path string `json:"path"`
	Mode string `json:"mode"`
	Type string `json:"type"`
	SHA  string `json:"sha"`
	Size *int   `json:"size"`
	URL  string `json:"url"`
}

func (h *hub) list(path string) listing {
	h.t.Helper()
	var l listing
	if err := json.Unmarshal(h.must(200, h.do("GET", path, nil)).body, &l); err != nil {
		h.t.Fatal(err)
	}
	return l
}

func TestTreeListing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.commit(sandbox.Files{
		"foo/bar/baz":  text("1\n"),
		"foo.txt":      text("2\n"),
		"foo-x/y":      text("3\n"),
		"run":          {Content: []byte("4\n"), Mode: "100755"},
		"link":         {Content: []byte("run"), Mode: "120000"},
		"q\"uote\\.md": text("5\n"),
	})
	sub := submodule(t, h)

	all := h.list("/git/trees/" + sub + "?recursive=1")
	var paths []string
	for _, e := range all.Tree {
		paths = append(paths, e.Path)
		if e.Type == "commit" && (e.Size != nil || e.URL != "") {
			t.Errorf("submodule with size or URL: %+v", e)
		}
		if e.Type == "blob" && (e.Size == nil || e.URL == "") {
			t.Errorf("blob without size or URL: %+v", e)
		}
	}
	want := strings.Split(h.git("-c", "core.quotepath=off", "ls-tree", "-r", "-t", "--name-only", "-z", sub), "\x00")
	if diff := cmp.Diff(want[:len(want)-1], paths); diff != "" {
		t.Errorf("order (-git +got):\n%s", diff)
	}
	for query, count := range map[string]int{"?recursive=1": 11, "?recursive=0": 11, "?recursive=false": 11, "?recursive=": 11, "?recursive": 8, "": 8} {
		if got := len(h.list("/git/trees/" + sub + query).Tree); got != count {
			t.Errorf("%q lists %d entries, want %d", query, got, count)
		}
	}
	head := h.head()
	if got := h.list("/git/trees/" + head).SHA; got != head {
		t.Errorf("a commit's listing calls itself %s, want the commit %s", got, head)
	}
	if got := h.list("/git/trees/main").SHA; got != head {
		t.Errorf("a branch's listing calls itself %s, want the commit %s", got, head)
	}
	h.Configure(func(s *sandbox.Settings) { s.TreeEntries = 4 })
	if cut := h.list("/git/trees/main?recursive=1"); len(cut.Tree) != 4 || !cut.Truncated {
		t.Errorf("%d entries, truncated %t; want 4 and true", len(cut.Tree), cut.Truncated)
	}
	if whole := h.list("/git/trees/main"); whole.Truncated {
		t.Error("one level is truncated")
	}
	h.Configure(func(s *sandbox.Settings) { s.TreeEntries, s.TreeBytes = 1000, 200 })
	if cut := h.list("/git/trees/main?recursive=1"); !cut.Truncated || len(cut.Tree) == 0 {
		t.Errorf("%d entries, truncated %t", len(cut.Tree), cut.Truncated)
	}
}

// submodule adds one to the head's tree and returns the new tree.
func submodule(t *testing.T, h *hub) string {
	t.Helper()
	r := h.must(201, h.do("POST", "/git/trees", map[string]any{
		"base_tree": h.git("rev-parse", "main^{tree}"),
		"tree":      []any{map[string]any{"path": "module", "mode": "160000", "type": "commit", "sha": nobody}},
	}))
	return r.text("sha")
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	content := strings.Repeat("line of a manifest\r\n", 20) + "\xff\xfe no newline"
	h.commit(sandbox.Files{"a": text(content), "empty": text("")})
	sha := h.git("rev-parse", "main:a")

	r := h.must(200, h.do("GET", "/git/blobs/"+sha, nil))
	lines := strings.SplitAfter(r.text("content"), "\n")
	if len(lines) < 3 || lines[len(lines)-1] != "" {
		t.Fatalf("base64 does not end in a newline: %q", lines)
	}
	for _, line := range lines[:len(lines)-2] {
		if len(line) != 61 {
			t.Errorf("line of %d columns, want 60", len(line)-1)
		}
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(r.text("content"), "\n", ""))
	if err != nil || string(decoded) != content || r.text("encoding") != "base64" || r.field("size") != float64(len(content)) {
		t.Errorf("decoded %d bytes, error %v, size %v", len(decoded), err, r.field("size"))
	}
	for _, accept := range []string{"application/vnd.github.raw+json", "application/vnd.github.v3.raw", "application/vnd.github.raw"} {
		raw := h.must(200, h.do("GET", "/git/blobs/"+sha, nil, "Accept: "+accept))
		if string(raw.body) != content {
			t.Errorf("%s: %d bytes, want %d", accept, len(raw.body), len(content))
		}
	}
	if raw := h.must(200, h.do("GET", "/git/blobs/"+h.git("rev-parse", "main:empty"), nil, "Accept: application/vnd.github.raw+json")); len(raw.body) != 0 {
		t.Errorf("empty blob has %d bytes", len(raw.body))
	}
	h.Configure(func(s *sandbox.Settings) { s.Base64Blobs = true })
	if r := h.do("GET", "/git/blobs/"+sha, nil, "Accept: application/vnd.github.raw+json"); r.text("encoding") != "base64" {
		t.Errorf("a server that speaks less answered %.60q", r.body)
	}

	for encoding, body := range map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(content)), "utf-8": "grüße\n", "unknown": "dGV4dA=="} {
		made := h.must(201, h.do("POST", "/git/blobs", map[string]string{"content": body, "encoding": encoding})).text("sha")
		want := body
		if encoding == "base64" {
			want = content
		}
		if got := h.git("cat-file", "-s", made); got != fmt.Sprint(len(want)) {
			t.Errorf("%s: git counts %s bytes, want %d", encoding, got, len(want))
		}
	}
}

func TestCommitObjects(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
	h := newHub(t, func(o *sandbox.Options) { o.Clock = func() time.Time { return at } })
	tree := h.git("rev-parse", "main^{tree}")
	r := h.must(201, h.do("POST", "/git/commits", map[string]any{
		"message": "Subject\n\nBody <>&\n", "tree": tree, "parents": []string{h.head()},
		"author": map[string]string{"name": "Mona", "email": "mona@example.com", "date": "2026-11-22T12:00:00+02:00"},
	}))
	if got := r.text("author", "date"); got != "2026-11-22T10:00:00Z" {
		t.Errorf("date is answered as %q, want UTC", got)
	}
	raw := h.git("cat-file", "-p", r.text("sha"))
	if !strings.Contains(raw, "\nauthor Mona <mona@example.com> 1795341600 +0200\ncommitter Mona <mona@example.com> 1795341600 +0200\n") {
		t.Errorf("people of the stored object:\n%s", raw)
	}
	if got := r.text("verification", "reason"); got != "unsigned" {
		t.Errorf("verification %q, want unsigned", got)
	}
	own := h.must(201, h.do("POST", "/git/commits", map[string]any{"message": "m", "tree": tree}))
	want := map[string]any{"name": "octocat", "email": own.text("author", "email"), "date": "2026-11-22T10:30:00Z"}
	for _, role := range []string{"author", "committer"} {
		if diff := cmp.Diff(want, own.field(role)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", role, diff)
		}
	}
	if parents := own.field("parents").([]any); len(parents) != 0 {
		t.Errorf("root commit with parents %v", parents)
	}
	old := h.must(201, h.do("POST", "/git/commits", map[string]any{"message": "m", "tree": tree, "author": map[string]string{"name": "M", "email": "m@example.com", "date": "1955-11-05T06:15:00Z"}}))
	if got := old.text("author", "date"); got != "1970-01-01T00:00:00Z" {
		t.Errorf("date before the epoch is %q", got)
	}
	h.fsck()
}

func TestNewTrees(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.commit(sandbox.Files{"a/b/c": text("1\n"), "a/d": text("2\n"), "e": text("3\n")})
	base := h.git("rev-parse", "main^{tree}")
	blob := h.git("rev-parse", "main:e")
	sub := h.git("rev-parse", "main:a")
	type entry = map[string]any
	tests := []struct {
		name    string
		base    string
		entries []any
		want    string // paths by git ls-tree -r
	}{
		{"on top", base, []any{entry{"path": "x/y/z", "mode": "100644", "content": "n"}}, "README.md a/b/c a/d e x/y/z"},
		{"without base", "", []any{entry{"path": "x", "mode": "100755", "type": "blob", "sha": blob}}, "x"},
		{"on a commit", h.head(), []any{entry{"path": "e", "mode": "100644", "content": "n"}}, "README.md a/b/c a/d e"},
		{"remove", base, []any{entry{"path": "a/b/c", "mode": "100644", "type": "blob", "sha": nil}}, "README.md a/d e"},
		{"remove a folder", base, []any{entry{"path": "a", "mode": "040000", "type": "tree", "sha": nil}}, "README.md e"},
		{"sub-tree by sha", base, []any{entry{"path": "copy", "mode": "040000", "type": "tree", "sha": sub}}, "README.md a/b/c a/d copy/b/c copy/d e"},
		{"file becomes folder", base, []any{entry{"path": "e/f", "mode": "100644", "content": "n"}}, "README.md a/b/c a/d e/f"},
		{"folder becomes file", base, []any{entry{"path": "a", "mode": "100644", "content": "n"}}, "README.md a e"},
		{"nothing", base, []any{}, "README.md a/b/c a/d e"},
		{"last counts", base, []any{entry{"path": "e", "mode": "100644", "content": "1"}, entry{"path": "e", "mode": "100755", "content": "2"}}, "README.md a/b/c a/d e"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			body := map[string]any{"tree": tc.entries}
			if tc.base != "" {
				body["base_tree"] = tc.base
			}
			r := h.must(201, h.do("POST", "/git/trees", body))
			got := strings.Join(strings.Fields(h.git("ls-tree", "-r", "--name-only", r.text("sha"))), " ")
			if got != tc.want {
				t.Errorf("paths %q, want %q", got, tc.want)
			}
			if location := r.header.Get("Location"); !strings.HasSuffix(location, "/git/trees/"+r.text("sha")) {
				t.Errorf("Location %q", location)
			}
		})
	}
	h.fsck()
}

func TestReferences(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	head := h.head()
	for _, name := range []string{"feature/a", "featureA", "a b#1"} {
		ref := "refs/heads/" + name
		r := h.do("POST", "/git/refs", map[string]string{"ref": ref, "sha": head})
		if name == "a b#1" {
			if r.status != 422 {
				t.Errorf("%q is taken with %d", name, r.status)
			}
			continue
		}
		h.must(201, r)
	}
	h.must(200, h.do("GET", "/git/ref/heads/feature/a", nil))
	h.must(200, h.do("GET", "/branches/feature/a", nil))
	var refs []map[string]any
	if err := json.Unmarshal(h.must(200, h.do("GET", "/git/matching-refs/heads/feature", nil)).body, &refs); err != nil || len(refs) != 2 {
		t.Errorf("%d matching references, error %v", len(refs), err)
	}
	if got := h.must(200, h.do("GET", "/git/matching-refs/heads/none", nil)); string(got.body) != "[]" {
		t.Errorf("no match answers %s", got.body)
	}
	r := h.must(200, h.do("GET", "/git/ref/heads/main", nil))
	if got, want := r.text("url"), h.url+"/repos/"+repoName+"/git/refs/heads/main"; got != want {
		t.Errorf("url %q, want %q", got, want)
	}
	h.must(204, h.do("DELETE", "/git/refs/heads/feature/a", nil))
	h.must(201, h.do("POST", "/git/refs", map[string]string{"ref": "refs/heads/feature", "sha": head}))
	if got := h.git("for-each-ref", "--format=%(refname)"); got != "refs/heads/feature\nrefs/heads/featureA\nrefs/heads/main" {
		t.Errorf("git sees %q", got)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.head()
	second := h.commit(sandbox.Files{"a/x": text("1\n"), "b": text("1\n")})
	third := h.commit(sandbox.Files{"a/x": text("2\n"), "b": {Remove: true}, "c": text("1\n")})
	side, err := h.repo.Commit("side", sandbox.Files{"s": text("s\n")}, "side")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.repo.Reset("main", second); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		base, head, status string
		ahead, behind      float64
		files              int
	}{
		{first, third, "ahead", 2, 0, 2},
		{third, first, "behind", 0, 2, 0},
		{second, second, "identical", 0, 0, 0},
		{"main", "side", "diverged", 2, 1, 4},
		{side, h.commit(sandbox.Files{"z": text("z")}), "diverged", 1, 2, 1},
	}
	for _, tc := range tests {
		r := h.must(200, h.do("GET", "/compare/"+tc.base+"..."+tc.head, nil))
		got := []any{r.text("status"), r.field("ahead_by"), r.field("behind_by"), len(r.field("files").([]any))}
		if diff := cmp.Diff([]any{tc.status, tc.ahead, tc.behind, tc.files}, got); diff != "" {
			t.Errorf("%s...%s (-want +got):\n%s", tc.base, tc.head, diff)
		}
	}
}
