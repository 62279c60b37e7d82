package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

const restartVariable = "TEST_POSTGRES_RESTART"

// cable is a network in front of a server, which can be cut and mended.
type cable struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	down  bool
	conns []net.Conn
	// delay is how long each byte is under way, in each direction.
	delay time.Duration
	// loseCommit lets the answer to the next COMMIT get lost, with its connection.
	loseCommit bool
	lost       int
	// trips counts the round trips: how often something was sent after an answer.
	trips int
}

func newCable(t *testing.T, server string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: listener, server: server}
	t.Cleanup(func() {
		_ = listener.Close()
		c.cut()
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			c.join(near)
		}
	}()
	return c
}

func (c *cable) join(near net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	far, err := net.Dial("tcp", c.server)
	if c.down || err != nil {
		_ = near.Close()
		if err == nil {
			_ = far.Close()
		}
		return
	}
	c.conns = append(c.conns, near, far)
	gone := make(chan struct{})
	answered := true
	go c.carry(far, near, func(b []byte) bool {
		c.set(func() {
			if answered {
				c.trips++
			}
			answered = false
		})
		return c.losesAnswer(b, gone)
	})
	go c.carry(near, far, func([]byte) bool {
		c.set(func() { answered = true })
		select {
		case <-gone: // what the server says now is lost
			return false
		default:
			return true
		}
	})
}

// commitMessage is COMMIT in PostgreSQL's protocol: a simple query.
var commitMessage = []byte("Q\x00\x00\x00\x0bcommit\x00")

// losesAnswer passes everything on to the server, and has the answer lost to a
// COMMIT if that is wanted.
func (c *cable) losesAnswer(b []byte, gone chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loseCommit && bytes.Contains(b, commitMessage) {
		c.loseCommit = false
		c.lost++
		close(gone)
	}
	return true
}

// carry passes on what comes, late by the delay, as long as pass says so.
func (c *cable) carry(to, from net.Conn, pass func([]byte) bool) {
	type piece struct {
		content []byte
		due     time.Time
	}
	pieces := make(chan piece, 10_000)
	go func() {
		for p := range pieces {
			<-time.After(time.Until(p.due))
			if _, err := to.Write(p.content); err != nil {
				break
			}
		}
		_ = to.Close()
	}()
	defer close(pieces)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !pass(buffer[:n]) {
				return
			}
			c.mu.Lock()
			delay := c.delay
			c.mu.Unlock()
			pieces <- piece{bytes.Clone(buffer[:n]), time.Now().Add(delay)}
		}
		if err != nil {
			return
		}
	}
}

// set changes what the cable does.
func (c *cable) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}

// through is a URL whose host is reached by the cable.
func (c *cable) through(t *testing.T, storeURL string) string {
	t.Helper()
	parsed, err := url.Parse(storeURL)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Host = c.listener.Addr().String()
	return parsed.String()
}

func TestPostgresUnreachableForAWhile(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	parsed, err := url.Parse(storeURL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCable(t, parsed.Host)
	w := start(t, c.through(t, storeURL))
	w.worker.hold()
	running := w.stored(update("running", "1"))
	w.worker.running(t)
	waiting := w.stored(update("waiting", "1"))

	c.cut()
	lost := update("lost", "1")
	if _, err := w.Accept(t.Context(), []queue.Update{lost}, nil); err == nil {
		t.Error("accepted without a store")
	}
	if err := w.Check(t.Context()); err == nil {
		t.Error("Check finds nothing wrong")
	}
	w.worker.release() // what it did cannot be stored yet
	<-time.After(time.Second)
	c.mend()

	w.ends(running, queue.Committed)
	w.ends(waiting, queue.Committed)
	var after string
	eventually(t, "updates are accepted again", func() bool {
		u := update("after", "1")
		_, err := w.Accept(t.Context(), []queue.Update{u}, nil)
		after = u.ID
		return err == nil
	})
	w.ends(after, queue.Committed)
	if n := len(slices.Concat(w.worker.seen()...)); n != 3 {
		t.Errorf("%d tasks were applied, want each of 3 once: %v", n, w.worker.seen())
	}
}

// It is not parallel to others: the server is everybody's.
func TestPostgresRestarted(t *testing.T) {
	storeURL := postgresURL(t)
	restart := os.Getenv(restartVariable)
	if restart == "" {
		t.Skip("pkg/queue: a restart of PostgreSQL is left out; .ci/postgres tells how to (" + restartVariable + ")")
	}
	w := start(t, storeURL)
	stop := make(chan struct{})
	var (
		all      sync.WaitGroup
		mu       sync.Mutex
		accepted []string
		refused  int
	)
	for caller := range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				u := update(fmt.Sprintf("app-%d-%d", caller, n), "1", to(fmt.Sprint("b", n%3)))
				_, err := w.Accept(t.Context(), []queue.Update{u}, nil)
				mu.Lock()
				if err != nil {
					refused++
				} else {
					accepted = append(accepted, u.ID)
				}
				mu.Unlock()
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted)
	}
	eventually(t, "some are accepted", func() bool { return count() > 50 })
	if out, err := exec.Command(restart).CombinedOutput(); err != nil {
		t.Fatalf("restart PostgreSQL: %v\n%s", err, out)
	}
	before := count()
	eventually(t, "some are accepted after the restart", func() bool { return count() > before+50 })
	close(stop)
	all.Wait()
	for _, id := range accepted {
		w.ends(id, queue.Committed)
	}
	t.Logf("%d accepted and done, %d refused while the server was away", len(accepted), refused)
}

// A fetch of River's whose answer is lost leaves a job that runs nowhere. The one of
// another replica is left alone, and so is one that runs.
func TestLostFetch(t *testing.T) {
	t.Parallel()
	w := open(t, postgresURL(t))
	change := func(statement string, args ...any) {
		t.Helper()
		if err := w.Exec(t.Context(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	fetched := func(branch, by string) {
		t.Helper()
		change(`UPDATE river_job SET state = 'running', attempt = 1, attempted_by = ARRAY[$1] WHERE args->>'branch' = $2`, by, branch)
	}
	lost, theirs := w.stored(update("app", "1", to("a"))), w.stored(update("app", "1", to("b")))
	fetched("octo-org/a@main", w.ClientID())
	fetched("octo-org/b@main", "another replica")
	w.begin()
	w.worker.hold()
	runs := w.stored(update("app", "1", to("c")))
	w.worker.running(t)
	change(`UPDATE river_job SET attempted_at = now() - interval '1 minute'`)
	if err := w.FreeLost(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.worker.release()
	w.ends(lost, queue.Committed)
	w.ends(runs, queue.Committed)
	if u := w.get(theirs); u.Status != queue.Queued || u.Tasks[0].Attempts != 0 {
		t.Errorf("the job of another replica was taken: %+v", u)
	}
}

// wired is a store whose server is reached by a cable.
func wired(t *testing.T) (*cable, string) {
	t.Helper()
	storeURL := postgresURL(t)
	parsed, err := url.Parse(storeURL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCable(t, parsed.Host)
	return c, c.through(t, storeURL)
}

// A commit whose answer was lost is looked up: it is there.
func TestAnswerToCommitIsLost(t *testing.T) {
	t.Parallel()
	c, storeURL := wired(t)
	w := open(t, storeURL)
	for n := range 3 {
		u := update(fmt.Sprint("app-", n), "1")
		c.set(func() { c.loseCommit = true })
		if got := w.accept(u)[0]; got.Disposition != queue.Stored {
			t.Errorf("update %d: %+v", n, got)
		}
		if w.get(u.ID).Status != queue.Queued {
			t.Errorf("update %d is not there", n)
		}
	}
	c.set(func() {
		if c.lost != 3 {
			t.Errorf("%d answers were lost, want 3", c.lost)
		}
	})
}

// When the server stays away, nobody is told that nothing was written.
func TestAnswerToCommitIsNeverKnown(t *testing.T) {
	t.Parallel()
	c, storeURL := wired(t)
	w := open(t, storeURL)
	w.stored(update("first", "1"))
	c.set(func() { c.loseCommit = true })
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			lost := 0
			c.set(func() { lost = c.lost })
			if lost > 0 {
				c.cut()
				return
			}
		}
	}()
	defer close(stop)
	u := update("app", "1")
	_, err := w.Accept(t.Context(), []queue.Update{u}, nil)
	if !errors.Is(err, queue.ErrUnknown) {
		t.Errorf("Accept: %v, want ErrUnknown", err)
	}
	c.mend()
	eventually(t, "the store answers again", func() bool { return w.Check(t.Context()) == nil })
	if w.get(u.ID).Status != queue.Queued {
		t.Error("it is not there")
	}
}

// A server that is further away takes longer, and nobody is refused for it.
func TestServerThatIsFarAway(t *testing.T) {
	for _, trip := range []time.Duration{20 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(trip.String(), func(t *testing.T) {
			t.Parallel()
			c, storeURL := wired(t)
			w := open(t, storeURL)
			w.stored(update("first", "1")) // the statements are prepared
			c.set(func() { c.delay = trip / 2 })
			begin := time.Now()
			w.stored(update("alone", "1", from("ghcr", "alone")))
			alone := time.Since(begin)

			const senders = 64
			var all sync.WaitGroup
			took := make([]time.Duration, senders)
			c.set(func() { c.trips = 0 })
			for n := range senders {
				all.Go(func() {
					u := update(fmt.Sprint("app-", n%40), "1", from("ghcr", fmt.Sprint("d", n)), to(fmt.Sprint("b", n%8)))
					begin := time.Now()
					if _, err := w.Accept(t.Context(), []queue.Update{u}, nil); err != nil {
						t.Errorf("sender %d: %v", n, err)
					}
					took[n] = time.Since(begin)
				})
			}
			all.Wait()
			slices.Sort(took)
			c.set(func() {
				t.Logf("round trip %s: alone %s; %d at once: half within %s, all within %s, %d round trips", trip,
					alone.Round(time.Millisecond), senders, took[senders/2].Round(time.Millisecond), took[senders-1].Round(time.Millisecond), c.trips)
				// A few transactions, each of some round trips, however many share it.
				if c.trips > 60 {
					t.Errorf("%d senders took %d round trips, want at most 60", senders, c.trips)
				}
			})
		})
	}
}

// A session that vanished in a transaction does not keep its locks, and a lock that
// is kept is not waited for without end.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	w := open(t, postgresURL(t))
	for name, want := range map[string]string{
		"idle_in_transaction_session_timeout": "15s", "lock_timeout": "8s", "tcp_keepalives_idle": "5",
		"tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	} {
		if got, err := w.Setting(t.Context(), name); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	parsed, err := url.Parse(postgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set("lock_timeout", "3s")
	parsed.RawQuery = query.Encode()
	own := open(t, parsed.String())
	if got, err := own.Setting(t.Context(), "lock_timeout"); err != nil || got != "3s" {
		t.Errorf("the URL's lock_timeout is %q, %v", got, err)
	}
}

// Another session holds the lock of a branch: senders are told in time.
func TestBranchIsLockedElsewhere(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	w, other := open(t, storeURL), open(t, storeURL)
	err := other.Locked(t.Context(), "octo-org/infra@main", func() {
		begin := time.Now()
		if _, err := w.Accept(t.Context(), []queue.Update{update("app", "1")}, nil); err == nil {
			t.Error("it was accepted under another's lock")
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("the refusal took %s", took)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.stored(update("app", "1"))
}
