package queue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

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
	if now, err := w.getAfterOutage(u.ID); err != nil || now.Status != queue.Queued {
		t.Errorf("the update: %+v, %v", now, err)
	}
}

// tryWhileLost has an update accepted whose COMMIT never arrives, and mends the cable
// after what happens meanwhile. It expects that the update is not there.
func tryWhileLost(t *testing.T, w *world, c *cable, meanwhile func()) error {
	t.Helper()
	w.stored(update("first", "1"))
	c.set(func() { c.dropCommit = true })
	u := update("app", "1")
	result := make(chan error, 1)
	go func() {
		_, err := w.Accept(t.Context(), []queue.Update{u}, nil)
		result <- err
	}()
	eventually(t, "a COMMIT is lost", func() (lost bool) {
		c.set(func() { lost = c.lost > 0 })
		return lost
	})
	c.cut()
	meanwhile()
	c.mend()
	err := <-result
	if err == nil {
		t.Error("it was accepted")
	}
	if _, err := w.getAfterOutage(u.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("the update: %v, want ErrNotFound", err)
	}
	return err
}

// A COMMIT that never arrived is known not to have been carried out.
func TestCommitIsLost(t *testing.T) {
	t.Parallel()
	c, storeURL := wired(t)
	if err := tryWhileLost(t, open(t, storeURL), c, func() {}); errors.Is(err, queue.ErrUnknown) {
		t.Errorf("Accept: %v, want what is known", err)
	}
}

// A server that crashed gives the ids of lost transactions to others, and theirs are
// committed. It is not parallel to others: the server is everybody's.
func TestCommitIsLostInCrash(t *testing.T) {
	c, storeURL := wired(t)
	crash := restarter(t)
	w, others := open(t, storeURL), open(t, postgresURL(t))
	_ = tryWhileLost(t, w, c, func() {
		crash()
		eventually(t, "the server is there", func() bool { return others.Check(t.Context()) == nil })
		for n := range 20 {
			others.stored(update(fmt.Sprint("app-", n), "1"))
		}
	})
}
