package queue_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// cable is a network in front of a server, which can be cut and mended.
type cable struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	down  bool
	conns []net.Conn
	// delay is how long each byte is under way, in each direction.
	delay time.Duration
	// loseCommit lets the answer to the next COMMIT get lost, with its connection, and
	// dropCommit the COMMIT itself, after which nothing passes until mend.
	loseCommit, dropCommit bool
	// lost counts both.
	lost int
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

// losesAnswer has the answer to a COMMIT lost if that is wanted, and reports whether
// what was sent goes on to the server.
func (c *cable) losesAnswer(b []byte, gone chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropCommit && bytes.Contains(b, commitMessage) {
		c.dropCommit, c.down = false, true
		c.lost++
		return false
	}
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
