package acceptance_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// Several images that were accepted together come to the branch in one commit, although the
// program is killed, as kill -9 does, before the commit is made or while its branch moves.
func TestCrashOfASet(t *testing.T) {
	t.Parallel()
	var all sideBySide
	all.run(t, "sqlite", func(t *testing.T) {
		crashSet(t, "sqlite:"+filepath.Join(t.TempDir(), "queue.db"), func() {})
	})
	all.run(t, "postgres", func(t *testing.T) {
		store := postgresURL(t)
		crashSet(t, store, func() { elapse(t, store) })
	})
	all.Wait()
}

func crashSet(t *testing.T, store string, elapse func()) {
	t.Helper()
	w := prepare(t, onMain, withEnv("DATABASE_URL", store), withFiles(appFiles(3)))
	before := len(w.log())
	for n, at := range []struct{ method, path string }{{http.MethodPost, "git/commits"}, {http.MethodPatch, "git/refs"}} {
		reached, release := make(chan struct{}), make(chan struct{})
		w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On(at.method, at.path).Once())
		p := w.spawn()
		version := string(rune('2' + n))
		accepted := p.post(apps(3, version, ""), "Prefer", "respond-async")
		if accepted.status != http.StatusAccepted {
			t.Fatalf("status %d: %s", accepted.status, accepted.body)
		}
		<-reached
		p.kill()
		close(release)
		elapse()
		p = w.spawn()
		record := p.world.ended(accepted.update.Id)
		if record.Status != api.StatusCommitted || record.Images == nil || len(*record.Images) != 3 {
			t.Errorf("killed at %s: %+v", at.path, record)
		}
		if commits := len(w.log()) - before; commits != n+1 {
			t.Errorf("killed at %s: %d commits, want %d", at.path, commits, n+1)
		}
		if got := strings.Count(w.file("apps/all.yaml"), ":"+version+"\n"); got != 3 {
			t.Errorf("killed at %s: %d of 3 images are at %s", at.path, got, version)
		}
		p.terminate(resumeSQLite)
	}
}
