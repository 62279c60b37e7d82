package github_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of what an update costs, row by row.

func TestColdWithFewBlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := many(3)
	w.push(files)
	b := w.branch()
	s := w.snapshot(b)
	if diff := cmp.Diff(files, w.contents(b, s)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	made, err := b.Commit(t.Context(), s, change(s, map[string]string{"apps/team-0/app-0000.yaml": "image: x:2\n"}))
	w.must(err)
	w.wantSpent(readHead, readTree, readBlob, readBlob, readBlob, newTree, newCommit, updateRef)
	if got := w.head(); got != string(made.SHA) {
		t.Errorf("the branch is at %s, the commit is %s", got, made.SHA)
	}
	w.wantFile("apps/team-0/app-0000.yaml", "image: x:2\n")
	w.wantFile("apps/team-1/app-0001.yaml", files["apps/team-1/app-0001.yaml"])
}

func TestColdWithManyBlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := many(300)
	w.push(files)
	b := w.branch()
	s := w.snapshot(b)
	if diff := cmp.Diff(files, w.contents(b, s)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	_, err := b.Commit(t.Context(), s, change(s, map[string]string{"apps/team-0/app-0000.yaml": "image: x:2\n"}))
	w.must(err)
	w.wantSpent(readHead, readTree, readTarball, newTree, newCommit, updateRef)
	for _, d := range w.sb.Downloads() {
		if d.Authorization {
			t.Error("the credential travelled to the archive's host")
		}
	}
}

func TestWarmOnOwnWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(60))
	b := w.branch()
	s := w.snapshot(b)
	w.contents(b, s)
	for i := range 3 {
		content := fmt.Sprintf("image: x:%d\n", i)
		if i > 0 {
			var ok bool
			if s, ok = b.Remembered(); !ok {
				t.Fatal("nothing is remembered after a write")
			}
			w.contents(b, s)
		}
		_, err := b.Commit(t.Context(), s, change(s, map[string]string{"apps/team-1/app-0001.yaml": content}))
		w.must(err)
		if i > 0 {
			w.wantSpent(newTree, newCommit, updateRef)
		}
		w.spent()
		w.wantFile("apps/team-1/app-0001.yaml", content)
	}
	if log, err := w.repo.Log("main"); err != nil || len(log) != 5 {
		t.Errorf("%d commits, want 5 (%v)", len(log), err)
	}
}

func TestWarmOnReadHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(5))
	b := w.branch()
	w.contents(b, w.snapshot(b))
	w.spent()
	s, _ := b.Remembered()
	_, err := b.Commit(t.Context(), s, change(s, map[string]string{"apps/team-1/app-0001.yaml": "image: x:2\n"}))
	w.must(err)
	w.wantSpent(headStands, newTree, newCommit, updateRef)
}

func TestWarmAfterForeignPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := many(200)
	w.push(files)
	b := w.branch()
	w.contents(b, w.snapshot(b))
	pushed := map[string]string{"apps/team-1/app-0001.yaml": "image: a:1\n", "apps/team-2/app-0002.yaml": "image: b:1\n"}
	w.push(pushed)
	w.spent()

	s := w.snapshot(b)
	maps.Copy(files, pushed)
	if diff := cmp.Diff(files, w.contents(b, s)); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
	_, err := b.Commit(t.Context(), s, change(s, map[string]string{"apps/team-3/app-0003.yaml": "image: x:2\n"}))
	w.must(err)
	w.wantSpent(readHead, readTree, readBlob, readBlob, newTree, newCommit, updateRef)
}

// An update that plans on what is remembered finds out beside its first write,
// and looks at the branch no second time.
func TestWarmFindsForeignPushBesideFirstWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(200))
	b := w.branch()
	w.contents(b, w.snapshot(b))
	w.push(map[string]string{"apps/team-1/app-0001.yaml": "image: a:1\n"})
	w.spent()

	edit := map[string]string{"apps/team-3/app-0003.yaml": "image: x:2\n"}
	s, _ := b.Remembered()
	_, err := b.Commit(t.Context(), s, change(s, edit))
	wantMoved(t, err)
	s = w.snapshot(b)
	w.contents(b, s)
	_, err = b.Commit(t.Context(), s, change(s, edit))
	w.must(err)
	w.wantSpent(newTree, readHead, readTree, readBlob, newTree, newCommit, updateRef)
}

func TestSameAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(5))
	b := w.branch()
	first := w.snapshot(b)
	w.contents(b, first)
	w.spent()
	again := w.snapshot(b)
	w.contents(b, again)
	w.wantSpent(headStands)
	if again.Commit != first.Commit || !slices.Equal(again.Entries, first.Entries) {
		t.Error("the branch did not move and the snapshot is another")
	}
}

func TestSameAgainAfterOwnWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(many(5))
	b := w.branch()
	s := w.snapshot(b)
	made, err := b.Commit(t.Context(), s, change(s, map[string]string{"apps/team-1/app-0001.yaml": "image: x:2\n"}))
	w.must(err)
	w.spent()
	again := w.snapshot(b)
	w.contents(b, again)
	if again.Commit != made.SHA {
		t.Errorf("snapshot at %s, own commit is %s", again.Commit, made.SHA)
	}
	got := w.spent()
	if got[0] != readHead || slices.Contains(got, readTree) {
		t.Errorf("spent %v, want one head and no listing", got)
	}
}

func TestManyEditsAreOneCommit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ files, trees int }{{100, 1}, {1000, 1}, {1400, 2}, {inShort(2100, 5000), inShort(4, 8)}} {
		t.Run(fmt.Sprint(test.files), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.push(many(test.files))
			b := w.branch()
			s := w.snapshot(b)
			w.spent()
			files := many(test.files)
			for path := range files {
				files[path] = "image: x:2 # " + path + "\n"
			}
			_, err := b.Commit(t.Context(), s, change(s, files))
			w.must(err)
			want := append(slices.Repeat([]string{newTree}, test.trees), newCommit, updateRef)
			w.wantSpent(want...)
			if diff := cmp.Diff(files, w.contents(b, w.snapshot(w.another().Branch(parse(t, repoName), "main")))); diff != "" {
				t.Errorf("contents (-want +got)\n%s", diff)
			}
		})
	}
}
