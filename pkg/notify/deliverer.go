package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// MaxAttempts bounds the attempts at a message: a day with attemptWaits has fewer.
	MaxAttempts = 40
	// pollEvery is how often the store is asked for what other replicas left, or what is
	// to be tried again.
	pollEvery = time.Second
	// takenAtOnce bounds the messages that a process takes of an endpoint. They are sent
	// one after the other, within the time for which the store leaves them to it.
	takenAtOnce = 6
	// maxLogged bounds the error in a log line, in bytes.
	maxLogged = 500
)

var (
	// attemptWaits are the waits between the attempts at a message.
	attemptWaits = backoff.Policy{First: 5 * time.Second, Most: time.Hour, Spread: 0.25}
	// pauses are for how long an endpoint that fails is left alone.
	pauses = backoff.Policy{First: time.Second, Most: 5 * time.Minute, Spread: 0.25}
)

// Store keeps the messages. *queue.Queue is one.
type Store interface {
	DueNotices(ctx context.Context, endpoint string, limit int) ([]queue.Notice, error)
	EndNotice(ctx context.Context, n queue.Notice) error
	RetryNotice(ctx context.Context, n queue.Notice, after time.Duration) error
}

// Outcome is what an attempt came to.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Failed    Outcome = "failed"   // and it is tried again
	GivenUp   Outcome = "given_up" // after MaxAttempts, a day, or an answer of 410
)

// Deliverer sends the messages of the store to their endpoints. It is safe for
// concurrent use.
type Deliverer struct {
	store   Store
	observe func(endpoint string, o Outcome)
	log     *slog.Logger
	wake    chan struct{}

	mu     sync.Mutex
	states map[string]*state // by the endpoint's name
}

// state is what is known of an endpoint. It belongs to who is busy with it.
type state struct {
	busy   bool
	fails  int // in a row
	paused time.Time
}

// NewDeliverer returns a Deliverer that reports each attempt to observe.
func NewDeliverer(store Store, observe func(endpoint string, o Outcome), log *slog.Logger) *Deliverer {
	return &Deliverer{store: store, observe: observe, log: log, wake: make(chan struct{}, 1), states: map[string]*state{}}
}

// Wake has the store asked at once. It does not block.
func (d *Deliverer) Wake() {
	select {
	case d.wake <- struct{}{}:
	default: // it is asked for already
	}
}

// Run delivers until ctx ends, and returns when no attempt is under way. endpoints is
// asked each time, and may return others from time to time.
func (d *Deliverer) Run(ctx context.Context, endpoints func() []*Endpoint) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var working sync.WaitGroup
	defer working.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-d.wake:
		}
		for _, e := range endpoints() {
			if s := d.begin(e.Name()); s != nil {
				working.Go(func() {
					defer d.end(s)
					d.drain(ctx, e, s)
				})
			}
		}
	}
}

// begin returns the state of an endpoint that may be sent to now, or nil.
func (d *Deliverer) begin(endpoint string) *state {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.states[endpoint]
	if s == nil {
		s = &state{}
		d.states[endpoint] = s
	}
	if s.busy || time.Now().Before(s.paused) {
		return nil
	}
	s.busy = true
	return s
}

func (d *Deliverer) end(s *state) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.busy = false
}

// drain sends what is due of an endpoint, until nothing is or an attempt fails.
func (d *Deliverer) drain(ctx context.Context, e *Endpoint, s *state) {
	for ctx.Err() == nil {
		// An endpoint that failed gets one message, to see whether it is back.
		limit := takenAtOnce
		if s.fails > 0 {
			limit = 1
		}
		due, err := d.store.DueNotices(ctx, e.Name(), limit)
		if err != nil || len(due) == 0 {
			return // the store's own checks say that it is away
		}
		for i, n := range due {
			if ctx.Err() != nil || !d.attempt(ctx, e, s, n) {
				d.handBack(ctx, due[i+1:])
				return
			}
		}
	}
}

// handBack leaves notices that were taken and not tried for later.
func (d *Deliverer) handBack(ctx context.Context, rest []queue.Notice) {
	for _, n := range rest {
		_ = d.store.RetryNotice(context.WithoutCancel(ctx), n, 0) // else they are due when the lease is over
	}
}

// attempt sends a notice and stores what came of it. It reports whether to go on with
// the endpoint.
func (d *Deliverer) attempt(ctx context.Context, e *Endpoint, s *state, n queue.Notice) bool {
	err := e.Send(ctx, n.ID, n.Body)
	stored := context.WithoutCancel(ctx)
	if err == nil {
		s.fails = 0
		d.observe(e.Name(), Delivered)
		return d.store.EndNotice(stored, n) == nil // else it is sent again, under the same id
	}
	if ctx.Err() != nil { // the process ends, which is no fault of the endpoint
		_ = d.store.RetryNotice(stored, n, 0)
		return false
	}
	var failed *Error
	errors.As(err, &failed)
	n.Attempts++
	s.fails++
	s.paused = time.Now().Add(max(pauses.After(s.fails, rand.Float64()), failed.RetryAfter)) //nolint:gosec // jitter
	if failed.Gone || n.Attempts >= MaxAttempts || time.Since(n.MadeAt) > queue.NoticeLife {
		d.tell(ctx, slog.LevelError, "a notification is given up", e, n, err)
		d.observe(e.Name(), GivenUp)
		_ = d.store.EndNotice(stored, n)
		return false
	}
	after := max(attemptWaits.After(n.Attempts, rand.Float64()), failed.RetryAfter) //nolint:gosec // jitter
	d.tell(ctx, slog.LevelWarn, "a notification failed, it is tried again", e, n, err, slog.Duration("after", after))
	d.observe(e.Name(), Failed)
	_ = d.store.RetryNotice(stored, n, after)
	return false
}

func (d *Deliverer) tell(ctx context.Context, level slog.Level, text string, e *Endpoint, n queue.Notice, err error, more ...slog.Attr) {
	d.log.LogAttrs(ctx, level, text, append([]slog.Attr{ //nolint:sloglint // the callers' are constants
		slog.String("endpoint", e.Name()), slog.String("message", n.ID), slog.Int("attempts", n.Attempts),
		slog.String("error", safetext.Line(err.Error(), maxLogged)),
	}, more...)...)
}
