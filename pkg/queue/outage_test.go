package queue_test

import (
	"fmt"
	"io"
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
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
		}()
	}
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
