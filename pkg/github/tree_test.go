package github_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// wantEntries compares a snapshot with one that a client without a memory takes.
func (w *world) wantEntries(s *github.Snapshot) {
	w.t.Helper()
	want := w.snapshot(w.another().Branch(parse(w.t, repoName), "main"))
	if diff := cmp.Diff(want.Entries, s.Entries); diff != "" {
		w.t.Errorf("entries (-want +got)\n%s", diff)
	}
	if s.Commit != want.Commit || s.Tree != want.Tree {
		w.t.Errorf("snapshot of %s with the tree %s, want %s with %s", s.Commit, s.Tree, want.Commit, want.Tree)
	}
}

func TestSnapshotHoldsFilesAndLinksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.repo.Commit("main", sandbox.Files{
		"a/x.yaml": {Content: []byte("1")}, "a-b": {Content: []byte("22")}, "a.yaml": {Content: []byte("333")},
		"a/link": {Content: []byte("x.yaml"), Mode: "120000"}, "run": {Content: []byte("4"), Mode: "100755"},
	}, "files")
	w.must(err)
	s := w.snapshot(w.branch())
	var got []string
	for _, e := range s.Entries {
		got = append(got, fmt.Sprintf("%s %s %d", e.Mode, e.Path, e.Size))
	}
	want := []string{"100644 README.md 8", "100644 a-b 2", "100644 a.yaml 3", "120000 a/link 6", "100644 a/x.yaml 1", "100755 run 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got)\n%s", diff)
	}
}

func TestTruncatedTreeIsWalked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := many(120)
	maps.Copy(files, map[string]string{"top.yaml": "image: t:1\n", "deep/er/and/deeper.yaml": "image: d:1\n"})
	w.push(files)
	w.sb.Configure(func(s *sandbox.Settings) { s.TreeEntries = 50 })
	b := w.branch()
	s := w.snapshot(b)
	// The whole, the root, apps with all below, apps alone, deep, and those five of
	// apps' seven directories that the answers cut off did not hold.
	if got := count(w.spent(), readTree); got != 10 {
		t.Errorf("spent %d trees, want 10", got)
	}
	if diff := cmp.Diff(files, w.contents(b, s)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}

	// A later change in one directory is found without reading the others again.
	w.push(map[string]string{"apps/team-1/app-0001.yaml": "image: x:1\n"})
	w.spent()
	s = w.snapshot(b)
	if got := w.spent(); len(got) > 4 {
		t.Errorf("spent %v to find one changed file", got)
	}
	w.wantEntries(s)

	// So is what comes after an own write.
	made, err := b.Commit(t.Context(), s, set(s, "deep/er/and/deeper.yaml", "image: d:2\n"))
	w.must(err)
	w.push(map[string]string{"apps/team-2/app-0002.yaml": "image: x:1\n"})
	w.spent()
	s = w.snapshot(b)
	if got := w.spent(); len(got) > 4 {
		t.Errorf("spent %v to find one changed file after an own write", got)
	}
	w.wantEntries(s)
	if s.Commit == made.SHA {
		t.Error("the push was not seen")
	}
}

func TestDirectoryTooLargeForTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(20))
	w.sb.Configure(func(s *sandbox.Settings) { s.TreeEntries = 10 })
	w.sb.Inject(sandbox.Refuse(http.StatusNotFound, "Not Found").On(http.MethodGet, "git/trees").After(3))
	_, err := w.branch().Snapshot(t.Context())
	wantKind(t, err, github.ErrRepositoryNotFound, http.StatusNotFound)
}

// Above some thousand files the levels of a changed tree are compared.
func TestLargeTreeIsCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{"top.yaml": "image: t:1\n", "infra/x.yaml": "image: i:1\n", "other/y.yaml": "image: o:1\n"}
	for i := range 5200 {
		files[fmt.Sprintf("apps/team-%02d/app-%04d.yaml", i%50, i)] = fmt.Sprintf("image: a%d:1\n", i)
	}
	w.push(files)
	b := w.branch()
	w.snapshot(b)
	folders := func(n int) map[string]string {
		files := map[string]string{}
		for i := range n {
			files[fmt.Sprintf("new-%d/z.yaml", i)] = "image: z:2\n"
		}
		return files
	}
	for _, test := range []struct {
		name  string
		push  map[string]string
		trees int
	}{
		{"one directory", map[string]string{"infra/x.yaml": "image: i:2\n"}, 2},
		{"two directories", map[string]string{"infra/x.yaml": "image: i:3\n", "other/y.yaml": "image: o:3\n"}, 3},
		{"the root alone", map[string]string{"top.yaml": "image: t:2\n"}, 1},
		{"new directories", folders(4), 5},
		{"below the large directory", map[string]string{"apps/team-07/app-0007.yaml": "image: a:2\n"}, 3},
		{"beside the large directory, too", map[string]string{"apps/team-07/app-0007.yaml": "image: a:3\n", "infra/x.yaml": "image: i:4\n"}, 4},
		{"in the large directory", map[string]string{"apps/new.yaml": "image: a:2\n"}, 2},
	} {
		w.push(test.push)
		w.spent()
		s := w.snapshot(b)
		var bytes int64
		for _, r := range w.requests() {
			bytes += r.ResponseBytes
		}
		got := w.spent()
		if trees := count(got, readTree); trees != test.trees || len(got) != trees+1 {
			t.Errorf("%s: spent %v, want %d trees", test.name, got, test.trees)
		}
		w.wantEntries(s)
		if bytes > 64<<10 { // the whole listing has more than a megabyte
			t.Errorf("%s: %d bytes were read", test.name, bytes)
		}
	}
	w.push(folders(9)) // five of them new
	w.spent()
	s := w.snapshot(b)
	if got := w.spent(); count(got, readTree) != 2 {
		t.Errorf("many directories: spent %v, want 2 trees", got)
	}
	w.wantEntries(s)
	_, err := b.Commit(t.Context(), s, set(s, "apps/team-01/app-0001.yaml", "image: x:2\n"))
	w.must(err)
	w.push(map[string]string{"infra/x.yaml": "image: i:9\n"})
	w.spent()
	s = w.snapshot(b)
	if got := w.spent(); count(got, readTree) != 2 {
		t.Errorf("after an own write: spent %v, want 2 trees", got)
	}
	w.wantEntries(s)
}

func count(lines []string, prefix string) int {
	return len(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, prefix) }))
}

// A tree that is not what the edits give never gets a commit.
func TestWrongTreeIsNotCommitted(t *testing.T) {
	t.Parallel()
	w, _, _ := planned(t)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/git/trees") {
				setBody(resp, `{"sha":"0123456789012345678901234567890123456789"}`)
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "main")
	s := w.snapshot(b)
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantKind(t, err, github.ErrUpstream, http.StatusCreated)
	w.wantFile(fileA, "image: a:1\n")
}

// A file that the API cannot name is no file to edit: a commit would add another.
func TestPathThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.repo.Commit("main", sandbox.Files{"caf\xe9.yaml": {Content: []byte("image: a:1\n")}, fileA: {Content: []byte("image: a:1\n")}}, "m")
	w.must(err)
	b := w.branch()
	s := w.snapshot(b)
	if diff := cmp.Diff(map[string]string{fileA: "image: a:1\n"}, w.contents(b, s)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	w.wantFile("caf\xe9.yaml", "image: a:1\n")
	w.wantFile(fileA, "image: a:2\n")
}
