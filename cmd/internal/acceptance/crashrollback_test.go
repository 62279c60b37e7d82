package acceptance_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// A rollback whose process is killed between the hold and the commit, or between the
// commit and its record, leaves nothing half done: the hold stands, and the same rollback
// ends in one commit under it, sent again or by itself if it was stored.
func TestRollbackThatIsKilled(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct {
		method, endpoint string
		landed           bool // the commit gets on the branch after the kill
	}{
		"before the commit":           {http.MethodPost, "git/commits", false},
		"while the branch is written": {http.MethodPatch, "git/refs", true},
	} {
		for _, stored := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", stored"}[stored], func(t *testing.T) {
				t.Parallel()
				w := prepare(t, onMain, withEnv("DATABASE_URL", "sqlite:"+filepath.Join(t.TempDir(), "queue.db")), withEnv("LOG_LEVEL", "info"))
				dead := w.spawn()
				wantCommitted(t, dead.post(setTo(node, "1.0.0")))
				wantCommitted(t, dead.post(setTo(node, "2.0.0")))
				reached, release, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
				w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On(at.method, at.endpoint).Once())
				id := ""
				if stored {
					close(left)
					id = dead.rollBack("", withImage(""), "Prefer", "respond-async").update.Id
				} else {
					go func() {
						defer close(left)
						_, _ = dead.try(http.MethodPost, "/v1/rollbacks", strings.NewReader(withImage("")), "Content-Type", "application/json")
					}()
				}
				<-reached
				before := w.head()
				dead.kill()
				<-left
				close(release)
				for deadline := time.Now().Add(patience); at.landed && w.head() == before; <-time.After(betweenLooks) {
					if time.Now().After(deadline) {
						t.Fatal("the branch was not written")
					}
				}

				next := w.spawn()
				holds := next.world.holds("")
				if len(holds) != 1 {
					t.Fatalf("after the kill %v are held", holds)
				}
				if stored {
					if record := next.world.ended(id); record.Status != api.StatusCommitted || record.HoldId == nil || *record.HoldId != holds[0] {
						t.Errorf("the stored rollback: %+v, the hold is %s", record, holds[0])
					}
				}
				if push := next.post(setTo(node, "3.0.0")); push.update.Status != api.StatusHeld {
					t.Errorf("a later update: %d %s", push.status, push.body)
				}
				again, want := next.rollBack("", withImage("")), api.StatusCommitted
				if stored || at.landed {
					want = api.StatusUnchanged
				}
				if again.update.Status != want || again.update.HoldId == nil || *again.update.HoldId != holds[0] {
					t.Errorf("sent again: %d %s, want %s under the hold %s", again.status, again.body, want, holds[0])
				}
				wantVersion(t, next.world, "1.0.0")
				if left := next.world.holds(""); len(left) != 1 || strings.Count(w.git("", "log", "--format=%s", "main"), "Roll "+node+" back") != 1 {
					t.Errorf("%v are held, and the branch is:\n%s", left, w.git("", "log", "--format=%s", "main"))
				}
				next.terminate(patience)
			})
		}
	}
}
