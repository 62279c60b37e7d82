package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// needing protects main so that a pull request needs the check build.
func needing(queue *sandbox.MergeQueue) option {
	return func(w *world) {
		w.repo.Protect("main", sandbox.Protection{Checks: []string{"build"}, Queue: queue})
	}
}

// checked reports the check build of the newest pull request's head as a success.
func (w *world) checked() {
	all := w.pulls()
	w.repo.SetCheck(all[len(all)-1].HeadSHA, "build", "success", true)
}

// mergeError is what the update says of its merge.
func (w *world) mergeError(id string) string {
	w.t.Helper()
	r := w.get("/v1/updates/" + id).record
	if len(r.Targets) != 1 || r.Targets[0].MergeError == nil {
		return ""
	}
	return *r.Targets[0].MergeError
}

// told waits until the update says that of its merge.
func (w *world) told(id, text string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(w.mergeError(id), text); <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never told %q but %q; pull requests %+v\n%s", text, w.mergeError(id), w.pulls(), w.logs)
		}
	}
}

// Whoever prefers to wait waits for the merge, and is told how it stands when the time is
// over; nobody else does.
func TestWaitingForAMerge(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`merge: when_ready`), needing(nil))
	wantPull(t, w.post(setTo(worker, "v1")), http.StatusCreated, api.StatusProposed, 1)

	wait := fmt.Sprintf("wait=%d", max(5, racetime.Slower)) // the proposal is there by then, and the merge is not
	short := w.post(setTo(node, "v1"), "Prefer", wait)
	wantPull(t, short, http.StatusCreated, api.StatusProposed, 2)
	if target := short.update.Targets[0]; short.header.Get("Preference-Applied") != wait || short.header.Get("Location") != target.PullRequest.Url {
		t.Errorf("%v %s", short.header, short.body)
	}
	w.told(short.update.Id, `GitHub says: Required status check "build" is expected.`)

	done := make(chan reply, 1)
	go func() {
		r, err := w.tryPost(setTo(node, "v2"), "Prefer", "wait=50", "Idempotency-Key", "one")
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	w.hinted("push", "main", "proposed", func() bool { return strings.Contains(w.pulls()[1].Title, "v2") })
	w.checked()
	w.hinted("check_suite", w.pulls()[1].Head, "merged", func() bool { return w.pulls()[1].Merged })
	r := <-done
	wantPull(t, r, http.StatusCreated, api.StatusCommitted, 2)
	if target := r.update.Targets[0]; target.Commit.Sha != w.head() || r.header.Get("Location") != target.Commit.Url || target.PullRequest.State != "merged" || target.MergeError != nil {
		t.Errorf("%v %s", r.header, r.body)
	}
	if again := w.post(setTo(node, "v2"), "Prefer", "wait=50", "Idempotency-Key", "one"); again.status != http.StatusCreated || again.body != r.body {
		t.Errorf("the same again: %d %s", again.status, again.body)
	}
}

// What is put on hold between the proposal and the merge is not merged, until the hold is
// released. A merge that stands in a queue already is taken back.
func TestHoldsStopMerges(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`merge: when_ready`), needing(&sandbox.MergeQueue{Wait: sandbox.Duration(time.Hour)}))
	first := w.post(setTo(node, "v1"))
	wantPull(t, first, http.StatusCreated, api.StatusProposed, 1)
	hold := w.holdImage("", `{"image": "`+node+`", "reason": "5xx since noon"}`)
	w.told(first.update.Id, node+" is on hold ("+hold.Id+")")
	if said := w.mergeError(first.update.Id); !strings.HasSuffix(said, ": 5xx since noon") {
		t.Error(said)
	}
	p := w.onlyPull(1)
	w.checked()
	w.push(map[string]string{"other.yaml": "a: b\n"}) // it is not rebuilt either
	w.hub.ResetRequests()
	w.hinted("push", "main", "looked at", func() bool { return len(w.hub.Requests()) >= 2 })
	if now := w.onlyPull(1); now.Merged || now.HeadSHA != p.HeadSHA {
		t.Errorf("%+v", now)
	}
	if r := w.post(setTo(node, "v2")); r.status != http.StatusOK || r.update.Status != api.StatusHeld {
		t.Errorf("a newer one: %d %s", r.status, r.body)
	}

	// Released, GitHub is asked at once. It stands in the queue when the next hold comes.
	w.hub.ResetRequests()
	if r := w.release("", hold.Id); r.status != http.StatusNoContent {
		t.Fatalf("release: %d %s", r.status, r.body)
	}
	asked := func(method string) bool {
		for _, r := range w.hub.Requests() {
			if r.Method == method && strings.Contains(r.Endpoint, "merge-async") {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(patience); !asked(http.MethodGet); <-time.After(betweenLooks) {
		if w.repo.SetCheck(w.onlyPull(1).HeadSHA, "build", "success", true); time.Now().After(deadline) {
			t.Fatalf("GitHub is not asked: %+v\n%s", w.pulls(), w.logs)
		}
	}
	queued := w.onlyPull(1).HeadSHA
	hold = w.holdImage("", `{"image": "`+node+`"}`)
	w.told(first.update.Id, "is on hold ("+hold.Id+")")
	w.hinted("push", "main", "taken back", func() bool { return w.onlyPull(1).HeadSHA != queued })
	if log, err := w.repo.Log(p.Head); err != nil || log[1].SHA != w.head() {
		t.Errorf("the branch has not one commit on the base: %v, %v", log, err)
	}

	w.repo.Unprotect("main")
	w.release("", hold.Id)
	w.eventually(first.update.Id, api.StatusCommitted)
}

// A frozen target takes no pull request and merges none; an override passes.
func TestFreezesStopMerges(t *testing.T) {
	t.Parallel()
	settings := "targets:\n  - {name: production, repository: " + repoName + ", branch: main, mode: pull_request, pull_request: {merge: when_ready, group: %s}%s}\n" +
		"webhooks:\n  - {name: infra, kind: github, secrets: [{value: hub}]}\n"
	w := start(t, withConfig(fmt.Sprintf(settings, "image", "")), withData(), needing(nil))
	first := w.post(setTo(node, "v1"))
	wantPull(t, first, http.StatusCreated, api.StatusProposed, 1)
	w.must(w.stop())

	withConfig(fmt.Sprintf(settings, "image", `, frozen: stock-taking`))(w)
	w.checked()
	w.run()
	w.hinted("check_suite", w.onlyPull(1).Head, "told", func() bool { return strings.Contains(w.mergeError(first.update.Id), "is frozen: stock-taking") })
	wantPull(t, w.post(setTo(node, "v1")), http.StatusOK, api.StatusProposed, 1)
	wantProblem(t, w.post(setTo(node, "v2")), http.StatusConflict, api.ProblemCodeTargetFrozen)
	stored := w.post(setTo(worker, "v2"), "Prefer", "respond-async")
	w.waits(stored.update.Id)
	override := w.post(`{"image": "` + node + `", "version": "v3", "override": "INC-42"}`)
	wantPull(t, override, http.StatusCreated, api.StatusProposed, 1)
	w.checked()
	w.hinted("check_suite", w.onlyPull(1).Head, "merged", func() bool { return w.statusOf(override.update.Id) == api.StatusCommitted })
	if len(w.pulls()) != 1 {
		t.Errorf("a frozen target has pull requests: %+v", w.pulls())
	}
	w.must(w.stop())

	withConfig(fmt.Sprintf(settings, "image", ""))(w)
	w.run()
	w.eventually(stored.update.Id, api.StatusProposed)
	w.must(w.repo.MergePullRequest(2, "squash"))
	w.must(w.stop())

	// In a pull request for the whole target what is on hold stops the merge, not the next
	// request.
	withConfig(fmt.Sprintf(settings, "target", ""))(w)
	w.run()
	wantPull(t, w.post(setTo(node, "v4")), http.StatusCreated, api.StatusProposed, 3)
	w.holdImage("", `{"image": "`+node+`"}`)
	other := w.post(setTo(worker, "v4"))
	wantPull(t, other, http.StatusCreated, api.StatusProposed, 3)
	if why := other.update.Targets[0].MergeError; why == nil || !strings.Contains(*why, node+" is on hold") {
		t.Errorf("%s", other.body)
	}
}

// A target's gate holds for pull requests too.
func TestGatesOfPullRequests(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(map[string]string{"apps/web.yaml": deployment("ghcr.io/octo-org/web:2.0.0")}),
		withConfig("targets:\n  - {name: production, repository: "+repoName+", branch: main, mode: pull_request, downgrade: refuse}\n"+
			"webhooks:\n  - {name: infra, kind: github, secrets: [{value: hub}]}\n"))
	r := w.post(setTo("ghcr.io/octo-org/web", "1.0.0"))
	wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
	wantPull(t, w.post(setTo("ghcr.io/octo-org/web", "2.1.0")), http.StatusCreated, api.StatusProposed, 1)
	p := w.onlyPull(1)
	w.push(map[string]string{"apps/web.yaml": deployment("ghcr.io/octo-org/web:3.0.0")})
	w.hub.ResetRequests()
	w.hinted("push", "main", "looked at", func() bool { return len(w.hub.Requests()) >= 3 })
	if now := w.onlyPull(1); now.HeadSHA != p.HeadSHA {
		t.Error("the pull request was rebuilt as a downgrade")
	}
}

// GitHub's words say why a pull request was not merged in time. It stays open, and another
// request for it begins anew.
func TestMergesThatAreGivenUp(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	w := start(t, withPulls(`merge: when_ready, merge_timeout: 1h`), needing(nil), func(w *world) {
		w.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	r := w.post(setTo(node, "v1"))
	wantPull(t, r, http.StatusCreated, api.StatusProposed, 1)
	branch := w.onlyPull(1).Head
	const words = `Required status check "build" is expected.`
	w.told(r.update.Id, words)
	ahead.Store(int64(59 * time.Minute))
	w.hub.ResetRequests()
	w.hinted("check_suite", branch, "asked again", func() bool { writes, _ := w.writes(); return len(writes) > 0 })
	if got := w.statusOf(r.update.Id); got != api.StatusProposed {
		t.Fatalf("given up as %s before its time", got)
	}
	ahead.Store(int64(61 * time.Minute))
	w.hinted("check_suite", branch, "given up", func() bool { return w.statusOf(r.update.Id) == api.StatusFailed })
	problem := w.get("/v1/updates/" + r.update.Id).record.Targets[0].Problem
	if problem == nil || !strings.Contains(problem.Detail, words) || !strings.Contains(problem.Detail, "#1") || w.onlyPull(1).State != "open" {
		t.Errorf("%+v", problem)
	}

	again := w.post(setTo(node, "v1"))
	wantPull(t, again, http.StatusOK, api.StatusProposed, 1)
	w.checked()
	w.hinted("check_suite", branch, "merged", func() bool { return w.statusOf(again.update.Id) == api.StatusCommitted })
}

// What GitHub does not take beside the texts is said in the answer and in one log line, by
// name, whoever carries the update out; the rest is taken.
func TestRefusedPeople(t *testing.T) {
	t.Parallel()
	w := start(t, withPulls(`reviewers: [octocat, hubot, ghost], team_reviewers: [platform, nobody], assignees: [hubot, ghost], labels: [deploy]`),
		func(w *world) { w.repo.SetPeople([]string{"octocat", "hubot"}, []string{"platform"}) })
	wantLines := func(t *testing.T, refused *[]string, n int) {
		t.Helper()
		var got []string
		if refused != nil {
			got = *refused
		}
		for i, name := range []string{"reviewer octocat: ", "reviewer ghost: ", "team nobody: ", "assignees ghost: "} {
			if len(got) != 4 || !strings.HasPrefix(got[i], name) || len(got[i]) < len(name)+10 {
				t.Errorf("refused %q", got)
			}
		}
		if lines := strings.Count(w.logs.String(), `"refused":["reviewer octocat: `); lines != n {
			t.Errorf("said in %d log lines, want %d", lines, n)
		}
	}
	now := w.post(setTo(node, "v1"))
	wantPull(t, now, http.StatusCreated, api.StatusProposed, 1)
	wantLines(t, now.update.Targets[0].Refused, 1)
	stored := w.post(setTo(worker, "v1"), "Prefer", "wait=50")
	wantPull(t, stored, http.StatusCreated, api.StatusProposed, 2)
	wantLines(t, stored.update.Targets[0].Refused, 2)
	if p := w.onlyPull(2); strings.Join(p.Reviewers, ",")+strings.Join(p.Teams, ",")+strings.Join(p.Assignees, ",")+strings.Join(p.Labels, ",") != "hubotplatformhubotdeploy" {
		t.Errorf("%+v", p)
	}
}
