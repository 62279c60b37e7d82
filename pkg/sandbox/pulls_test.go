package sandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

type object = map[string]any

// proposal makes a branch with one commit on it.
func (h *hub) branch(name string, files sandbox.Files) string {
	h.t.Helper()
	sha, err := h.repo.Commit(name, files, "Change "+name+"\n\nBody of "+name)
	if err != nil {
		h.t.Fatal(err)
	}
	return sha
}

func (h *hub) open(head string) int {
	h.t.Helper()
	r := h.must(201, h.do("POST", "/pulls", object{"title": "Change " + head, "head": head, "base": "main"}))
	return int(r.field("number").(float64))
}

// Every text here is GitHub's own.
func TestPullRequestRefusals(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.repo.SetPeople([]string{"mona"}, []string{"release"})
	h.branch("one", sandbox.Files{"a.yaml": text("a\n")})
	if err := h.repo.Reset("same", h.head()); err != nil {
		t.Fatal(err)
	}
	h.open("one")
	pull := func(head string) object { return object{"title": "t", "head": head, "base": "main"} }
	foreign := "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the octo-org/infra repository."
	tests := []struct {
		name, method, path string
		body               any
		status             int
		want               string
	}{
		{"second", "POST", "/pulls", pull("one"), 422, `"message":"A pull request already exists for octo-org:one."`},
		{"with the owner", "POST", "/pulls", pull("octo-org:one"), 422, `A pull request already exists for octo-org:one.`},
		{"no difference", "POST", "/pulls", pull("same"), 422, `"message":"No commits between main and same"`},
		{"no head", "POST", "/pulls", pull("none"), 422, `"errors":[{"resource":"PullRequest","code":"invalid","field":"head"}]`},
		{"no title", "POST", "/pulls", object{"head": "one", "base": "main"}, 422, `{"resource":"Issue","code":"missing_field","field":"title"}`},
		{"long title", "POST", "/pulls", object{"title": strings.Repeat("x", 257), "head": "one", "base": "main"}, 422, "title is too long (maximum is 256 characters)"},
		{"long body", "PATCH", "/pulls/1", object{"body": strings.Repeat("x", 65537)}, 422, "body is too long (maximum is 65536 characters)"},
		{"no such pull request", "GET", "/pulls/9", nil, 404, "Not Found"},
		{"the author as reviewer", "POST", "/pulls/1/requested_reviewers", object{"reviewers": []string{"octocat"}}, 422, "Review cannot be requested from pull request author."},
		{"unknown reviewer", "POST", "/pulls/1/requested_reviewers", object{"reviewers": []string{"mona", "nobody"}}, 422, foreign},
		{"unknown team", "POST", "/pulls/1/requested_reviewers", object{"team_reviewers": []string{"none"}}, 422, foreign},
		{"other state", "PATCH", "/pulls/1", object{"state": "gone"}, 422, `"field":"state"`},
		{"empty comment", "POST", "/issues/1/comments", object{"body": ""}, 422, "missing_field"},
		{"other head", "PUT", "/pulls/1/merge", object{"sha": nobody}, 409, "Head branch was modified. Review and try the merge again."},
		{"other method", "PUT", "/pulls/1/merge", object{"merge_method": "fold"}, 422, "fold is not a member of"},
		{"branch below a branch", "POST", "/git/refs", object{"ref": "refs/heads/one/two", "sha": h.head()}, 422, "Reference update failed"},
	}
	for _, tt := range tests {
		r := h.do(tt.method, tt.path, tt.body)
		if r.status != tt.status || !strings.Contains(string(r.body), tt.want) {
			t.Errorf("%s: %d, want %d with %s: %s", tt.name, r.status, tt.status, tt.want, r.body)
		}
	}
	h.must(201, h.do("POST", "/pulls/1/requested_reviewers", object{"reviewers": []string{"mona"}, "team_reviewers": []string{"release"}}))
	h.must(201, h.do("POST", "/issues/1/assignees", object{"assignees": []string{"mona", "nobody"}}))
	h.must(200, h.do("POST", "/issues/1/labels", object{"labels": []string{"versions"}}))
	h.must(200, h.do("POST", "/issues/1/labels", []string{"versions", "new"}))
	h.must(201, h.do("POST", "/issues/1/comments", object{"body": "hello"}))
	p, err := h.repo.PullRequest(1)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join([]string{strings.Join(p.Reviewers, ","), strings.Join(p.Teams, ","), strings.Join(p.Assignees, ","), strings.Join(p.Labels, ","), p.Comments[0].Body}, " ")
	if want := "mona release mona versions,new hello"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A pull request is closed with its branch, and opened again only on what it was.
func TestPullRequestsAreClosedAndReopened(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.branch("one", sandbox.Files{"a.yaml": text("a\n")})
	n := h.open("one")
	list := h.must(200, h.do("GET", "/pulls?head=octo-org:one&base=main&state=all", nil))
	h.must(304, h.do("GET", "/pulls?head=octo-org:one&base=main&state=all", nil, "If-None-Match: "+list.header.Get("ETag")))
	h.must(200, h.do("PATCH", "/pulls/1", object{"state": "closed"}))
	h.must(200, h.do("PATCH", "/pulls/1", object{"state": "open"}))
	if err := h.repo.ClosePullRequest(n); err != nil {
		t.Fatal(err)
	}
	if err := h.repo.Reset("one", h.head()); err != nil {
		t.Fatal(err)
	}
	if r := h.do("PATCH", "/pulls/1", object{"state": "open"}); !strings.Contains(string(r.body), "The one branch was force-pushed or recreated.") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if err := h.repo.Reset("one", first); err != nil {
		t.Fatal(err)
	}
	h.must(200, h.do("PATCH", "/pulls/1", object{"state": "open"}))
	h.must(204, h.do("DELETE", "/git/refs/heads/one", nil))
	if r := h.must(200, h.do("GET", "/pulls/1", nil)); r.text("state") != "closed" || r.field("merged") != false {
		t.Errorf("without its branch: %s", r.body)
	}
	h.branch("two", sandbox.Files{"b.yaml": text("b\n")})
	h.open("two")
	head, err := h.repo.Head("two")
	if err != nil {
		t.Fatal(err)
	}
	h.must(200, h.do("PATCH", "/git/refs/heads/main", object{"sha": head}))
	if r := h.must(200, h.do("GET", "/pulls/2", nil)); r.field("merged") != true {
		t.Errorf("pushed to the base: %s", r.body)
	}
}

// Each method puts its commits on the base, and what git sees is true.
func TestMerges(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.repo.SetDeleteBranchOnMerge(true)
	h.commit(sandbox.Files{"shared.yaml": text("1\n2\n3\n4\n5\n6\n7\n")})
	for _, m := range []struct{ method, headline, parents string }{
		{"merge", "Merge pull request #1 from octo-org/merge", "2"},
		{"squash", "Change squash (#2)", "1"},
		{"rebase", "Change rebase", "1"},
	} {
		branch := m.method
		h.branch(branch, sandbox.Files{branch + ".yaml": text(branch + "\n"), "shared.yaml": text("1 " + branch + "\n2\n3\n4\n5\n6\n7\n")})
		n := h.open(branch)
		h.commit(sandbox.Files{"shared.yaml": text(strings.TrimSuffix(h.git("show", "main:shared.yaml"), "7") + "7 and " + branch + "\n")})
		if got := h.must(200, h.do("GET", "/pulls/"+string(rune('0'+n)), nil)); got.field("mergeable") != true || got.text("mergeable_state") != "clean" {
			t.Errorf("%s: %v %v", branch, got.field("mergeable"), got.field("mergeable_state"))
		}
		h.must(200, h.do("PUT", "/pulls/"+string(rune('0'+n))+"/merge", object{"merge_method": m.method}))
		if got := h.git("log", "-1", "--format=%s", "main"); got != m.headline {
			t.Errorf("%s: headline %q, want %q", branch, got, m.headline)
		}
		if got := h.git("show", "main:shared.yaml"); got != "1 "+branch+"\n2\n3\n4\n5\n6\n7 and "+branch {
			t.Errorf("%s: merged to\n%s", branch, got)
		}
		signed := strings.Contains(h.git("cat-file", "commit", "main"), "gpgsig")
		if signed != (m.method != "rebase") {
			t.Errorf("%s: signed: %v", branch, signed)
		}
		if _, err := h.repo.Head(branch); err == nil {
			t.Errorf("%s: the branch is still there", branch)
		}
		h.commit(sandbox.Files{"shared.yaml": text("1\n2\n3\n4\n5\n6\n7\n")})
	}
	h.branch("conflict", sandbox.Files{"shared.yaml": text("x\n2\n3\n4\n5\n6\n7\n")})
	h.open("conflict")
	h.commit(sandbox.Files{"shared.yaml": text("y\n2\n3\n4\n5\n6\n7\n")})
	if r := h.must(200, h.do("GET", "/pulls/4", nil)); r.field("mergeable") != false || r.text("mergeable_state") != "dirty" {
		t.Errorf("conflict: %v %v", r.field("mergeable"), r.field("mergeable_state"))
	}
	if r := h.must(405, h.do("PUT", "/pulls/4/merge", nil)); r.text("message") != "Pull Request is not mergeable" {
		t.Errorf("conflict: %s", r.body)
	}
	h.fsck()
}

// An asynchronous merge judges the rules when it runs, and a queue takes its time.
func TestAsynchronousMerges(t *testing.T) {
	t.Parallel()
	w := newWatch()
	h := newHub(t, func(o *sandbox.Options) { o.Clock = w.Now })
	h.Configure(func(s *sandbox.Settings) { s.MergeDelay = sandbox.Duration(time.Second) })
	h.repo.Protect("main", sandbox.Protection{Ruleset: true, Checks: []string{"build"}, Reviews: 1})
	head := h.branch("one", sandbox.Files{"a.yaml": text("a\n")})
	n := h.open("one")
	poll := func(r reply) reply {
		return h.must(200, h.do("GET", "/pulls/1/merge-async/"+r.text("details", "uuid"), nil))
	}
	want := func(r reply, status, message string) {
		t.Helper()
		if r.text("status") != status || r.text("details", "message") != message {
			t.Errorf("%s, want %s %q", r.body, status, message)
		}
	}
	start := func(body any) reply { return h.must(202, h.do("PUT", "/pulls/1/merge-async", body)) }
	a := start(object{"sha": head, "merge_method": "squash"})
	want(h.must(409, h.do("PUT", "/pulls/1/merge-async", nil)), "pending", "A merge request already exists for this pull request.")
	want(poll(a), "pending", "Merge request is in progress.")
	w.Add(time.Second)
	want(poll(a), "failed", "Repository rule violations found\n\nRequired status check \"build\" is expected.\n\n")
	h.repo.SetCheck(head, "build", "failure", true)
	a = start(nil)
	w.Add(time.Second)
	want(poll(a), "failed", "Repository rule violations found\n\nRequired status check \"build\" is failing.\n\n")
	h.must(201, h.do("POST", "/statuses/"+head, object{"state": "success", "context": "build"}))
	a = start(nil)
	w.Add(time.Second)
	want(poll(a), "failed", "Repository rule violations found\n\nAt least 1 approving review is required by reviewers with write access.\n\n")
	if err := h.repo.Approve(n, "mona"); err != nil {
		t.Fatal(err)
	}
	a = start(nil)
	moved := h.branch("one", sandbox.Files{"a.yaml": text("b\n")})
	w.Add(time.Second)
	want(poll(a), "failed", "Head branch was modified. Review and try the merge again.")
	h.repo.SetCheck(moved, "build", "success", false)
	if err := h.repo.Approve(n, "mona"); err != nil {
		t.Fatal(err)
	}
	h.repo.Protect("main", sandbox.Protection{Queue: &sandbox.MergeQueue{Wait: sandbox.Duration(time.Minute)}})
	if r := h.do("PUT", "/pulls/1/merge", nil); r.status != 405 || !strings.Contains(string(r.body), "Changes must be made through the merge queue") {
		t.Errorf("past the queue: %d %s", r.status, r.body)
	}
	a = start(nil)
	w.Add(time.Second)
	want(poll(a), "enqueued", "Pull request is in the merge queue.")
	want(h.must(200, h.do("PUT", "/pulls/1/merge-async", nil)), "enqueued", "Pull request is already in the merge queue.")
	w.Add(time.Minute)
	want(poll(a), "merged", "Pull request was merged.")
	want(h.must(200, h.do("PUT", "/pulls/1/merge-async", nil)), "merged", "Pull request is already merged.")
	w.Add(25 * time.Hour)
	h.must(404, h.do("GET", "/pulls/1/merge-async/"+a.text("details", "uuid"), nil))
	h.Configure(func(s *sandbox.Settings) { s.NoAsyncMerge = true })
	h.must(404, h.do("PUT", "/pulls/1/merge-async", nil))
}
