package github_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func wantMoved(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, github.ErrBranchMoved) {
		t.Fatalf("error %v, want ErrBranchMoved", err)
	}
}

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

// Whatever GitHub says, the branch decides.
func TestLostRace(t *testing.T) {
	t.Parallel()
	push := sandbox.Competitor(sandbox.Push{Branch: "main", Message: "theirs", Files: map[string]string{"theirs.txt": "x"}})
	for name, answer := range map[string]*sandbox.Fault{
		"not a fast forward": nil,
		"cannot be updated":  ptr(sandbox.LostRace()),
		"update failed":      ptr(sandbox.Refuse(http.StatusUnprocessableEntity, "Reference update failed")),
		"conflict":           ptr(sandbox.Refuse(http.StatusConflict, "Conflict")),
		"protection's words": ptr(sandbox.Refuse(http.StatusUnprocessableEntity, "Cannot update this protected ref.")),
		"no words":           ptr(sandbox.Refuse(http.StatusUnprocessableEntity, "")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t)
			w.sb.Inject(push.On(http.MethodPatch, "git/refs").Once())
			if answer != nil {
				w.sb.Inject(answer.On(http.MethodPatch, "git/refs").Once())
			}
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			wantMoved(t, err)
			w.wantFile(fileA, "image: a:1\n")
			if _, ok := b.Remembered(); ok {
				t.Error("what the branch has left is still remembered")
			}
			s = w.snapshot(b)
			_, err = b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			w.must(err)
			w.wantFile(fileA, "image: a:2\n")
			w.wantFile("theirs.txt", "x")
		})
	}
}

func ptr[T any](v T) *T { return &v }

// A refusal that goes away by itself, with the branch where it was, is no lost race.
func TestRefUpdateIsSentAgainWhileBranchStands(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Reference cannot be updated", "Reference update failed", "Object does not exist", "Update is not a fast forward"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t)
			w.sb.Inject(sandbox.Refuse(http.StatusUnprocessableEntity, text).On(http.MethodPatch, "git/refs").For(2))
			made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			w.must(err)
			if w.head() != string(made.SHA) {
				t.Error("the commit is not on the branch")
			}
			w.wantSpent(newTree, newCommit, updateRef, headStands, updateRef, headStands, updateRef)
		})
	}
}

func TestRefUpdateEndsWhenRefusedForGood(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	w.sb.Inject(sandbox.Refuse(http.StatusUnprocessableEntity, "Reference cannot be updated").On(http.MethodPatch, "git/refs"))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantMoved(t, err)
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

// The answer of the ref update is lost: the branch tells, and one request makes
// one commit.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	theirs := sandbox.Competitor(sandbox.Push{Branch: "main", Message: "theirs", Files: map[string]string{"theirs.txt": "x"}})
	for _, test := range []struct {
		name   string
		faults []sandbox.Fault
		moved  bool
	}{
		{"502 before", []sandbox.Fault{sandbox.BadGateway().On(http.MethodPatch, "").Once()}, false},
		{"502 after", []sandbox.Fault{sandbox.BadGatewayAfter().On(http.MethodPatch, "").Once()}, false},
		{"connection lost before", []sandbox.Fault{sandbox.Drop().On(http.MethodPatch, "").Once()}, false},
		{"connection lost after", []sandbox.Fault{sandbox.DropAfter().On(http.MethodPatch, "").Once()}, false},
		{"answer cut", []sandbox.Fault{sandbox.Cut().On(http.MethodPatch, "").Once()}, false},
		{"landed, then somebody pushed", []sandbox.Fault{
			sandbox.DropAfter().On(http.MethodPatch, "").Once(), theirs.On(http.MethodGet, "branches").Once(),
		}, false},
		{"not landed, somebody pushed", []sandbox.Fault{
			sandbox.Drop().On(http.MethodPatch, "").Once(), theirs.On(http.MethodGet, "branches").Once(),
		}, true},
		{"landed, stale read", []sandbox.Fault{
			sandbox.DropAfter().On(http.MethodPatch, "").Once(), sandbox.Stale().On(http.MethodGet, "branches").Once(),
		}, false},
		{"landed, branch unreadable for a while", []sandbox.Fault{
			sandbox.DropAfter().On(http.MethodPatch, "").Once(), sandbox.BadGateway().On(http.MethodGet, "branches").For(6),
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, b, s := planned(t)
			for _, f := range test.faults {
				w.sb.Inject(f)
			}
			made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			if test.moved {
				wantMoved(t, err)
			} else {
				w.must(err)
			}
			log, err := w.repo.Log("main")
			w.must(err)
			own := 0
			for _, c := range log {
				if c.Message == "Set the version" {
					own++
					if c.SHA != string(made.SHA) {
						t.Errorf("the commit on the branch is %s, told was %s", c.SHA, made.SHA)
					}
				}
			}
			if want := 1; test.moved && own != 0 || !test.moved && own != want {
				t.Errorf("%d own commits on the branch", own)
			}
		})
	}
}

func TestUnknownOutcomeThatStaysUnknown(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	w.sb.Inject(sandbox.DropAfter().On(http.MethodPatch, "").Once())
	broken := w.sb.Inject(sandbox.BadGateway().On(http.MethodGet, "branches"))
	stays := w.sb.Inject(sandbox.BadGateway().On(http.MethodPatch, "").After(1))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	var unknown *github.UnknownOutcomeError
	if !errors.As(err, &unknown) || !errors.Is(err, github.ErrUpstream) {
		t.Fatalf("error %v, want an unknown outcome", err)
	}
	w.sb.Remove(broken)
	w.sb.Remove(stays)
	w.push(map[string]string{"theirs.txt": "x"})
	if landed, err := b.Landed(t.Context(), unknown.Commit.SHA); err != nil || !landed {
		t.Errorf("landed: %v, %v", landed, err)
	}
	if landed, err := b.Landed(t.Context(), "0123456789012345678901234567890123456789"); err != nil || landed {
		t.Errorf("a commit that is not there landed: %v, %v", landed, err)
	}
}

// Once the ref update is sent its end is told, whatever the caller's context says.
func TestRefUpdateIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.sb.Inject(sandbox.Call(cancel).On(http.MethodPatch, ""))
	made, err := b.Commit(ctx, s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	if w.head() != string(made.SHA) {
		t.Error("the commit is not on the branch")
	}
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

// A branch that was set back while the answer was lost stays set back.
func TestRewoundWhileTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept := w.push(map[string]string{fileA: "image: a:1\n"})
	w.push(map[string]string{"mistake.txt": "x"})
	b := w.branch()
	s := w.snapshot(b)
	w.sb.Inject(sandbox.Drop().On(http.MethodPatch, "").Once())
	w.sb.Inject(sandbox.Call(func() { w.must(w.repo.Reset("main", kept)) }).On(http.MethodGet, "branches").Once())
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantMoved(t, err)
	if w.head() != kept {
		t.Error("what was set back is there again")
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
	w.wantSpent(newTree, newTree, newTree, newCommit, updateRef)
	for name, content := range files {
		w.wantFile(name, content)
	}
}

// A read older than the commit's parent says nothing of a commit whose answer was
// lost.
func TestLandedWithReadFromBeforeItsParent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{fileA: "image: a:1\n"})
	log, err := w.repo.Log("main")
	w.must(err)
	w.push(map[string]string{fileB: "image: b:1\n"})
	old := fmt.Sprintf(`{"name":"main","commit":{"sha":%q,"commit":{"tree":{"sha":%q}}}}`, log[0].SHA, log[0].Tree)
	sent, told := false, false
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			switch {
			case req.Method == http.MethodPatch && !sent:
				sent = true
				resp.StatusCode = http.StatusBadGateway
			case strings.Contains(req.URL.Path, "/branches/") && sent && !told:
				told = true
				resp.StatusCode = http.StatusOK
				resp.Header.Del("ETag")
				setBody(resp, old)
			}
		}}
	})
	b := client.Branch(parse(t, repoName), "main")
	s := w.snapshot(b)
	made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	w.must(err)
	if w.head() != string(made.SHA) || !told {
		t.Error("the commit is not on the branch, or no old read was told")
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

// An update that found no connection was never sent, so nothing is unknown.
func TestRefUpdateThatWasNeverSent(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 100} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			t.Parallel()
			w, _, _ := planned(t)
			left := times
			client := w.another(func(o *github.Options) {
				o.Transport = refused{o.Transport, func(req *http.Request) bool {
					if req.Method != http.MethodPatch || left == 0 {
						return false
					}
					left--
					return true
				}}
			})
			b := client.Branch(parse(t, repoName), "main")
			s := w.snapshot(b)
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			if times == 1 {
				w.must(err)
				w.wantFile(fileA, "image: a:2\n")
				return
			}
			wantKind(t, err, github.ErrUpstream, 0)
			var unknown *github.UnknownOutcomeError
			if errors.As(err, &unknown) {
				t.Error("the outcome is said to be unknown")
			}
		})
	}
}

// refused lets no connection come about for some requests.
type refused struct {
	next http.RoundTripper
	when func(*http.Request) bool
}

func (r refused) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.when(req) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	return r.next.RoundTrip(req)
}
