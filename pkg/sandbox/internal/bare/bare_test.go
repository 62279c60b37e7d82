package bare_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

func newRepository(t *testing.T) *bare.Repository {
	t.Helper()
	r, err := bare.Init(filepath.Join(t.TempDir(), "r.git"), "main")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func git(t *testing.T, r *bare.Repository, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = r.Dir(), strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func put(t *testing.T, s bare.Sink, kind bare.Kind, content string) bare.Hash {
	t.Helper()
	h, err := s.Put(kind, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var person = bare.Signature{Name: "Mona", Email: "mona@example.com", When: time.Date(2026, 11, 22, 12, 0, 0, 0, time.FixedZone("", 2*3600))}

func commit(t *testing.T, r *bare.Repository, tree bare.Hash, parents ...bare.Hash) bare.Hash {
	t.Helper()
	c := bare.Commit{Tree: tree, Parents: parents, Author: person, Committer: person, Message: fmt.Sprint("after ", parents)}
	return put(t, r, bare.KindCommit, string(c.Encode()))
}

func emptyTree(t *testing.T, r *bare.Repository) bare.Hash {
	t.Helper()
	h, err := r.EditTree(bare.Hash{}, nil, r)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestObjectsAreGits(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	for _, content := range []string{"", "text\n", "\x00\xff\r\n", strings.Repeat("long ", 10_000)} {
		h := put(t, r, bare.KindBlob, content)
		if want := git(t, r, content, "hash-object", "--stdin"); h.String() != want {
			t.Errorf("%.10q is %s, git says %s", content, h, want)
		}
		if got := git(t, r, "", "cat-file", "-s", h.String()); got != fmt.Sprint(len(content)) {
			t.Errorf("git reads %s bytes, want %d", got, len(content))
		}
	}
	_, err := r.Get(bare.HashOf(bare.KindBlob, []byte("nowhere")))
	if !errors.Is(err, bare.ErrNotFound) {
		t.Errorf("unknown object: %v", err)
	}
	if _, err := r.GetKind(put(t, r, bare.KindBlob, "x"), bare.KindTree); !errors.Is(err, bare.ErrWrongKind) {
		t.Errorf("wrong kind: %v", err)
	}
}

// What was packed can be read once its pack is closed, whatever else is packed meanwhile.
func TestPacksSideBySide(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for n := range 10 {
				pack, err := r.NewPack()
				if err != nil {
					t.Error(err)
					return
				}
				content := fmt.Sprint(writer, " ", n)
				h, errPut := pack.Put(bare.KindBlob, []byte(content))
				if err := errors.Join(errPut, pack.Close()); err != nil {
					t.Error(err)
				}
				if got, err := r.Get(h); err != nil || string(got.Content) != content {
					t.Errorf("%q, %v, want %q", got.Content, err, content)
				}
			}
		})
	}
	writers.Wait()
}

// Similar files make git store deltas, which must be read all the same.
func TestPacks(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	pack, err := r.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	var changes []bare.Change
	want := map[bare.Hash]string{}
	for i := range 300 {
		content := strings.Repeat("the same line in every file\n", 50) + fmt.Sprint(i)
		h := put(t, pack, bare.KindBlob, content)
		put(t, pack, bare.KindBlob, content) // twice in, once stored
		want[h] = content
		changes = append(changes, bare.Change{Path: fmt.Sprintf("d%d/f%d", i%7, i), Mode: bare.ModeFile, Hash: h})
	}
	tree, err := r.EditTree(bare.Hash{}, changes, pack)
	if err != nil {
		t.Fatal(err)
	}
	if err := pack.Close(); err != nil {
		t.Fatal(err)
	}
	head := commit(t, r, tree)
	if err := r.Swap("refs/heads/main", bare.Hash{}, head); err != nil {
		t.Fatal(err)
	}
	git(t, r, "", "fsck", "--strict", "--full")
	names, err := filepath.Glob(filepath.Join(r.Dir(), "objects/pack/*.idx"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%d packs, error %v", len(names), err)
	}
	git(t, r, "", "verify-pack", names[0])
	check := func(when string, r *bare.Repository) {
		t.Helper()
		for h, content := range want {
			o, err := r.Get(h)
			if err != nil || string(o.Content) != content {
				t.Fatalf("%s: %s: error %v, %d bytes", when, h, err, len(o.Content))
			}
		}
	}
	check("own pack", reopen(t, r))
	second := reopen(t, r)
	if _, err := second.Get(head); err != nil {
		t.Fatal(err)
	}
	git(t, r, "", "repack", "-adfq", "--depth=50")
	git(t, r, "", "prune-packed")
	check("pack of git", reopen(t, r))
	check("opened before git packed", second)
}

// reopen gives a view without anything in memory.
func reopen(t *testing.T, r *bare.Repository) *bare.Repository {
	t.Helper()
	again, err := bare.Open(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
	return again
}

func TestReferences(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	tree := emptyTree(t, r)
	a := commit(t, r, tree)
	b := commit(t, r, tree, a)
	const main = "refs/heads/main"
	var none bare.Hash
	steps := []struct {
		name     string
		from, to bare.Hash
		want     error
	}{
		{"create with a wrong expectation", a, b, bare.ErrRefChanged},
		{"create", none, a, nil},
		{"create twice", none, b, bare.ErrRefChanged},
		{"move", a, b, nil},
		{"move again", a, b, bare.ErrRefChanged},
		{"delete with a wrong expectation", a, none, bare.ErrRefChanged},
		{"delete", b, none, nil},
		{"create anew", none, b, nil},
	}
	for _, s := range steps {
		if err := r.Swap(main, s.from, s.to); !errors.Is(err, s.want) {
			t.Errorf("%s: %v, want %v", s.name, err, s.want)
		}
	}
	if got := git(t, r, "", "rev-parse", "main"); got != b.String() {
		t.Errorf("git reads %s", got)
	}
	git(t, r, "", "-c", "user.name=Mona", "-c", "user.email=mona@example.com", "tag", "-a", "-m", "t", "v1", "main")
	git(t, r, "", "pack-refs", "--all", "--prune")
	if h, err := r.Ref(main); err != nil || h != b {
		t.Errorf("packed: %s, %v", h, err)
	}
	if err := r.Swap(main, b, none); err != nil {
		t.Errorf("delete a packed one: %v", err)
	}
	if got := git(t, r, "", "for-each-ref", "--format=%(refname)"); got != "refs/tags/v1" {
		t.Errorf("git sees %q", got)
	}
	refs, err := r.Refs("refs/")
	if err != nil || len(refs) != 1 || refs[0].Name != "refs/tags/v1" {
		t.Errorf("references %v, error %v", refs, err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir(), "refs/heads/held.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Swap("refs/heads/held", none, a); !errors.Is(err, bare.ErrRefLocked) {
		t.Errorf("while git holds the lock: %v", err)
	}
}

func TestOneWriterWins(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	tree := emptyTree(t, r)
	var wg sync.WaitGroup
	won := make(chan bare.Hash, 16)
	for i := range 16 {
		wg.Go(func() {
			h := put(t, r, bare.KindCommit, string(bare.Commit{Tree: tree, Author: person, Committer: person, Message: fmt.Sprint(i)}.Encode()))
			if r.Swap("refs/heads/main", bare.Hash{}, h) == nil {
				won <- h
			}
		})
	}
	wg.Wait()
	close(won)
	h, err := r.Ref("refs/heads/main")
	if err != nil || len(won) != 1 || <-won != h {
		t.Errorf("%d winners, error %v", len(won), err)
	}
}

func TestReferenceNames(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	for _, name := range []string{
		"refs/heads/main", "refs/heads/a/b", "refs/heads/ünï", "refs/heads/a.b", "refs/heads/@", "refs/heads/-x",
		"refs/heads/", "refs/heads", "refs//x", "refs/heads/a b", "refs/heads/a..b", "refs/heads/.a", "refs/heads/a.lock",
		"refs/heads/a/.b", "refs/heads/a^", "refs/heads/a~1", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*", "refs/heads/[a",
		"refs/heads/a\\b", "refs/heads/a@{1}", "refs/heads/a.", "refs/heads/a\x01", "refs/heads/a/", "refs/../../etc/passwd",
	} {
		cmd := exec.CommandContext(t.Context(), "git", "check-ref-format", name)
		cmd.Dir = r.Dir()
		want := cmd.Run() == nil && strings.Count(name, "/") >= 2
		if got := bare.CheckRefName(name) == nil; got != want {
			t.Errorf("%q is fine: %t, git says %t", name, got, want)
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	blob := put(t, r, bare.KindBlob, "x").String()
	for _, path := range []string{
		"a", "a/b", ".github/x", ".gitmodules", "a b", "ünï", "-a", "git", "a:b", ".git2", "...", "a.",
		".git", "a/.git/b", ".GIT", ".git.", ".git ", "git~1", "GIT~1", ".git::$INDEX_ALLOCATION", "git~2",
		"../a", "a/../b", "./a", "a//b", "/a", "a/", "a/.",
	} {
		cmd := exec.CommandContext(t.Context(), "git", "update-index", "--add", "--cacheinfo", "100644", blob, path)
		cmd.Dir = r.Dir()
		cmd.Env = append(os.Environ(), "GIT_INDEX_FILE="+filepath.Join(t.TempDir(), "index"))
		want := cmd.Run() == nil
		if got := bare.CheckPath(path) == nil; got != want {
			t.Errorf("%q is fine: %t, git says %t", path, got, want)
		}
	}
}

func TestCommitsOfGit(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	tree := emptyTree(t, r)
	raw := "tree " + tree.String() + "\nauthor A U Thor <> 1700000000 -0330\ncommitter C <c@example.com> 0 +0000\n" +
		"encoding ISO-8859-1\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n\n\nleading blank line\n\n"
	h := git(t, r, raw, "hash-object", "-t", "commit", "-w", "--stdin")
	hash, ok := bare.ParseHash(h)
	if !ok {
		t.Fatal(h)
	}
	c, err := r.Commit(hash)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("\nleading blank line\n\n", c.Message); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n", c.PGPSignature); diff != "" {
		t.Errorf("signature (-want +got):\n%s", diff)
	}
	if got := c.Author.String(); got != "A U Thor <> 1700000000 -0330" {
		t.Errorf("author %q", got)
	}
}

func TestCrudIsLeftOutOfNames(t *testing.T) {
	t.Parallel()
	s := bare.Signature{Name: " <Mo\nna> ", Email: "m@example.com\n", When: time.Unix(0, 0).UTC()}
	if got, want := s.String(), "Mona <m@example.com> 0 +0000"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	tree := emptyTree(t, r)
	root := commit(t, r, tree)
	left := commit(t, r, tree, root)
	right := commit(t, r, tree, root, root)
	merge := commit(t, r, tree, left, right)
	for _, tc := range []struct {
		a, b bare.Hash
		want bool
	}{{root, merge, true}, {right, merge, true}, {merge, root, false}, {left, right, false}, {left, left, true}} {
		if got, err := r.IsAncestor(tc.a, tc.b); got != tc.want || err != nil {
			t.Errorf("%s is an ancestor of %s: %t, error %v", tc.a, tc.b, got, err)
		}
	}
	c, err := r.Compare(left, right)
	if diff := cmp.Diff(bare.Comparison{MergeBase: root, Ahead: []bare.Hash{right}, Behind: []bare.Hash{left}}, c); diff != "" || err != nil {
		t.Errorf("compare (-want +got), error %v:\n%s", err, diff)
	}
}

func TestMalformedObjects(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	for _, content := range []string{"100644 a", "100644 a\x00short", "1006x4 a\x00" + strings.Repeat("h", 20), "a\x00" + strings.Repeat("h", 20)} {
		if _, err := r.Tree(put(t, r, bare.KindTree, content)); !errors.Is(err, bare.ErrMalformed) {
			t.Errorf("tree %q: %v", content, err)
		}
	}
	for _, content := range []string{"", "tree x\n\nm", "author <\n\n", "author a <b> x +0000\n\n"} {
		if _, err := r.Commit(put(t, r, bare.KindCommit, content)); !errors.Is(err, bare.ErrMalformed) {
			t.Errorf("commit %q: %v", content, err)
		}
	}
}

func FuzzCommit(f *testing.F) {
	f.Add([]byte("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nm"))
	f.Add([]byte("gpgsig a\n b\n\n"))
	r, err := bare.Init(filepath.Join(f.TempDir(), "r.git"), "main")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		h, err := r.Put(bare.KindCommit, content)
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.Commit(h)
		if err != nil {
			if !errors.Is(err, bare.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.HasSuffix(content, []byte("\n\n"+c.Message)) {
			t.Errorf("message %q is not the end of %q", c.Message, content)
		}
	})
}
