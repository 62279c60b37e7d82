package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Limits and defaults.
const (
	DefaultRetention    = 30 * 24 * time.Hour
	DefaultMaxWaiting   = 10_000
	DefaultApplyTimeout = time.Minute
	// MaxApplyTimeout keeps the promise that work of a replica that died goes on
	// within five minutes.
	MaxApplyTimeout = 3 * time.Minute
)

// Options are what Open needs. URL is required.
type Options struct {
	// URL is sqlite:PATH or postgres://….
	URL string
	// Apply does the work. A tool that only reads leaves it nil and does not Start.
	Apply  Apply
	Logger *slog.Logger // default: discards
	// Retention is how long an update is kept after its end. Default 30 days.
	Retention time.Duration
	// MaxWaiting bounds the queued tasks. Default 10,000. With several replicas
	// it may be passed by what they accept in the same moment.
	MaxWaiting int
	// ApplyTimeout bounds one call of Apply. Default a minute, at most MaxApplyTimeout.
	ApplyTimeout time.Duration
	// Observe is told what happens, after it is stored; it must not block. Optional.
	Observe func(Event)
	Now     func() time.Time // default time.Now
	Random  func() float64   // in [0, 1), for jitter; safe for concurrent use; default math/rand/v2
}

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	TaskRetried   EventKind = "retried"   // an attempt failed, another follows
	TaskPostponed EventKind = "postponed" // to be tried later, nothing failed
	TaskEnded     EventKind = "ended"     // with Status
	UpdateEnded   EventKind = "update_ended"
)

// Event is something that happened in this process, for metrics.
type Event struct {
	Kind    EventKind
	Status  Status        // of the ended
	Target  string        // of a task
	Webhook string        // the update's source, "" for an API caller's
	Since   time.Duration // since it was accepted
}

// Queue is a store of updates and the workers on it. It is safe for concurrent use.
type Queue struct{}

// Open opens the store and brings its tables up to date, which several replicas
// may do at once. ctx bounds the opening only. The error names what is wrong
// with the file or the server, and never holds the URL's password.
// The caller ends it with Close.
func Open(ctx context.Context, o Options) (*Queue, error) { return nil, errors.ErrUnsupported }

// Start begins to work, with what a former run left first. Only Stop ends that,
// not the end of ctx. Options.Apply must be set.
func (q *Queue) Start(ctx context.Context) error { return errors.ErrUnsupported }

// Stop takes no new work and waits for running calls of Apply. When ctx ends
// they are cancelled, and what they did not carry out is handed back as it was,
// for another replica or the next start; then the error is ctx's. Accept and
// everything that reads go on until Close.
func (q *Queue) Stop(ctx context.Context) error { return errors.ErrUnsupported }

// Close closes the store. Stop comes first, when the queue was started.
func (q *Queue) Close() error { return errors.ErrUnsupported }

// Check says whether the store can be used now.
func (q *Queue) Check(ctx context.Context) error { return errors.ErrUnsupported }
