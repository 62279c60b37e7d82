package acceptance_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A replica is held up after it made the commit of a stored update. Another one
// carries out a newer request meanwhile, which is answered 201: the old update does
// not land over it.
func TestNewerRequestOnAnotherReplica(t *testing.T) {
	t.Parallel()
	w := prepare(t, onMain, withEnv("DATABASE_URL", postgresURL(t)), withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("LOG_LEVEL", "info"))
	slow := w.spawn()
	reached, release := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On(http.MethodPost, "git/commits").Once())
	body := pushed("1.0.0")
	r := slow.deliver("ghcr", body, signed(body, "d1")...)
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
	<-reached

	other := w.spawn()
	wantCommitted(t, other.post(setTo(node, "2.0.0")))
	close(release)
	if record := slow.world.ended(*r.receipt.Id); record.Status != api.StatusSuperseded {
		t.Errorf("the old update: %+v\n%s\n%s", record, slow.logs, other.logs)
	}
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":2.0.0") {
		t.Errorf("parser.yaml:\n%s", content)
	}
	for _, p := range []*process{slow, other} {
		p.terminate(30 * time.Second)
	}
}

// The program is killed after GitHub moved the branch and before it said so. The
// next run finds the commit by its name, and tells it as the update's end, although
// a newer update waits.
func TestKilledAfterTheBranchMoved(t *testing.T) {
	t.Parallel()
	w := prepare(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("LOG_LEVEL", "info"),
		withEnv("DATABASE_URL", "sqlite:"+filepath.Join(t.TempDir(), "queue.db")))
	first := w.spawn()
	before := w.head()
	w.hub.Inject(sandbox.SilenceAfter().On(http.MethodPatch, "git/refs").Once())
	one, two := pushed("1.0.0"), pushed("2.0.0")
	old := first.deliver("ghcr", one, signed(one, "d1")...)
	wantReceipt(t, old, http.StatusAccepted, api.ReceiptStatusQueued)
	for deadline := time.Now().Add(patience); w.head() == before; <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			t.Fatal("the branch was not moved")
		}
	}
	landed := w.head()
	newer := first.deliver("ghcr", two, signed(two, "d2")...)
	wantReceipt(t, newer, http.StatusAccepted, api.ReceiptStatusQueued)
	first.kill()
	w.hub.ClearFaults()

	second := w.spawn()
	if record := second.world.ended(*old.receipt.Id); record.Status != api.StatusCommitted || record.Targets[0].Commit == nil || record.Targets[0].Commit.Sha != landed {
		t.Errorf("the one whose commit was on the branch: %+v", record)
	}
	if record := second.world.ended(*newer.receipt.Id); record.Status != api.StatusCommitted {
		t.Errorf("the newer one: %+v", record)
	}
	if n := w.commitsSince(before); n != 2 {
		t.Errorf("%d commits for 2 updates", n)
	}
	second.terminate(15 * time.Second)
}

// The clocks of the program and of registries differ: what arrives last is written.
func TestPushesWithoutTimesAndRequests(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret))
	for n, version := range []string{"1.0.0", "3.0.0", "2.0.0"} {
		body := pushed(version)
		r := w.deliver("ghcr", body, signed(body, version)...)
		wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
		if record := w.ended(*r.receipt.Id); record.Status != api.StatusCommitted {
			t.Errorf("push %d: %+v", n, record)
		}
		wantCommitted(t, w.post(setTo(node, version+"-by-hand")))
	}
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":2.0.0-by-hand") {
		t.Errorf("parser.yaml:\n%s", content)
	}
}

// A push that is older than the history is a replay.
func TestReplayOfAnOldPush(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_DOCKERHUB_SECRET", hookSecret))
	body := `{"push_data": {"pushed_at": 1417566161, "tag": "2"}, "repository": {"repo_name": "refty-yapi/app"}}`
	r := w.deliver("dockerhub?token="+hookSecret, body)
	wantReceipt(t, r, http.StatusOK, api.IdleReceiptStatusIgnored)
	if !strings.Contains(r.body, "the push is older than the history") {
		t.Errorf("the reason: %s", r.body)
	}
}

// wantStoreFailed fails unless the store takes no update by the answer of /readyz.
func (w *world) wantStoreFailed() {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r := w.get("/readyz")
		var ready api.Readiness
		w.must(json.Unmarshal([]byte(r.body), &ready))
		if r.status == http.StatusServiceUnavailable && ready.Store.State == api.StoreReadinessStateFailed {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("/readyz: %d %s", r.status, r.body)
		}
	}
}

// wantStoreReady waits until /readyz is 200 again.
func (w *world) wantStoreReady() {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r := w.get("/readyz")
		if r.status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("/readyz: %d %s", r.status, r.body)
		}
	}
}

// Senders at the same time, on two replicas, of one image: the last one that was
// answered is on the branch, and nothing older follows it.
func TestManyRequestsOnTwoReplicas(t *testing.T) {
	t.Parallel()
	w := prepare(t, onMain, withEnv("DATABASE_URL", postgresURL(t)), withEnv("LOG_LEVEL", "info"))
	fleet := []*process{w.spawn(), w.spawn()}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			p := fleet[n%2]
			if r, err := p.tryPost(setTo(node, "1.0."+string(rune('0'+n))), "Prefer", "respond-async"); err != nil || r.status != http.StatusAccepted {
				t.Errorf("stored: %d %s, %v", r.status, r.body, err)
			}
		})
	}
	all.Wait()
	wantCommitted(t, fleet[0].post(setTo(node, "2.0.0")))
	for _, u := range fleet[1].get("/v1/updates?limit=50").page.Updates {
		fleet[1].world.ended(u.Id)
	}
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":2.0.0") {
		t.Errorf("parser.yaml:\n%s", content)
	}
	for _, p := range fleet {
		p.terminate(30 * time.Second)
	}
}
