package queue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// holding is the role of a replica that begins whatever there is and never ends it.
const holding = "holding"

// holdUntilKilled plays holding. It notes the branches that it began.
func holdUntilKilled(notes string) int {
	q, err := queue.Open(context.Background(), queue.Options{URL: os.Getenv(storeVariable)})
	if err == nil {
		err = q.Start(context.Background(), func(_ context.Context, b queue.Batch) []queue.Outcome {
			note(filepath.Join(notes, "begun"), b.Branch)
			select {}
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready") //nolint:forbidigo // for the test that started it
	select {}
}

// Of two replicas one is killed while it is at three branches: the other one has done
// their work within half a minute, with the times of production.
func TestBranchesOfDeadReplica(t *testing.T) {
	t.Parallel()
	storeURL, notes := postgresURL(t), t.TempDir()
	w := open(t, storeURL, func(o *queue.Options) { o.Now = time.Now })
	dies := launch(t, holding, storeURL, notes)
	var ids []string
	for _, branch := range []string{"a", "b", "c"} {
		ids = append(ids, w.stored(update("app", "1", to(branch))))
	}
	eventually(t, "the replica is at all branches", func() bool { return len(lines(t, filepath.Join(notes, "begun"))) == len(ids) })
	w.begin()
	dies.kill()
	killed := time.Now()
	for _, id := range ids {
		w.ends(id, queue.Committed)
	}
	took := time.Since(killed)
	t.Logf("three branches were taken over and done after %s", took.Round(time.Second/10))
	if took > 30*time.Second {
		t.Errorf("the branches were taken over after %s, want half a minute at most", took)
	}
}

// A replica that is slow, and whose heart beats, keeps its branch; so does one of an
// earlier release, which has no heartbeat.
func TestBranchOfSlowReplica(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	slow := start(t, storeURL, queue.HurryHeartbeat)
	slow.worker.hold()
	id := slow.stored(update("app", "1"))
	slow.worker.running(t)
	old := slow.stored(update("app", "1", to("old")))
	eventually(t, "the other branch is begun too", func() bool { return slow.Draining() == 2 })
	if err := slow.Exec(t.Context(), `UPDATE river_job SET attempted_by = ARRAY['an earlier release'] WHERE args->>'branch' = 'octo-org/old@main'`); err != nil {
		t.Fatal(err)
	}

	other := start(t, storeURL, queue.HurryHeartbeat)
	beats := func() int64 {
		n, err := other.Count(t.Context(), `SELECT min(beats) FROM versions_replica`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "their hearts have beaten for longer than the silence of the dead", func() bool { return beats() > 60 })
	if n := len(other.worker.seen()); n > 0 {
		t.Errorf("the other replica has taken over: %v", other.worker.seen())
	}
	slow.worker.release()
	slow.ends(id, queue.Committed)
	slow.ends(old, queue.Committed)
}
