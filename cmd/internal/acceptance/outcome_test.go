package acceptance_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The answer to the ref update is lost. What became of it is found out by looking,
// and it is one commit in any case.
func TestLostAnswerOfTheRefUpdate(t *testing.T) {
	t.Parallel()
	pushed := sandbox.Push{Branch: "main", Message: "on top", Files: map[string]string{"other.yaml": "a: 1\n"}}
	stale := func(w *world) {
		wantCommitted(w.t, w.post(setTo(worker, "before")))
		w.hub.Configure(func(s *sandbox.Settings) { s.StaleReads = sandbox.StaleReads{Reads: 2} })
	}
	for _, tt := range []struct {
		name  string
		fault sandbox.Fault
		more  option
	}{
		{"502 and done", sandbox.BadGatewayAfter(), nil},
		{"502 and not done", sandbox.BadGateway(), nil},
		{"dropped and done", sandbox.DropAfter(), nil},
		{"dropped and not done", sandbox.Drop(), nil},
		{"half an answer", sandbox.Cut(), nil},
		{"502 and done, stale reads", sandbox.BadGatewayAfter(), stale},
		{"dropped and done, stale reads", sandbox.DropAfter(), stale},
		{"dropped and done, somebody pushed on top", sandbox.DropAfter(), func(w *world) {
			w.hub.Inject(sandbox.Competitor(pushed).On(http.MethodGet, "branches").After(1).Once())
		}},
		{"dropped and not done, somebody pushed instead", sandbox.Drop(), func(w *world) {
			w.hub.Inject(sandbox.Competitor(pushed).On(http.MethodGet, "branches").After(1).Once())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain)
			if tt.more != nil {
				tt.more(w)
			}
			w.hub.Inject(tt.fault.On(http.MethodPatch, "git/refs").Once())
			r := w.post(mission)
			wantCommitted(t, r)
			w.wantOnce(r)
			if got := w.atVersion("05-06-42a252"); got != 2 {
				t.Errorf("%d files are at the version", got)
			}
			if r := w.post(mission); r.status != http.StatusOK {
				t.Errorf("the same again: status %d: %s", r.status, r.body)
			}
		})
	}
}

// wantOnce fails unless the answer's commit is on the branch and no other commit
// is there for the update.
func (w *world) wantOnce(r reply) {
	w.t.Helper()
	n, there := 0, false
	for _, c := range w.log() {
		if strings.Contains(c.Message, r.update.Id) {
			n++
		}
		there = there || c.SHA == r.update.Targets[0].Commit.Sha
	}
	if n != 1 || !there {
		w.t.Errorf("%d commits for the update %s, its own among them: %v", n, r.update.Id, there)
	}
}

// A GitHub that is out of order from the ref update on leaves nobody in the dark:
// the answer names the commit, and the same request later finds out.
func TestOutcomeThatStaysUnknown(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	before := w.head()
	w.hub.Inject(sandbox.DropAfter().On(http.MethodPatch, "git/refs").Once())
	w.hub.Inject(sandbox.BadGateway().On(http.MethodPatch, "git/refs").After(1))
	w.hub.Inject(sandbox.BadGateway().On(http.MethodGet, "branches").After(1))
	r := w.post(mission)
	if r.status != http.StatusBadGateway || r.problem.Code != api.ProblemCodeUpstreamError {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	if !strings.Contains(r.problem.Detail, w.head()[:12]) || !strings.Contains(r.problem.Detail, "look before you send the request again") || strings.Contains(r.problem.Detail, "nothing was written") {
		t.Errorf("detail does not name the commit %s: %s", w.head(), r.problem.Detail)
	}
	w.hub.ClearFaults()
	if r := w.post(mission); r.status != http.StatusOK || r.update.Status != api.StatusUnchanged {
		t.Errorf("the same again: status %d: %s", r.status, r.body)
	}
	if n := w.commitsSince(before); n != 1 {
		t.Errorf("%d commits", n)
	}
}

// Reads lag behind writes for a while: an update right after another builds on it.
func TestStaleReadsAfterAWrite(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	wantCommitted(t, w.post(setTo(worker, "before")))
	w.hub.Configure(func(s *sandbox.Settings) {
		s.StaleReads = sandbox.StaleReads{Reads: 3, Window: sandbox.Duration(time.Second)}
	})
	before := w.head()
	const updates = 5
	for i := range updates {
		r := w.post(setTo(node, fmt.Sprint("v", i)))
		wantCommitted(t, r)
		w.wantOnce(r)
		if r := w.post(setTo(node, fmt.Sprint("v", i))); r.status != http.StatusOK {
			t.Errorf("the same again: status %d: %s", r.status, r.body)
		}
	}
	if n := w.commitsSince(before); n != updates {
		t.Errorf("%d commits, want %d", n, updates)
	}
}

// The branch is set back or put elsewhere by others: the update goes on top of
// what is there, and brings nothing back.
func TestForcedPush(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		known func(*world) // what the service knows of the branch before
	}{
		{"cold", func(*world) {}},
		{"head read", func(w *world) { w.post(`{"image": "` + node + `", "version": "1", "dry_run": true}`) }},
		{"own write", func(w *world) { wantCommitted(w.t, w.post(setTo(worker, "own"))) }},
	} {
		for _, sideways := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sideways %v", tt.name, sideways), func(t *testing.T) {
				t.Parallel()
				w := start(t, onMain)
				base := w.head()
				w.push(map[string]string{"apps/regretted.yaml": deployment(node + ":10-10-ver")})
				tt.known(w)
				w.must(w.repo.Reset("main", base))
				if sideways {
					w.push(map[string]string{"apps/instead.yaml": deployment(node + ":10-10-ver")})
				}
				onto := w.head()
				r := w.post(mission)
				wantCommitted(t, r)
				if tt.name == "own write" && !sideways {
					// Set back within moments of an own write, the branch takes the next
					// commit as a fast-forward: nothing at GitHub tells the two apart.
					return
				}
				if log := w.log(); log[0].SHA != r.update.Targets[0].Commit.Sha || log[0].Parents[0] != onto {
					t.Errorf("the commit is not on top of %s: %+v", onto, log[0])
				}
				if strings.Contains(w.git("", "ls-tree", "-r", "--name-only", "main"), "regretted") {
					t.Error("what was taken back is there again")
				}
			})
		}
	}
}

// With GROUP_COMMITS=false every waiting request gets a commit of its own.
func TestACommitForEach(t *testing.T) {
	t.Parallel()
	const clients = 5
	w := start(t, onMain, withEnv("GROUP_COMMITS", "false"), withFiles(manyFiles(clients)))
	before := w.head()
	reached, release := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On("PATCH", "git/refs").Once())
	replies := make([]reply, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { replies[i], _ = w.tryPost(setTo(fmt.Sprintf("octo-org/app-%05d", i), "2")) })
	}
	<-reached
	w.waitFor(clients - 1)
	close(release)
	all.Wait()
	for _, r := range replies {
		wantCommitted(t, r)
		w.wantOnce(r)
		if message := r.update.Targets[0].Commit.Message; strings.Count(message, "Update-Id") != 1 {
			t.Errorf("message: %s", message)
		}
	}
	if n := w.commitsSince(before); n != clients {
		t.Errorf("%d commits, want %d", n, clients)
	}
}

// replica is one more program in front of the same GitHub.
func (w *world) replica() *world {
	w.t.Helper()
	another := *w
	another.logs = &logBook{}
	another.run()
	return &another
}

// Two programs work on one branch: both get all of their updates onto it, and of
// two that set one image the branch has one of the versions.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	const updates = 12
	w := start(t, onMain, withFiles(manyFiles(2*updates)))
	before := w.head()
	replicas := []*world{w, w.replica()}
	replies := make([]reply, 2*updates)
	same := make([]reply, 2)
	var all sync.WaitGroup
	for i, replica := range replicas {
		all.Go(func() {
			for n := range updates {
				at := n*2 + i
				replies[at], _ = replica.tryPost(setTo(fmt.Sprintf("octo-org/app-%05d", at), "2"))
			}
		})
		all.Go(func() { same[i], _ = replica.tryPost(setTo(node, fmt.Sprint("of-replica-", i))) })
	}
	all.Wait()
	for at, r := range slices.Concat(replies, same) {
		if r.status != http.StatusCreated {
			t.Errorf("update %d: status %d: %s", at, r.status, r.body)
			continue
		}
		w.wantOnce(r)
	}
	for at := range replies {
		path := fmt.Sprintf("teams/%02d/app-%05d.yaml", at%20, at)
		if want := deployment(fmt.Sprintf("octo-org/app-%05d:2", at)); w.file(path) != want {
			t.Errorf("%s is not at its version", path)
		}
	}
	if parser := w.file("apps/parser.yaml"); parser != w.file("apps/sync.yml") || !strings.Contains(parser, node+":of-replica-") {
		t.Errorf("two versions of one image:\n%s\n%s", parser, w.file("apps/sync.yml"))
	}
	if merges := w.git("", "rev-list", "--merges", "main"); merges != "" {
		t.Errorf("merges: %s", merges)
	}
	w.git("", "fsck", "--strict")
	t.Logf("%d commits for %d updates", w.commitsSince(before), 2*updates+2)
}
