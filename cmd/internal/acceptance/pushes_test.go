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

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const fieldRepo = "octo-org/field"

// fieldBranch is the name of the i-th branch of withField.
func fieldBranch(i int) string { return fmt.Sprintf("b-%04d", i) }

// withField gives the program n branches of a repository as targets, beside the default
// branch of another one, and GitHub's events of both. The first branch names the image
// node and the last one worker; no other names either.
func withField(n int) option {
	return func(w *world) {
		plain := map[string]string{"a.yaml": deployment("octo-org/plain:1")}
		withRepository(fieldRepo, plain)(w)
		withRepository(otherRepo, plain)(w)
		var config strings.Builder
		config.WriteString("webhooks:\n  - {name: infra, kind: github, secrets: [{value: hub}]}\ntargets:\n  - repository: " + otherRepo + "\n")
		base, err := w.field().Head("main")
		w.must(err)
		for i := range n {
			w.must(w.field().Reset(fieldBranch(i), base))
			fmt.Fprintf(&config, "  - {repository: %s, branch: %s}\n", fieldRepo, fieldBranch(i))
		}
		w.pushTo(0, "node.yaml", deployment(node+":old"))
		w.pushTo(n-1, "worker.yaml", deployment(worker+":old"))
		withConfig(config.String())(w)
		delete(w.env, "GITHUB_REPOSITORY")
	}
}

func (w *world) field() *sandbox.Repository { return w.others[fieldRepo] }

// pushTo commits a file to one of the branches, as a colleague would.
func (w *world) pushTo(i int, path, content string) {
	w.t.Helper()
	_, err := w.field().Commit(fieldBranch(i), sandbox.Files{path: {Content: []byte(content)}}, "push by a colleague")
	w.must(err)
}

// event delivers an event of GitHub's with a signature by the secret.
func (w *world) event(name, secret, body string) reply {
	w.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	r, err := w.try(http.MethodPost, "/v1/webhooks/infra", strings.NewReader(body), "Content-Type", "application/json",
		"X-GitHub-Event", name, "X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	w.must(err)
	return r
}

// pushed delivers a push event with more fields, which nobody looks at.
func (w *world) pushedTo(repository, ref, more string) {
	w.t.Helper()
	r := w.event("push", "hub", fmt.Sprintf(`{"ref":%q,"repository":{"full_name":%q}%s}`, ref, repository, more))
	if r.status != http.StatusOK || !strings.Contains(r.body, `"noted"`) {
		w.t.Fatalf("the event is answered %d %s", r.status, r.body)
	}
}

func (w *world) pushedToField(i int) { w.pushedTo(fieldRepo, "refs/heads/"+fieldBranch(i), "") }

// moves sets the image node to a version and returns the branches with what became of them.
func (w *world) moves(version string) (all []string) {
	w.t.Helper()
	for _, target := range w.post(setTo(node, version)).update.Targets {
		line := target.Branch + " " + string(target.Status)
		if target.Problem != nil {
			line += " " + string(target.Problem.Code)
		}
		all = append(all, line)
	}
	return all
}

// TestRequestsOfManyTargets counts what an update costs at GitHub that names no repository.
func TestRequestsOfManyTargets(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := start(t, withField(n))
			wantCommitted(t, w.post(setTo(node, "v1"))) // reads every branch once
			mark := w.mark()
			wantCommitted(t, w.post(setTo(node, "v2")))
			always := 0
			if n+1 <= 16 { // few branches are always asked
				always = 1
			}
			w.wantSpent(mark, append(writes(), slices.Repeat([]string{callHeadStands}, always)...)...)

			mark = w.mark()
			wantCommitted(t, w.post(setTo(worker, "v1")))
			if got := w.spentSince(mark); len(got) > len(writes())+1+always {
				t.Errorf("another image costs %d requests: %q", len(got), got)
			}
			r := w.post(setTo("octo-org/nobody", "v1"))
			wantProblem(t, r, http.StatusNotFound, api.ProblemCodeImageNotReferenced)
			if len(r.problem.Detail) > 2_000 {
				t.Errorf("the answer lists its targets in %d bytes", len(r.problem.Detail))
			}
		})
	}
}

// A push event has its branch read again. Nothing else of it counts, and nobody else can
// send one.
func TestPushEvents(t *testing.T) {
	t.Parallel()
	w := start(t, withField(20))
	version := 0
	want := func(what string, branches ...string) {
		t.Helper()
		version++
		if diff := cmp.Diff(branches, w.moves(fmt.Sprint("v", version)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	names := deployment(node + ":old")
	want("the first request", "b-0000 committed")

	w.pushTo(5, "new.yaml", names)
	want("nobody tells of a push", "b-0000 committed")
	forged := w.event("push", "guess", `{"ref":"refs/heads/b-0005","repository":{"full_name":"octo-org/field"}}`)
	wantProblem(t, forged, http.StatusUnauthorized, api.ProblemCodeUnauthenticated)
	want("somebody else tells of it", "b-0000 committed")
	for body, status := range map[string]string{
		`{"ref":"refs/heads/b-0005","repository":{"full_name":"octo-org/unknown"}}`: "ignored",
		`{"ref":"refs/heads/b-0005","repository":{"full_name":"no name"}}`:          "ignored",
		`{"ref":"refs/tags/b-0005","repository":{"full_name":"octo-org/field"}}`:    "ignored",
		`{"ref":"refs/heads/feature","repository":{"full_name":"octo-org/field"}}`:  "noted",
	} {
		if r := w.event("push", "hub", body); r.status != http.StatusOK || !strings.Contains(r.body, `"`+status+`"`) {
			t.Errorf("%s is answered %d %s", body, r.status, r.body)
		}
	}
	want("events of others", "b-0000 committed")
	w.pushedToField(5)
	want("the push event", "b-0000 committed", "b-0005 committed")

	before, err := w.field().Head(fieldBranch(5))
	w.must(err)
	for range 3 {
		w.pushedToField(5)
	}
	if after, _ := w.field().Head(fieldBranch(5)); after != before {
		t.Error("a replay moves the branch")
	}
	want("replays", "b-0000 committed", "b-0005 committed")

	w.pushTo(6, "first.yaml", deployment("octo-org/plain:2"))
	w.pushTo(6, "second.yaml", names)
	for _, more := range []string{`,"after":"2222222222222222222222222222222222222222"`, `,"after":"1111111111111111111111111111111111111111","deleted":true`} {
		w.pushedTo(fieldRepo, "refs/heads/b-0006", more)
	}
	want("events in another order, one of which lies", "b-0000 committed", "b-0005 committed", "b-0006 committed")

	w.pushTo(7, "first.yaml", deployment("octo-org/plain:3"))
	w.pushedToField(7)
	want("a push without the image", "b-0000 committed", "b-0005 committed", "b-0006 committed")
	_, err = w.field().Rewind(fieldBranch(7), 1)
	w.must(err)
	w.pushTo(7, "second.yaml", names)
	w.pushedTo("Octo-Org/Field", "refs/heads/b-0007", `,"forced":true`)
	want("a forced push", "b-0000 committed", "b-0005 committed", "b-0006 committed", "b-0007 committed")

	head, err := w.field().Head(fieldBranch(8))
	w.must(err)
	w.must(w.field().DeleteBranch(fieldBranch(8)))
	w.pushedTo(fieldRepo, "refs/heads/b-0008", `,"deleted":true`)
	want("a deleted branch", "b-0000 committed", "b-0005 committed", "b-0006 committed", "b-0007 committed", "b-0008 failed branch_not_found")
	w.must(w.field().Reset(fieldBranch(8), head))
	w.pushTo(8, "new.yaml", names)
	w.pushedTo(fieldRepo, "refs/heads/b-0008", `,"created":true`)
	want("a branch that is there again", "b-0000 committed", "b-0005 committed", "b-0006 committed", "b-0007 committed", "b-0008 committed")

	other := w.others[otherRepo]
	head, err = other.Head("main")
	w.must(err)
	w.must(other.Reset("trunk", head))
	w.must(other.SetDefaultBranch("trunk"))
	w.must(other.DeleteBranch("main"))
	_, err = other.Commit("trunk", sandbox.Files{"new.yaml": {Content: []byte(names)}}, "push by a colleague")
	w.must(err)
	w.pushedTo(otherRepo, "refs/heads/trunk", "")
	want("a renamed default branch", "trunk committed", "b-0000 committed", "b-0005 committed", "b-0006 committed", "b-0007 committed", "b-0008 committed")
}

// An event that one replica got counts on the others, and that the store is away means
// that every branch is asked.
func TestPushEventsOnAnotherReplica(t *testing.T) {
	t.Parallel()
	w := prepare(t, withEnv("DATABASE_URL", postgresURL(t)), withField(20))
	w.run()
	other := *w
	other.run()
	for i, each := range []*world{w, &other} {
		if got := each.moves(fmt.Sprint("v", i)); !slices.Equal(got, []string{"b-0000 committed"}) {
			t.Fatalf("replica %d: %q", i, got)
		}
	}
	w.pushTo(7, "new.yaml", deployment(node+":old"))
	other.pushedToField(7)
	for i, each := range []*world{w, &other} {
		if got := each.moves(fmt.Sprint("w", i)); !slices.Equal(got, []string{"b-0000 committed", "b-0007 committed"}) {
			t.Errorf("replica %d: %q", i, got)
		}
	}
}
