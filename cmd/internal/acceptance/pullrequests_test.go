package acceptance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// byPull is a target that takes pull requests, and GitHub's own events.
const byPull = `
targets:
  - name: production
    repository: refty-yapi/refty-infra-test
    branch: main
    mode: pull_request
    pull_request: {%s}
webhooks:
  - name: infra
    kind: github
    secrets: [{value: hub}]
`

func withPulls(settings string) option { return withConfig(fmt.Sprintf(byPull, settings)) }

// pulls are the pull requests, the oldest first.
func (w *world) pulls() []sandbox.PullRequest { return w.repo.PullRequests() }

// onlyPull is the newest pull request, of n.
func (w *world) onlyPull(n int) sandbox.PullRequest {
	w.t.Helper()
	all := w.pulls()
	if len(all) != n {
		w.t.Fatalf("%d pull requests, want %d", len(all), n)
	}
	return all[n-1]
}

// hint delivers an event of GitHub's about a branch.
func (w *world) hint(event, branch string) reply {
	w.t.Helper()
	body := fmt.Sprintf(`{"repository":{"full_name":%q},"pull_request":{"head":{"ref":%q}},"check_suite":{"head_branch":%[2]q},"ref":"refs/heads/%[2]s"}`, w.repo.Name(), branch)
	mac := hmac.New(sha256.New, []byte("hub"))
	mac.Write([]byte(body))
	r, err := w.try(http.MethodPost, "/v1/webhooks/infra", strings.NewReader(body), "Content-Type", "application/json",
		"X-GitHub-Event", event, "X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	w.must(err)
	return r
}

// hinted delivers an event until what is wanted is so.
func (w *world) hinted(event, branch, what string, is func() bool) {
	w.t.Helper()
	next := time.Now()
	for deadline := time.Now().Add(patience); !is(); <-time.After(10 * time.Millisecond) {
		if now := time.Now(); now.After(next) { // a look may have come too early
			if r := w.hint(event, branch); r.status != http.StatusOK || !strings.Contains(r.body, `"noted"`) {
				w.t.Fatalf("the hint is answered %d %s", r.status, r.body)
			}
			next = now.Add(time.Second)
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("never %s; pull requests %+v\n%s", what, w.pulls(), w.logs)
		}
	}
}

func (w *world) statusOf(id string) api.Status {
	w.t.Helper()
	return w.get("/v1/updates/" + id).record.Status
}

// writes are the writes to GitHub since the last call, as method and endpoint.
func (w *world) writes() (writes []string, unconditional int) {
	w.t.Helper()
	for _, r := range w.hub.Requests() {
		switch {
		case r.Method != http.MethodGet:
			writes = append(writes, strings.Replace(r.Endpoint, "/repos/{owner}/{repo}/", "", 1))
		case !r.Conditional:
			unconditional++
		}
	}
	w.hub.ResetRequests()
	return writes, unconditional
}

func wantPull(t *testing.T, r reply, status int, state api.Status, number int) {
	t.Helper()
	if r.status != status || len(r.update.Targets) != 1 || r.update.Status != state {
		t.Fatalf("answered %d, want %d %s: %s", r.status, status, state, r.body)
	}
	target := r.update.Targets[0]
	if number > 0 && (target.PullRequest == nil || target.PullRequest.Number != number) {
		t.Fatalf("pull request %+v, want number %d: %s", target.PullRequest, number, r.body)
	}
}

// One pull request for an image: opened, updated in place on the newest base, merged, and
// then another one.
func TestAPullRequestForAnImage(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`title: "Deploy {name} {version}", body: "For {image}.", labels: [deploy], reviewers: [octocat, hubot]`))
	refusedIn := func(log string) int { return strings.Count(log, `"refused":["reviewer octocat: `) }
	before := w.head()
	w.writes()
	first := w.post(`{"image": "` + node + `", "version": "v1", "message": "Fixes #12, says @mona <b>", "source": {"repository": "octo-org/web", "url": "https://example.com/runs/1?a=|b"}}`)
	wantPull(t, first, http.StatusCreated, api.StatusProposed, 1)
	target := first.update.Targets[0]
	if got, want := first.header.Get("Location"), target.PullRequest.Url; got != want || target.PullRequest.State != "open" {
		t.Errorf("Location %q, want %q of %+v", got, want, target.PullRequest)
	}
	writes, _ := w.writes()
	if got, want := strings.Join(writes, ", "), "POST git/trees, POST git/commits, POST git/refs, POST pulls, POST issues/{number}/labels, POST pulls/{number}/requested_reviewers, POST pulls/{number}/requested_reviewers, POST pulls/{number}/requested_reviewers"; got != want {
		t.Errorf("writes %s, want %s", got, want)
	}
	if target.Refused == nil || !strings.Contains((*target.Refused)[0], "Review cannot be requested from pull request author.") || refusedIn(w.logs.String()) != 1 {
		t.Errorf("refused %v, in %d log lines", target.Refused, refusedIn(w.logs.String()))
	}
	p := w.onlyPull(1)
	if !strings.HasPrefix(p.Head, "versions/production-ghcr-io-refty-yapi-refty-node-refty-node-") || strings.Count(p.Head, "/") != 1 || p.Title != "Deploy refty-node v1" ||
		p.HeadSHA != target.Commit.Sha || w.head() != before || strings.Join(p.Labels, p.Reviewers[0]) != "deploy" {
		t.Errorf("%+v", p)
	}
	visible, _, _ := strings.Cut(p.Body, "<!--")
	for _, want := range []string{"For " + node + ".", "| `" + node + "` | `10-10-ver` | `v1` | `apps/parser.yaml`<br>`apps/sync.yml` |", "`octo-org/web`", "```text\n  Fixes #12, says @mona <b>\n", "```diff\n", "+          image: " + node + ":v1"} {
		if !strings.Contains(visible, want) {
			t.Errorf("the body has no %q:\n%s", want, visible)
		}
	}

	// The same again writes nothing, and reads three things that did not change.
	w.post(setTo(node, "v1"))
	w.writes()
	again := w.post(setTo(node, "v1"))
	wantPull(t, again, http.StatusOK, api.StatusProposed, 1)
	if n := len(w.hub.Requests()); n > 3 {
		t.Errorf("%d requests", n)
	}
	if writes, unconditional := w.writes(); len(writes)+unconditional > 0 {
		t.Errorf("writes %v, %d reads at full cost", writes, unconditional)
	}

	// In place, on the newest base; a dry run is the plan alone.
	w.push(map[string]string{"other.yaml": "a: b\n"})
	dry := w.post(`{"image": "` + node + `", "version": "v2", "dry_run": true}`)
	if dry.update.Status != api.StatusPlanned || !strings.Contains(*dry.update.Targets[0].Diff, node+":v2") {
		t.Errorf("dry run: %s", dry.body)
	}
	w.writes()
	wantPull(t, w.post(setTo(node, "v2")), http.StatusCreated, api.StatusProposed, 1)
	writes, _ = w.writes()
	if got, want := strings.Join(writes, ", "), "POST git/trees, POST git/commits, PATCH git/refs/{ref}, PATCH pulls/{number}"; got != want {
		t.Errorf("writes %s, want %s", got, want)
	}
	p = w.onlyPull(1)
	log, err := w.repo.Log(p.Head)
	w.must(err)
	if p.Title != "Deploy refty-node v2" || log[0].Parents[0] != w.head() || len(log) < 3 || log[1].SHA != w.head() {
		t.Errorf("not one commit on the newest base: %+v", p)
	}
	if got := w.statusOf(first.update.Id); got != api.StatusSuperseded {
		t.Errorf("the first update is %s", got)
	}

	// Merged, it is committed; the branch goes, and the next version has a pull request of its own.
	second := w.post(setTo(node, "v2"))
	w.must(w.repo.MergePullRequest(1, "squash"))
	w.hinted("pull_request", p.Head, "committed", func() bool { return w.statusOf(second.update.Id) == api.StatusCommitted })
	if got := w.get("/v1/updates/" + second.update.Id).record.Targets[0]; got.Commit.Sha != w.head() || got.PullRequest.State != "merged" {
		t.Errorf("%+v %+v", got.Commit, got.PullRequest)
	}
	if _, err := w.repo.Head(p.Head); err == nil {
		t.Error("the branch of the merged pull request is still there")
	}
	wantPull(t, w.post(setTo(node, "v2")), http.StatusOK, api.StatusUnchanged, 0)
	wantPull(t, w.post(setTo(node, "v3")), http.StatusCreated, api.StatusProposed, 2)
	if r := w.post(`{"image": "` + node + `", "version": "v4", "mode": "commit"}`); r.status != http.StatusUnprocessableEntity || r.problem.Errors == nil || (*r.problem.Errors)[0].Pointer != "/mode" {
		t.Errorf("a commit past the pull requests: %d %s", r.status, r.body)
	}
}

// What somebody else does to a pull request counts.
func TestPullRequestsAndPeople(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`group: image`))
	first := w.post(setTo(node, "v1"))
	wantPull(t, first, http.StatusCreated, api.StatusProposed, 1)
	branch := w.onlyPull(1).Head

	// Closed: not again, until retried or newer.
	w.must(w.repo.ClosePullRequest(1))
	w.hinted("pull_request", branch, "unchanged", func() bool { return w.statusOf(first.update.Id) == api.StatusUnchanged })
	closed := w.post(setTo(node, "v1"))
	wantPull(t, closed, http.StatusOK, api.StatusUnchanged, 1)
	if reason := closed.update.Targets[0].Reason; reason == nil || *reason != "pull_request_closed" {
		t.Errorf("%s", closed.body)
	}
	retried, err := w.try(http.MethodPost, "/v1/updates/"+first.update.Id+"/retry", nil)
	w.must(err)
	if retried.status != http.StatusAccepted {
		t.Fatalf("retry: %d %s", retried.status, retried.body)
	}
	w.eventually(first.update.Id, api.StatusProposed)
	w.onlyPull(2)
	w.must(w.repo.ClosePullRequest(2))
	wantPull(t, w.post(setTo(node, "v1")), http.StatusOK, api.StatusUnchanged, 2)
	w.must(w.repo.ReopenPullRequest(2))
	wantPull(t, w.post(setTo(node, "v1")), http.StatusOK, api.StatusProposed, 2)
	w.must(w.repo.ClosePullRequest(2))
	wantPull(t, w.post(setTo(node, "v2")), http.StatusCreated, api.StatusProposed, 3)

	// A person's commit on our branch stops the update, and is kept.
	theirs, err := w.repo.Commit(branch, sandbox.Files{"fix.yaml": {Content: []byte("a: b\n")}}, "Fix it")
	w.must(err)
	if r := w.post(setTo(node, "v3")); r.status != http.StatusConflict || r.problem.Code != api.ProblemCodePullRequestChanged {
		t.Errorf("%d %s", r.status, r.body)
	}
	if got, err := w.repo.Head(branch); err != nil || got != theirs {
		t.Errorf("the branch is at %s, want %s", got, theirs)
	}
	w.must(w.repo.MergePullRequest(3, "squash"))
	wantPull(t, w.post(setTo(node, "v3")), http.StatusCreated, api.StatusProposed, 4)

	// Others bring the references there: closed, with a comment that says why.
	w.push(map[string]string{"apps/parser.yaml": deployment(node + ":v3"), "apps/sync.yml": deployment(node + ":v3")})
	w.hinted("push", "main", "closed", func() bool { return w.onlyPull(4).State == "closed" })
	w.hinted("push", "main", "commented", func() bool { return len(w.onlyPull(4).Comments) == 1 })
	if text := w.onlyPull(4).Comments[0].Body; !strings.Contains(text, "nothing left to merge") {
		t.Errorf("comment %q", text)
	}
	wantPull(t, w.post(setTo(node, "v3")), http.StatusOK, api.StatusUnchanged, 0)

	// Without the permission: named, and no branch is left behind.
	w.hub.AddToken(githubToken, sandbox.Token{Name: "service", Permissions: sandbox.Permissions{"contents": sandbox.Write}})
	if r := w.post(setTo(worker, "v1")); r.status != http.StatusBadGateway || r.problem.Code != api.ProblemCodeUpstreamForbidden || !strings.Contains(r.problem.Detail, "Pull requests: write") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if out := w.git("", "for-each-ref", "--format=%(refname)", "refs/heads/versions"); strings.Contains(out, "worker") {
		t.Errorf("a branch is left: %s", out)
	}
}

// One pull request for all that waits for a target.
func TestAPullRequestForATarget(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`group: target, draft: true`))
	one := w.post(setTo(node, "v1"))
	wantPull(t, one, http.StatusCreated, api.StatusProposed, 1)
	two := w.post(setTo(worker, "v2"))
	wantPull(t, two, http.StatusCreated, api.StatusProposed, 1)
	p := w.onlyPull(1)
	content, err := w.repo.ReadFile(p.Head, "apps/parser.yaml")
	w.must(err)
	other, err := w.repo.ReadFile(p.Head, "apps/worker.yaml")
	w.must(err)
	if !p.Draft || !strings.Contains(string(content), node+":v1") || !strings.Contains(string(other), worker+":v2") || !strings.Contains(p.Body, "`"+node+"`") {
		t.Errorf("%+v", p)
	}
	w.must(w.repo.MergePullRequest(1, "rebase"))
	for _, id := range []string{one.update.Id, two.update.Id} {
		w.hinted("pull_request", p.Head, "committed", func() bool { return w.statusOf(id) == api.StatusCommitted })
	}
}

// GitHub merges when its rules allow it, through a queue, and over a restart.
func TestPullRequestsThatMergeThemselves(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`merge: when_ready`), withData(), func(w *world) {
		w.repo.Protect("main", sandbox.Protection{Ruleset: true, Checks: []string{"build"}, Queue: &sandbox.MergeQueue{Wait: sandbox.Duration(100 * time.Millisecond)}})
	})
	r := w.post(setTo(node, "v1"))
	wantPull(t, r, http.StatusCreated, api.StatusProposed, 1)
	p := w.onlyPull(1)
	w.must(w.stop())
	w.repo.SetCheck(p.HeadSHA, "build", "success", true)
	w.run()
	w.hinted("check_suite", p.Head, "merged", func() bool { return w.statusOf(r.update.Id) == api.StatusCommitted })
	log := w.log()
	if p = w.onlyPull(1); !p.Merged || p.MergeSHA != log[0].SHA || !strings.Contains(log[0].Message, "(#1)") || !strings.Contains(log[0].Message, "Update-Id: "+r.update.Id) || log[0].Signature == "" {
		t.Errorf("%+v\n%s", p, log[0].Message)
	}

	// A server that cannot says so, and the pull request stays.
	w.hub.Configure(func(s *sandbox.Settings) { s.NoAsyncMerge = true })
	r = w.post(setTo(node, "v2"))
	wantPull(t, r, http.StatusCreated, api.StatusProposed, 2)
	if why := r.update.Targets[0].MergeError; why == nil || !strings.Contains(*why, "no asynchronous merge") {
		t.Errorf("%s", r.body)
	}
}

// Pull requests that share an image are on branches of their own. The newer one has it:
// the older one leaves it out, or is closed, and never takes its version back.
func TestPullRequestsThatShareAnImage(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`merge: never`))
	single := w.post(setTo(node, "v1"))
	wantPull(t, single, http.StatusCreated, api.StatusProposed, 1)
	set := w.post(both("v2"))
	wantPull(t, set, http.StatusCreated, api.StatusProposed, 2)
	w.must(w.repo.MergePullRequest(2, "squash"))
	w.hinted("push", "main", "closed", func() bool { return w.pulls()[0].State == "closed" })
	w.hinted("push", "main", "ended", func() bool {
		return w.statusOf(single.update.Id) == api.StatusSuperseded && w.statusOf(set.update.Id) == api.StatusCommitted
	})
	if comments := w.pulls()[0].Comments; len(comments) != 1 || !strings.HasPrefix(comments[0].Body, "Newer updates move all of these images") {
		t.Errorf("comments %+v", comments)
	}
	if _, err := w.repo.Head(w.pulls()[0].Head); err == nil {
		t.Error("the branch of the closed pull request is still there")
	}

	set = w.post(both("v3"))
	wantPull(t, set, http.StatusCreated, api.StatusProposed, 3)
	if n := changesOf(set.update.Targets[0]); n[node] != 2 || n[worker] != 1 {
		t.Errorf("changes %v", n)
	}
	wantPull(t, w.post(both("v3")), http.StatusOK, api.StatusProposed, 3)
	wantPull(t, w.post(setTo(node, "v4")), http.StatusCreated, api.StatusProposed, 4)
	w.hinted("push", "main", "without the image", func() bool { return !strings.Contains(w.pulls()[2].Body, node+":v3") })
	if body := w.pulls()[2].Body; !strings.Contains(body, worker+":v3") || w.pulls()[2].State != "open" {
		t.Errorf("the other image is left out as well:\n%s", body)
	}
	w.must(w.repo.MergePullRequest(4, "squash"))
	w.must(w.repo.MergePullRequest(3, "squash"))
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":v4") {
		t.Errorf("not at the newest version:\n%s", content)
	}

	// What it left out is not what it brought.
	w.hinted("push", "main", "ended", func() bool { return w.statusOf(set.update.Id) == api.StatusCommitted })
	target := w.get("/v1/updates/" + set.update.Id).record.Targets[0]
	if left := target.Superseded; left == nil || !slices.Equal(*left, []string{node}) {
		t.Errorf("superseded %v", left)
	}
	if n := changesOf(target); n[node] != 0 || n[worker] != 1 || target.Commit == nil || target.Commit.Sha != w.pulls()[2].MergeSHA || target.PullRequest.State != api.PullRequestStateMerged {
		t.Errorf("changes %v, commit %+v, pull request %+v", n, target.Commit, target.PullRequest)
	}
}

// both is a request for two images at a version.
func both(version string) string {
	return fmt.Sprintf(`{"images": [{"image": %q, "version": %q}, {"image": %q, "version": %[2]q}]}`, node, version, worker)
}
