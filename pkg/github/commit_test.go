package github_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	fileA = "apps/a.yaml"
	fileB = "apps/b.yaml"
)

// planned is a world with two files, and a snapshot read for a plan.
func planned(t *testing.T, change ...func(*github.Options)) (*world, *github.Branch, *github.Snapshot) {
	t.Helper()
	w := newWorld(t, change...)
	w.push(map[string]string{fileA: "image: a:1\n", fileB: "image: b:1\n"})
	b := w.branch()
	s := w.snapshot(b)
	w.contents(b, s)
	w.spent()
	return w, b, s
}

func set(s *github.Snapshot, path, content string) github.Changeset {
	return change(s, map[string]string{path: content})
}

func TestCommitIsOnItsPlan(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	made, err := b.Commit(t.Context(), s, github.Changeset{
		Message: "Set a to 2\n\nSource: octo-org/app",
		Edits:   []github.Edit{{Path: fileA, Mode: github.ModeFile, Content: []byte("image: a:2\n")}},
	})
	w.must(err)
	log, err := w.repo.Log("main")
	w.must(err)
	if got := log[0]; got.SHA != string(made.SHA) || got.Message != made.Message || got.Parents[0] != string(s.Commit) || !got.When.Equal(made.Time) {
		t.Errorf("the commit is %+v, told as %+v", got, made)
	}
	if !strings.HasPrefix(made.URL, "https://github.example.com/") {
		t.Errorf("the commit's page is %q", made.URL)
	}
	next, _ := b.Remembered()
	if next.Commit != made.SHA || next.Tree != github.SHA(log[0].Tree) {
		t.Errorf("remembered %s with the tree %s", next.Commit, next.Tree)
	}
	w.spent()
	if got := w.contents(b, next)[fileA]; got != "image: a:2\n" || len(w.spent()) != 0 {
		t.Errorf("the own write %q is not known without a request", got)
	}
}

func TestCommitKeepsBytesAndModes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := "\ufeffimage: \"a:1\"\r\n# <b> & \\ \t \x01\r\n\r\n  x: 1"
	notText := "image: a:1 # caf\xe9\n"
	_, err := w.repo.Commit("main", sandbox.Files{
		"run.yaml":    {Content: []byte("image: a:1\n"), Mode: "100755"},
		"crlf.yaml":   {Content: []byte(before)},
		"latin1.yaml": {Content: []byte(notText)},
		"empty.yaml":  {Content: []byte("x")},
		"other.md":    {Content: []byte("stays")},
	}, "files")
	w.must(err)
	b := w.branch()
	s := w.snapshot(b)
	w.spent()
	want := map[string]string{
		"run.yaml": "image: a:2\n", "crlf.yaml": strings.ReplaceAll(before, "a:1", "a:2"),
		"latin1.yaml": strings.ReplaceAll(notText, "a:1", "a:2"), "empty.yaml": "",
	}
	_, err = b.Commit(t.Context(), s, change(s, want))
	w.must(err)
	w.wantSpent(newBlob, newTree, newCommit, updateRef)
	for path, content := range want {
		w.wantFile(path, content)
	}
	w.wantFile("other.md", "stays")
	for _, e := range w.snapshot(w.another().Branch(parse(t, repoName), "main")).Entries {
		if e.Path == "run.yaml" && e.Mode != github.ModeExecutable {
			t.Errorf("run.yaml has the mode %s", e.Mode)
		}
	}
}

func TestCommitRefusesWhatIsNoChange(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	edit := github.Edit{Path: fileA, Mode: github.ModeFile, Content: []byte("x")}
	for name, c := range map[string]github.Changeset{
		"no edit":    {Message: "m"},
		"no message": {Edits: []github.Edit{edit}},
		"new file":   {Message: "m", Edits: []github.Edit{{Path: "apps/new.yaml", Content: []byte("x")}}},
		"directory":  {Message: "m", Edits: []github.Edit{{Path: "apps", Content: []byte("x")}}},
		"twice":      {Message: "m", Edits: []github.Edit{edit, edit}},
	} {
		if _, err := b.Commit(t.Context(), s, c); !errors.Is(err, github.ErrInvalidChange) {
			t.Errorf("%s: error %v, want ErrInvalidChange", name, err)
		}
	}
	w.wantSpent()
}

// A tree or a commit that GitHub made and does not know everywhere yet.
func TestReplication(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	w.sb.Inject(sandbox.Refuse(http.StatusUnprocessableEntity, "base_tree is not a valid tree oid").On(http.MethodPost, "git/trees").For(2))
	w.sb.Inject(sandbox.TreeNotReplicated().For(2))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	w.wantSpent(newTree, newTree, newTree, newCommit, newCommit, newCommit, updateRef)
}

func TestGivenUpBeforeRefUpdate(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.sb.Inject(sandbox.Call(cancel).On(http.MethodPost, "git/commits"))
	_, err := b.Commit(ctx, s, set(s, fileA, "image: a:2\n"))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, github.ErrUpstream) {
		t.Errorf("error %v", err)
	}
	w.wantFile(fileA, "image: a:1\n")
}

// A branch that was set back does not get back what was taken from it.
func TestRewoundBranchIsNotRevived(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept := w.push(map[string]string{fileA: "image: a:1\n"})
	w.push(map[string]string{"mistake.txt": "x"})
	b := w.branch()
	w.contents(b, w.snapshot(b))
	w.must(w.repo.Reset("main", kept))

	s, _ := b.Remembered()
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantMoved(t, err)
	if w.head() != kept {
		t.Fatal("the branch moved")
	}
	s = w.snapshot(b)
	_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	if _, err := w.repo.ReadFile("main", "mistake.txt"); err == nil {
		t.Error("what was set back is there again")
	}
}

func TestOwnWriteOutlivesStaleReads(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	w.sb.Configure(func(s *sandbox.Settings) { s.StaleReads.Reads = 3 })
	made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	for range 3 {
		if got := w.snapshot(b); got.Commit != made.SHA {
			t.Fatalf("a stale read set the snapshot back to %s", got.Commit)
		}
	}
	s = w.snapshot(b)
	_, err = b.Commit(t.Context(), s, set(s, fileB, "image: b:2\n"))
	w.must(err)
	w.wantFile(fileA, "image: a:2\n")
}

// Later, the parent of an own write as the head means that somebody set it back.
func TestOwnWriteRewoundLater(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	w.must(w.repo.Reset("main", string(s.Commit)))
	w.clock.advance(11e9)
	own, _ := b.Remembered()
	_, err = b.Commit(t.Context(), own, set(own, fileB, "image: b:2\n"))
	wantMoved(t, err)
	if got := w.snapshot(b); got.Commit != s.Commit {
		t.Errorf("snapshot at %s, the branch is at %s", got.Commit, s.Commit)
	}
}

func TestTreeThatTakesTooLongIsSplit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sb.Configure(func(s *sandbox.Settings) { s.NewTreeEntries = 30 })
	w.push(many(100))
	b := w.branch()
	s := w.snapshot(b)
	w.spent()
	files := many(100)
	for path := range files {
		files[path] = "image: x:2\n"
	}
	_, err := b.Commit(t.Context(), s, change(s, files))
	w.must(err)
	w.wantSpent(newTree, newTree, newTree, newTree, newTree, newTree, newTree, newCommit, updateRef)
	for path, content := range files {
		w.wantFile(path, content)
	}

	// The next ones have so few entries from the start: each has the folders that it has
	// room for, and one more names them.
	w.sb.Configure(func(s *sandbox.Settings) { s.NewTreeEntries = 50 })
	s, _ = b.Remembered()
	for path := range files {
		files[path] = "image: x:3\n"
	}
	_, err = b.Commit(t.Context(), s, change(s, files))
	w.must(err)
	w.wantSpent(newTree, newTree, newTree, newTree, newCommit, updateRef)
	for path, content := range files {
		w.wantFile(path, content)
	}
}

func TestWritesAreRepeatedWhileGitHubFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"502": sandbox.BadGateway(), "502 after": sandbox.BadGatewayAfter(), "lost": sandbox.Drop(), "lost after": sandbox.DropAfter(), "cut": sandbox.Cut(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t)
			w.sb.Inject(fault.On(http.MethodPost, "").For(2))
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			w.must(err)
			w.wantFile(fileA, "image: a:2\n")
			if log, err := w.repo.Log("main"); err != nil || len(log) != 3 {
				t.Errorf("%d commits, want 3 (%v)", len(log), err)
			}
		})
	}
}

func TestLargeEditsGoOneByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := map[string]string{}
	for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
		files[name] = "x: 1\n" + strings.Repeat("# a line of 30 characters\t<&>\n", 20_000)
	}
	w.push(files)
	b := w.branch()
	s := w.snapshot(b)
	w.spent()
	for name := range files {
		files[name] = "x: 2\n" + files[name]
	}
	_, err := b.Commit(t.Context(), s, change(s, files))
	w.must(err)
	w.wantSpent(newTree, newTree, newTree, newTree, newCommit, updateRef) // the last one names what the others made
	for name, content := range files {
		w.wantFile(name, content)
	}
}

// A reader that began before an own write does not set back what is remembered.
func TestSlowReaderBesideAnOwnWrite(t *testing.T) {
	t.Parallel()
	w, b, _ := planned(t)
	w.push(map[string]string{fileB: "image: b:2\n"})
	var made github.Commit
	w.sb.Inject(sandbox.Call(func() {
		s, err := b.Snapshot(t.Context())
		w.must(err)
		made, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
		w.must(err)
	}).On(http.MethodGet, "git/trees").Once())
	w.snapshot(b)
	if s, _ := b.Remembered(); s.Commit != made.SHA {
		t.Errorf("remembered is %s, the own write is %s", s.Commit, made.SHA)
	}
}

// An own write that lands while an older commit's tree is being listed stays what
// is remembered, also when many were made before.
func TestOwnWriteDuringASnapshot(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1, 64, 70} {
		t.Run(fmt.Sprintf("after %d own writes", before), func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t, func(o *github.Options) { o.Unpaced = true })
			for i := range before {
				_, err := b.Commit(t.Context(), s, set(s, fileA, fmt.Sprintf("image: a:%d\n", 10+i)))
				w.must(err)
				s, _ = b.Remembered()
			}
			w.push(map[string]string{"theirs.txt": "x"})
			var made github.Commit
			w.sb.Inject(sandbox.Call(func() {
				s, err := b.Snapshot(t.Context())
				if err == nil {
					made, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
				}
				if err != nil {
					t.Error(err)
				}
			}).On(http.MethodGet, "git/trees").Once())
			w.snapshot(b)
			known, ok := b.Remembered()
			if !ok || made.SHA == "" || known.Commit != made.SHA {
				t.Errorf("remembered is %s, want the own write %s", known.Commit, made.SHA)
			}
		})
	}
}
