package github_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The requests of a proposal, as wantSpent names them.
const (
	listPulls = "GET pulls"
	newPull   = "POST pulls"
	editPull  = "PATCH pulls/{number}"
	newRef    = "POST git/refs"
	noRef     = readRef
)

const ours = "versions/production-web-0123456789"

func (w *world) look(p *github.Proposal) github.Sight {
	w.t.Helper()
	s, err := p.Look(w.t.Context())
	w.must(err)
	return s
}

// propose makes a commit of the content on the branch and opens its pull request.
func (w *world) propose(p *github.Proposal, content string) (github.Commit, github.PullRequest) {
	w.t.Helper()
	s := w.snapshot(w.branch())
	made, err := p.Commit(w.t.Context(), s, change(s, map[string]string{"a.yaml": content}), w.look(p).Head)
	w.must(err)
	pull, _, err := p.Open(w.t.Context(), github.PullText{Title: "Set a to " + content, Body: "body"})
	w.must(err)
	return made, pull
}

func TestAProposalIsOneCommitAndOnePullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{"a.yaml": "image: a:1\n"})
	b := w.branch()
	s := w.snapshot(b)
	w.contents(b, s)
	p := b.Proposal(ours)
	w.spent()
	if got := w.look(p); got.Head != "" || len(got.Pulls) != 0 {
		t.Fatalf("before: %+v", got)
	}
	made, err := p.Commit(t.Context(), s, change(s, map[string]string{"a.yaml": "image: a:2\n"}), "")
	w.must(err)
	pull, opened, err := p.Open(t.Context(), github.PullText{Title: "Set a to 2", Body: "body"})
	w.must(err)
	if !opened || pull.Head != made.SHA || pull.State() != "open" {
		t.Errorf("opened %v: %+v", opened, pull)
	}
	w.wantSpent(noRef, listPulls, newTree, newCommit, noRef, newRef, newPull)
	w.look(p)
	w.wantSpent(readRef, listPulls)
	seen := w.look(p)
	w.wantSpent(readRef+" 304", listPulls+" 304")
	if open, ok := seen.Open(); !ok || open.Number != pull.Number || seen.Head != made.SHA {
		t.Errorf("seen %+v", seen)
	}
	if origin, err := p.Origin(t.Context(), made.SHA); err != nil || origin.Parents[0] != s.Commit {
		t.Errorf("origin %+v, %v", origin, err)
	}
	tree, ok := s.TreeWith(change(s, map[string]string{"a.yaml": "image: a:2\n"}).Edits)
	if origin, _ := p.Origin(t.Context(), made.SHA); !ok || origin.Tree != tree {
		t.Errorf("tree %s, want %s", origin.Tree, tree)
	}
	w.wantSpent(readCommit)

	// In place, on the newest base.
	w.push(map[string]string{"b.yaml": "image: b:1\n"})
	s = w.snapshot(b)
	w.spent()
	next, err := p.Commit(t.Context(), s, change(s, map[string]string{"a.yaml": "image: a:3\n"}), made.SHA)
	w.must(err)
	_, err = p.Edit(t.Context(), pull.Number, github.PullText{Title: "Set a to 3", Body: "other"})
	w.must(err)
	w.wantSpent(newTree, newCommit, readRef+" 304", updateRef, editPull)
	if now := w.look(p); now.Head != next.SHA || now.Pulls[0].Title != "Set a to 3" || now.Pulls[0].Head != next.SHA {
		t.Errorf("in place: %+v", now)
	}
	if got, err := w.repo.Head("main"); err != nil || got != string(s.Commit) {
		t.Errorf("the base moved to %s, %v", got, err)
	}
	_, err = p.Close(t.Context(), pull.Number, "closed")
	w.must(err)
	w.must(p.Comment(t.Context(), pull.Number, "because"))
	if gone, err := p.Delete(t.Context(), made.SHA); gone || err != nil {
		t.Errorf("deleted at another commit: %v, %v", gone, err)
	}
	if gone, err := p.Delete(t.Context(), next.SHA); !gone || err != nil {
		t.Errorf("not deleted: %v, %v", gone, err)
	}
}

// Somebody's commit on the branch is not overtaken, whenever it comes.
func TestAProposalKeepsTheCommitsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{"a.yaml": "image: a:1\n"})
	p := w.branch().Proposal(ours)
	made, _ := w.propose(p, "image: a:2\n")
	theirs := ""
	w.sb.Inject(sandbox.Call(func() {
		var err error
		theirs, err = w.repo.Commit(ours, sandbox.Files{"a.yaml": {Content: []byte("image: a:mine\n")}}, "mine")
		w.must(err)
	}).On("POST", "git/commits").Once())
	s := w.snapshot(w.branch())
	_, err := p.Commit(t.Context(), s, change(s, map[string]string{"a.yaml": "image: a:3\n"}), made.SHA)
	if !errors.Is(err, github.ErrHeadChanged) {
		t.Errorf("%v", err)
	}
	if got, err := w.repo.Head(ours); err != nil || got != theirs {
		t.Errorf("the branch is at %s, want %s (%v)", got, theirs, err)
	}
}

// What is lost on the way makes neither a second pull request nor a second branch.
func TestLostAnswersOfAProposal(t *testing.T) {
	t.Parallel()
	for _, lost := range []sandbox.Fault{sandbox.DropAfter(), sandbox.BadGatewayAfter(), sandbox.Drop(), sandbox.BadGateway()} {
		for _, on := range []struct{ method, endpoint string }{{"POST", "git/refs"}, {"PATCH", "git/refs"}, {"POST", "/pulls"}, {"PATCH", "/pulls"}} {
			t.Run(string(lost.Effect)+" "+on.method+" "+on.endpoint, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.push(map[string]string{"a.yaml": "image: a:1\n"})
				p := w.branch().Proposal(ours)
				w.sb.Inject(lost.On(on.method, on.endpoint).Once())
				w.propose(p, "image: a:2\n")
				made, pull := w.propose(p, "image: a:3\n")
				_, err := p.Edit(t.Context(), pull.Number, github.PullText{Title: "three"})
				w.must(err)
				all := w.repo.PullRequests()
				if len(all) != 1 || all[0].HeadSHA != string(made.SHA) || all[0].Title != "three" {
					t.Errorf("%+v", all)
				}
			})
		}
	}
}

// GitHub's reads lag behind its writes.
func TestAProposalReadsItsOwnWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sb.Configure(func(s *sandbox.Settings) { s.StaleReads.Window = sandbox.Duration(3 * time.Second) })
	w.push(map[string]string{"a.yaml": "image: a:1\n"})
	w.clock.advance(time.Minute)
	p := w.branch().Proposal(ours)
	for _, content := range []string{"image: a:2\n", "image: a:3\n"} {
		made, _ := w.propose(p, content)
		if got := w.look(p).Head; got != made.SHA {
			t.Errorf("the branch is at %s, want %s", got, made.SHA)
		}
	}
}

func TestWhatGitHubRefusesOfAPullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.SetPeople([]string{"mona"}, []string{"release"})
	w.repo.SetDrafts(false)
	w.push(map[string]string{"a.yaml": "image: a:1\n"})
	p := w.branch().Proposal(ours)
	s := w.snapshot(w.branch())
	_, err := p.Commit(t.Context(), s, change(s, map[string]string{"a.yaml": "image: a:2\n"}), "")
	w.must(err)
	long := strings.Repeat("ä", 70_000)
	pull, _, err := p.Open(t.Context(), github.PullText{Title: long, Body: long, Draft: true})
	w.must(err)
	if pull.Draft || len([]rune(pull.Title)) != 256 || len([]rune(pull.Body)) != 65536 {
		t.Errorf("draft %v, %d and %d characters", pull.Draft, len([]rune(pull.Title)), len([]rune(pull.Body)))
	}
	refused := p.Decorate(t.Context(), pull.Number, github.PullPeople{
		Labels: []string{"versions"}, Reviewers: []string{"mona", "octocat", "nobody"}, TeamReviewers: []string{"release", "none"},
		Assignees: []string{"mona", "nobody"},
	})
	foreign := `: GitHub says "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the octo-org/infra repository."`
	want := []string{
		`reviewer octocat: GitHub says "Review cannot be requested from pull request author."`, "reviewer nobody" + foreign, "team none" + foreign,
		"assignees nobody: GitHub did not assign them; they need access to the repository",
	}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("refused (-want +got)\n%s", diff)
	}
	all := w.repo.PullRequests()
	if got := append(append(append(all[0].Reviewers, all[0].Teams...), all[0].Labels...), all[0].Assignees...); !cmp.Equal(got, []string{"mona", "release", "versions", "mona"}) {
		t.Errorf("got %v", got)
	}
}

func TestPullRequestsTakeAPermissionOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{"a.yaml": "image: a:1\n"})
	w.sb.AddToken("writer", sandbox.Token{Permissions: sandbox.Permissions{"contents": sandbox.Write}})
	w.client = w.another(func(o *github.Options) { o.Credential = github.Token("writer") })
	p := w.branch().Proposal(ours)
	s := w.snapshot(w.branch())
	_, err := p.Commit(t.Context(), s, change(s, map[string]string{"a.yaml": "image: a:2\n"}), "")
	w.must(err)
	_, _, err = p.Open(t.Context(), github.PullText{Title: "t"})
	var e *github.Error
	if !errors.As(err, &e) || !errors.Is(err, github.ErrForbidden) || e.Permission != "pull_requests=write" || !strings.Contains(e.Detail, "grant Pull requests: write") {
		t.Errorf("%v", err)
	}
	if same, _ := w.client.Branch(parse(t, repoName), "main").Proposal("main2").Look(t.Context()); same.Head != "" {
		t.Errorf("%+v", same)
	}
}

// A merge in the background goes through all that GitHub says of it.
func TestMergesInTheBackground(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(map[string]string{"a.yaml": "image: a:1\n"})
	w.sb.Configure(func(s *sandbox.Settings) { s.MergeDelay = sandbox.Duration(time.Second) })
	w.repo.Protect("main", sandbox.Protection{Checks: []string{"build"}, Queue: &sandbox.MergeQueue{Wait: sandbox.Duration(time.Minute)}})
	p := w.branch().Proposal(ours)
	made, pull := w.propose(p, "image: a:2\n")
	merge := func() github.Merging {
		t.Helper()
		m, err := p.Merge(t.Context(), pull.Number, github.MergeOptions{Head: made.SHA, Method: "squash", Title: "Set a to 2 (#1)", Message: "Image: a"})
		w.must(err)
		return m
	}
	result := func(of github.Merging) github.Merging {
		t.Helper()
		m, err := p.MergeResult(t.Context(), pull.Number, of.UUID)
		w.must(err)
		return m
	}
	want := func(got github.Merging, status github.MergeStatus, words string) {
		t.Helper()
		if got.Status != status || got.Words != words {
			t.Errorf("%+v, want %s %q", got, status, words)
		}
	}
	m := merge()
	want(m, github.MergePending, "Merge request enqueued.")
	want(merge(), github.MergePending, "A merge request already exists for this pull request.")
	w.clock.advance(time.Second)
	want(result(m), github.MergeFailed, `Required status check "build" is expected.`)
	w.repo.SetCheck(string(made.SHA), "build", "success", true)
	m = merge()
	w.clock.advance(time.Second)
	want(result(m), github.MergeEnqueued, "Pull request is in the merge queue.")
	want(merge(), github.MergeEnqueued, "Pull request is already in the merge queue.")
	w.clock.advance(time.Minute)
	done := result(m)
	want(done, github.MergeMerged, "Pull request was merged.")
	if head := w.head(); string(done.Commit) != head {
		t.Errorf("merged as %s, the base is at %s", done.Commit, head)
	}
	want(result(github.Merging{UUID: "none"}), github.MergeForgotten, "")
	if seen := w.look(p); !seen.Pulls[0].Merged || string(seen.Pulls[0].MergeCommit) != w.head() {
		t.Errorf("%+v", seen)
	}
	w.sb.Configure(func(s *sandbox.Settings) { s.NoAsyncMerge = true })
	if _, err := p.Merge(t.Context(), pull.Number, github.MergeOptions{Head: made.SHA, Method: "squash"}); !errors.Is(err, github.ErrNoAsyncMerge) {
		t.Errorf("%v", err)
	}
}

// An App's token may write pull requests from the first time that one is dealt with, and
// what an installation may not is named.
func TestAppTokensForPullRequests(t *testing.T) {
	t.Parallel()
	for _, may := range []bool{true, false} {
		permissions := sandbox.Permissions{"contents": sandbox.Write}
		if may {
			permissions["pull_requests"] = sandbox.Write
		}
		w := newAppWorld(t, 0, permissions)
		w.repo.SetPrivate(true)
		w.push(map[string]string{"a.yaml": "image: a:1\n"})
		b := w.branch()
		s := w.snapshot(b)
		_, err := b.Proposal(ours).Look(t.Context())
		var e *github.Error
		if errors.As(err, &e); (err == nil) != may || !may && (e == nil || e.Permission != "pull_requests=write" || !errors.Is(err, github.ErrForbidden)) {
			t.Errorf("may: %v, %v", may, err)
		}
		_, err = b.Commit(t.Context(), s, change(s, map[string]string{"a.yaml": "image: a:2\n"}))
		w.must(err)
	}
}
