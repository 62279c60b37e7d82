package github_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func wantMoved(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, github.ErrBranchMoved) {
		t.Fatalf("error %v, want ErrBranchMoved", err)
	}
}

// wantUnknown fails the test unless the error is that the commit may be on the branch,
// and no surer one. It returns that commit.
func wantUnknown(t *testing.T, err error) github.Commit {
	t.Helper()
	var unknown *github.UnknownOutcomeError
	if !errors.As(err, &unknown) || !errors.Is(err, github.ErrUpstream) || errors.Is(err, github.ErrBranchMoved) {
		t.Fatalf("error %v, want an unknown outcome", err)
	}
	return unknown.Commit
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

// A branch that stands still while GitHub refuses with the words of a race is kept
// from moving by something that GitHub does not name: no more than three updates of
// the ref find that out.
func TestRefusedThoughNobodyPushes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Reference update failed", "Reference cannot be updated"} {
		for _, status := range []int{http.StatusUnprocessableEntity, http.StatusConflict} {
			w, b, s := planned(t)
			w.sb.Inject(sandbox.Refuse(status, text).On(http.MethodPatch, "git/refs"))
			_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			if e := wantKind(t, err, github.ErrBranchProtected, status); !strings.Contains(e.Detail, text) {
				t.Errorf("detail %q lacks GitHub's words", e.Detail)
			}
			w.wantSpent(newTree, newCommit, updateRef, headStands, updateRef, headStands, updateRef, headStands)
		}
	}
}

// Words that tell of another head are those of a race, though it is not shown yet.
func TestNotAFastForwardIsALostRace(t *testing.T) {
	t.Parallel()
	w, b, s := planned(t)
	w.sb.Inject(sandbox.Refuse(http.StatusUnprocessableEntity, "Update is not a fast forward").On(http.MethodPatch, "git/refs"))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantMoved(t, err)
}

// What protects a branch is told at once, in GitHub's words.
func TestProtectedBranch(t *testing.T) {
	t.Parallel()
	for _, fault := range []sandbox.Fault{
		sandbox.LockedBranch(), sandbox.SecretDetected(),
		sandbox.Refuse(http.StatusConflict, "Cannot change this locked branch").On(http.MethodPatch, "git/refs"),
		sandbox.Refuse(http.StatusUnprocessableEntity, "push declined due to repository rule violations").On(http.MethodPatch, "git/refs"),
		sandbox.Refuse(http.StatusUnprocessableEntity, "pre-receive hook declined").On(http.MethodPatch, "git/refs"),
	} {
		w, b, s := planned(t)
		w.sb.Inject(fault)
		_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
		words := strings.Join(strings.Fields(fault.Message), " ")
		if e := wantKind(t, err, github.ErrBranchProtected, fault.Status); !strings.Contains(e.Detail, words) {
			t.Errorf("detail %q lacks %q", e.Detail, words)
		}
		w.wantSpent(newTree, newCommit, updateRef, headStands)
	}
}

// A branch that was seen set back is not moved because it cannot be read later on.
func TestRewoundAndThenUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept := w.push(map[string]string{fileA: "image: a:1\n"})
	w.push(map[string]string{"mistake.txt": "x"})
	b := w.branch()
	s := w.snapshot(b)
	w.sb.Inject(sandbox.Drop().On(http.MethodPatch, "").Once())
	w.sb.Inject(sandbox.Call(func() { w.must(w.repo.Reset("main", kept)) }).On(http.MethodGet, "branches").Once())
	w.sb.Inject(sandbox.BadGateway().On(http.MethodGet, "branches").After(1))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantUnknown(t, err)
	if w.head() != kept {
		t.Error("what was set back is there again")
	}
}

// Nor because it could not be compared with the commit.
func TestRewoundAndNotCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept := w.push(map[string]string{fileA: "image: a:1\n"})
	w.push(map[string]string{"mistake.txt": "x"})
	b := w.branch()
	s := w.snapshot(b)
	w.sb.Inject(sandbox.Drop().On(http.MethodPatch, "").Once())
	w.sb.Inject(sandbox.Call(func() { w.must(w.repo.Reset("main", kept)) }).On(http.MethodGet, "branches").Once())
	w.sb.Inject(sandbox.BadGateway().On(http.MethodGet, "compare"))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	wantUnknown(t, err)
	if w.head() != kept {
		t.Error("what was set back is there again")
	}
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
		{"landed, then somebody pushed, the commit is not known everywhere yet", []sandbox.Fault{
			sandbox.DropAfter().On(http.MethodPatch, "").Once(), theirs.On(http.MethodGet, "branches").Once(),
			sandbox.Refuse(http.StatusNotFound, "Not Found").On(http.MethodGet, "compare").Once(),
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
	w.sb.Inject(sandbox.BadGateway().On(http.MethodPatch, "").After(1))
	_, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
	inDoubt := wantUnknown(t, err)
	w.sb.Remove(broken)
	if w.head() != string(inDoubt.SHA) {
		t.Errorf("the branch is at %s, in doubt is %s", w.head(), inDoubt.SHA)
	}
	if s := w.snapshot(b); s.Commit != inDoubt.SHA {
		t.Errorf("the snapshot is of %s", s.Commit)
	}
}

// A plain refusal of the second update does not tell what became of the first.
func TestRefusedAfterTheAnswerWasLost(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]sandbox.Fault{
		"secondary limit":     sandbox.SecondaryLimit(http.StatusTooManyRequests, time.Second),
		"primary limit":       sandbox.PrimaryLimit(http.StatusForbidden, time.Second),
		"no permission":       sandbox.Refuse(http.StatusForbidden, "Resource not accessible by personal access token"),
		"protected":           sandbox.Refuse(http.StatusUnprocessableEntity, "Protected branch update failed for refs/heads/main."),
		"workflow permission": sandbox.Refuse(http.StatusUnprocessableEntity, "refusing to allow an OAuth App to update workflow without `workflow` scope"),
		"lost race":           sandbox.LostRace(),
	} {
		for _, test := range []struct {
			name  string
			stale int // looks that do not show the commit yet
			want  bool
		}{{"shown later", 2, true}, {"never shown", 100, false}} {
			t.Run(name+", "+test.name, func(t *testing.T) {
				t.Parallel()
				w, b, s := planned(t)
				w.sb.Inject(sandbox.DropAfter().On(http.MethodPatch, "").Once())
				w.sb.Inject(refusal.On(http.MethodPatch, "").After(1))
				w.sb.Inject(sandbox.Stale().On(http.MethodGet, "branches").For(test.stale))
				made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
				if test.want {
					w.must(err)
				} else {
					made = wantUnknown(t, err)
				}
				if w.head() != string(made.SHA) {
					t.Errorf("the branch is at %s, told was %s", w.head(), made.SHA)
				}
			})
		}
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
	wantUnknown(t, err)
	if w.head() != kept {
		t.Error("what was set back is there again")
	}
	if _, ok := b.Remembered(); ok {
		t.Error("what the branch may have left is still remembered")
	}
}

// Reads older than the commit's parent say nothing of a commit whose answer was
// lost: it is on the branch, however many of them come.
func TestLandedWithReadsFromBeforeItsParent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		landed  bool // the update is done although its answer is lost
		reads   int  // that are old ones
		unknown bool
	}{
		{"landed, one old read", true, 1, false},
		{"landed, four old reads", true, 4, false},
		{"landed, old reads only", true, 5, true},
		{"not landed, two old reads", false, 2, false},
		{"not landed, old reads only", false, 5, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.push(map[string]string{fileA: "image: a:1\n"})
			log, err := w.repo.Log("main")
			w.must(err)
			w.push(map[string]string{fileB: "image: b:1\n"})
			lost := sandbox.BadGateway()
			if test.landed {
				lost = sandbox.BadGatewayAfter()
			}
			w.sb.Inject(lost.On(http.MethodPatch, "").Once())
			b, told := w.branchWithOldReads(log[0], test.reads)
			s := w.snapshot(b)
			made, err := b.Commit(t.Context(), s, set(s, fileA, "image: a:2\n"))
			if test.unknown {
				if inDoubt := wantUnknown(t, err); test.landed && w.head() != string(inDoubt.SHA) {
					t.Errorf("the branch is at %s, in doubt is %s", w.head(), inDoubt.SHA)
				}
			} else {
				w.must(err)
				if w.head() != string(made.SHA) {
					t.Error("the commit is not on the branch")
				}
			}
			if *told != test.reads {
				t.Errorf("%d old reads were told, want %d", *told, test.reads)
			}
		})
	}
}

// branchWithOldReads returns a branch whose first reads after an update of the
// ref show the old commit, and how many did.
func (w *world) branchWithOldReads(old sandbox.CommitInfo, reads int) (b *github.Branch, told *int) {
	w.t.Helper()
	body := fmt.Sprintf(`{"name":"main","commit":{"sha":%q,"commit":{"tree":{"sha":%q}}}}`, old.SHA, old.Tree)
	sent, told := false, new(int)
	client := w.another(func(o *github.Options) {
		o.Transport = rewrite{o.Transport, func(req *http.Request, resp *http.Response) {
			switch {
			case req.Method == http.MethodPatch:
				sent = true
			case strings.Contains(req.URL.Path, "/branches/") && sent && *told < reads:
				*told++
				resp.StatusCode = http.StatusOK
				resp.Header.Del("ETag")
				setBody(resp, body)
			}
		}}
	})
	return client.Branch(parse(w.t, repoName), "main"), told
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
