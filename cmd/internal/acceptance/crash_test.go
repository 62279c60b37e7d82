package acceptance_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

var (
	crashSeed       = flag.Uint64("crash.seed", 0, "seed of the crash run; 0 takes a random one")
	crashDeliveries = flag.Int("crash.deliveries", 80, "how many deliveries the crash run sends")
)

const (
	// crashRound deliveries come between two kills, over a time of between half a
	// second and a second and a half: with the start, a kill comes every second or two.
	crashRound = 40
	// crashLatency is what every request to GitHub waits for: an update takes longer
	// than that, so that most kills strike one under way.
	crashLatency = 40 * time.Millisecond
	// crashSpontaneous is one in how many answered deliveries that comes once more.
	crashSpontaneous = 10
	// crashLong is from how many deliveries on a run waits for everything itself.
	crashLong = 1_000
)

// Work resumes after a crash within these times.
const (
	resumeSQLite   = 30 * time.Second
	resumePostgres = time.Minute
)

// TestCrash kills the program again and again, as kill -9 does, while registries
// and callers hand in updates; what was not answered is sent again. Afterwards each
// of them that was answered has ended, the branch has its version or a newer one,
// no version came twice or after a newer one, and git finds nothing wrong. On
// PostgreSQL two replicas take turns to die. The seed repeats what is sent, not
// when the kills strike.
//
//	go test ./cmd/internal/acceptance -run TestCrash -v -crash.deliveries 2000 -crash.seed 7
func TestCrash(t *testing.T) {
	t.Parallel()
	var all sideBySide
	all.run(t, "sqlite", func(t *testing.T) {
		file := "sqlite:" + filepath.Join(t.TempDir(), "queue.db")
		crash(t, crashRun{store: file, replicas: 1, resume: resumeSQLite})
	})
	all.run(t, "postgres", func(t *testing.T) {
		run := crashRun{store: postgresURL(t), replicas: 2, resume: resumePostgres}
		if *crashDeliveries < crashLong {
			run.elapse = func() { elapse(t, run.store) }
		}
		crash(t, run)
	})
	all.Wait()
}

// elapse lets some minutes pass for the work of those who died: that is how long a
// replica must have been silent to be taken for dead.
func elapse(t *testing.T, store string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), store)
	if err == nil {
		_, err = connection.Exec(t.Context(), `UPDATE river_job SET attempted_at = attempted_at - interval '5 minutes' WHERE state = 'running'`)
		_ = connection.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// crashRun is what the runs differ in.
type crashRun struct {
	store    string
	replicas int
	resume   time.Duration
	// elapse spares a short run a wait; nobody who is alive is at work then.
	elapse func()
}

func crash(t *testing.T, run crashRun) {
	t.Helper()
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat with -crash.seed %d -crash.deliveries %d", seed, *crashDeliveries)
	random := rand.New(rand.NewPCG(seed, 1))
	book := newDeliveries(random, *crashDeliveries)
	w := prepare(t, onMain, withEnv("DATABASE_URL", run.store), withEnv("WEBHOOK_GHCR_SECRET", hookSecret),
		withEnv("LOG_LEVEL", "info"), withFiles(book.files()))
	w.hub.Configure(func(s *sandbox.Settings) { s.Latency = sandbox.Duration(crashLatency) })
	book.world = w

	fleet := make([]atomic.Pointer[process], run.replicas)
	for i := range fleet {
		fleet[i].Store(w.spawn())
	}
	anyone := func() *world { return fleet[rand.IntN(len(fleet))].Load().world }

	var senders sync.WaitGroup
	next := 0
	send := func(n int) {
		for ; n > 0 && next < len(book.all); n-- {
			d := book.all[next]
			next++
			senders.Go(func() { book.send(d, anyone) })
		}
	}
	kills := 0
	var lastKill time.Time
	for next < len(book.all) {
		// Half of them come one by one; the others at once, and the kill right after.
		for range crashRound / 2 {
			<-time.After(time.Duration(25+random.IntN(50)) * time.Millisecond)
			send(1)
		}
		send(crashRound / 2)
		<-time.After(time.Duration(random.IntN(20_000)) * time.Microsecond)
		victim := &fleet[kills%len(fleet)]
		victim.Load().kill()
		lastKill = time.Now()
		kills++
		victim.Store(w.spawn())
	}
	senders.Wait()
	if run.elapse != nil {
		for i := range fleet {
			fleet[i].Load().terminate(resumeSQLite)
		}
		run.elapse()
		for i := range fleet {
			fleet[i].Store(w.spawn())
		}
	}
	took := book.allEnded(anyone(), lastKill.Add(run.resume)).Sub(lastKill)

	book.check(anyone())
	for i := range fleet {
		fleet[i].Load().terminate(resumeSQLite)
	}
	t.Logf("%d kills of %d replicas; the last update ended %s after the last kill", kills, run.replicas, took.Round(time.Millisecond))
	book.report()
}

// send hands in one delivery until it is answered, as a relay does, and some of
// them once more.
func (b *deliveries) send(d *delivery, anyone func() *world) {
	defer close(d.answered)
	if d.after != nil {
		<-d.after
	}
	for tries := 0; ; tries++ {
		r, err := d.post(anyone())
		if b.note(d, r, err) {
			break
		}
		<-time.After(time.Duration(20+tries) * time.Millisecond)
	}
	if d.again {
		r, err := d.post(anyone())
		b.noteAgain(d, r, err)
	}
}

// post sends the delivery to one replica.
func (d *delivery) post(to *world) (reply, error) {
	if d.caller {
		return to.tryPost(setTo(d.image, fmt.Sprint(d.version)), "Prefer", "respond-async", "Idempotency-Key", d.id)
	}
	body := d.event()
	return to.try(http.MethodPost, "/v1/webhooks/ghcr", body.reader(), signed(string(body), d.id)...)
}
