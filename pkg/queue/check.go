package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// probeEvery is how long after the last change of the store Check makes one itself.
const probeEvery = 15 * time.Second

// writes remembers the outcome of the last change of the store. The zero value is ready
// to use. It is safe for concurrent use.
type writes struct {
	probing sync.Mutex

	mu     sync.Mutex
	err    error
	stored time.Time // when the last one was stored
}

// note records the outcome of a change. A refusal or a cancellation does not concern the
// store.
func (w *writes) note(q *Queue, err error) {
	failed := err != nil && !q.concernsOne(err) && !errors.Is(err, context.Canceled) &&
		!errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNoHold) && !errors.Is(err, ErrTooManyHolds) && !errors.Is(err, ErrNotFailed) && !errors.Is(err, errNotOurs)
	w.mu.Lock()
	switch {
	case failed:
		w.err = err
	case err == nil:
		w.err, w.stored = nil, time.Now()
	}
	w.mu.Unlock()
	if failed {
		q.options.Observe(Event{Kind: WriteFailed})
	}
}

// due reports whether Check has to probe the store with a change.
func (w *writes) due() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil || time.Since(w.stored) >= probeEvery
}

// Check returns an error when the store cannot take an update now: it cannot be
// asked, its file is gone, or the last change failed and another one fails as well.
func (q *Queue) Check(ctx context.Context) error {
	if err := q.store.present(); err != nil {
		return fmt.Errorf("queue: look for the store: %w", err)
	}
	var version int64
	if _, err := one(ctx, q.store.read(), []any{&version}, `SELECT max(version) FROM versions_schema`); err != nil {
		return fmt.Errorf("queue: ask the store: %w", err)
	}
	if err := q.probe(ctx); err != nil {
		return fmt.Errorf("queue: write to the store: %w", err)
	}
	return nil
}

// probe makes a change when one is due. Concurrent calls share it.
func (q *Queue) probe(ctx context.Context) error {
	q.writes.probing.Lock()
	defer q.writes.probing.Unlock()
	if !q.writes.due() {
		return nil
	}
	return q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `UPDATE versions_probe SET at = $1`, micros(c.now))
		return err
	})
}
