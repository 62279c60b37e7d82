package queue

import (
	"context"
	"sync"
	"time"
)

// waitPoll is how often Wait looks for an end that another replica stored.
const waitPoll = 250 * time.Millisecond

// Wait returns an update once it has ended. When ctx ends first, Wait returns the update
// as it is then, together with ctx's cause. It returns ErrNotFound for an unknown ID.
func (q *Queue) Wait(ctx context.Context, id string) (Update, error) {
	return q.WaitUntil(ctx, id, func(u Update) bool { return u.Status.Ended() })
}

// WaitUntil is Wait for what done says of the update.
func (q *Queue) WaitUntil(ctx context.Context, id string, done func(Update) bool) (Update, error) {
	woken, leave := q.waiters.join(id)
	defer leave()
	poll := time.NewTicker(waitPoll)
	defer poll.Stop()
	for {
		u, err := q.now(ctx, id)
		if err != nil || done(u) {
			return u, err
		}
		select {
		case <-woken:
		case <-poll.C:
		case <-ctx.Done():
			u, err := q.now(ctx, id)
			if err != nil || done(u) {
				return u, err
			}
			return u, context.Cause(ctx)
		}
	}
}

// now reads an update although ctx may have ended.
func (q *Queue) now(ctx context.Context, id string) (Update, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return q.Get(ctx, id)
}

// waiters holds the calls of Wait in this process.
type waiters struct {
	mu sync.Mutex
	of map[string]map[chan struct{}]bool // by the update's ID
}

// join returns a channel that gets a value when the update ends, until leave is
// called.
func (w *waiters) join(id string) (woken <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[id] == nil {
		w.of[id] = map[chan struct{}]bool{}
	}
	w.of[id][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of[id], c)
		if len(w.of[id]) == 0 {
			delete(w.of, id)
		}
	}
}

func (w *waiters) wake(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		for c := range w.of[id] {
			select {
			case c <- struct{}{}:
			default: // it is awake already
			}
		}
	}
}
