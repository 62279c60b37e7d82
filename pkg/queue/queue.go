package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/semaphore"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/batch"
)

// Limits and defaults.
const (
	defaultRetention  = 30 * 24 * time.Hour
	defaultMaxWaiting = 10_000
	defaultMaxHistory = 256 << 20
	// maxHistoryRows bounds the ended updates that are kept, whatever their size.
	maxHistoryRows      = 500_000
	defaultApplyTimeout = time.Minute
	// MaxApplyTimeout bounds ApplyTimeout, and with it how long River waits before it
	// presumes that a job is stuck: less than five minutes.
	MaxApplyTimeout = 3 * time.Minute
)

// Options are what Open needs. URL is required.
type Options struct {
	// URL is sqlite:PATH or postgres://….
	URL    string
	Logger *slog.Logger // default: discards
	// Retention is how long an update is kept after its end. Default 30 days.
	Retention time.Duration
	// MaxWaiting bounds the queued updates. Default 10,000. No sender may have more
	// than half of it, and callers of the API together no more than three quarters,
	// so that there is room for webhooks. With several replicas it may be passed by
	// what they accept in the same moment.
	MaxWaiting int
	// MaxHistory bounds, in bytes, what is kept of updates that ended; the oldest go
	// first. Default 256 MiB. It is held within a minute, or a sixteenth of it.
	MaxHistory int64
	// ApplyTimeout bounds one call of Apply. Default a minute, at most MaxApplyTimeout.
	ApplyTimeout time.Duration
	// Notices makes the messages that tell others how updates end. Optional.
	Notices Notices
	// Observe receives each Event once it is stored. It must not block. Optional.
	Observe func(Event)
	Now     func() time.Time // default time.Now
	Random  func() float64   // in [0, 1), for jitter; safe for concurrent use; default math/rand/v2

	times times
}

// times are those of River's jobs.
type times struct {
	run    time.Duration // the bound of one run of a job
	rescue time.Duration // the age at which a run is presumed dead
	// beat and silence are those of the heartbeats between replicas.
	beat, silence time.Duration
}

// EventKind is the kind of an Event.
type EventKind string

// The kinds of events.
const (
	TaskRetried   EventKind = "retried"   // an attempt failed and another follows
	TaskPostponed EventKind = "postponed" // deferred without a failed attempt
	TaskEnded     EventKind = "ended"     // with Status
	UpdateEnded   EventKind = "update_ended"
	WriteFailed   EventKind = "write_failed" // the store failed to take a change
	NoticeStored  EventKind = "notice_stored"
	NoticeDropped EventKind = "notice_dropped" // there is no room for it
)

// Event is something that happened in this process, for metrics. Record causes none but
// those of notices, because its updates have already ended.
type Event struct {
	Kind    EventKind
	Status  Status        // of the ended
	Target  string        // of a task
	Webhook string        // the update's source, "" for an API caller's
	Since   time.Duration // the update's age since it was accepted
	// Endpoint is a notice's.
	Endpoint string
}

// Queue is a store of updates and the workers on it. It is safe for concurrent use.
type Queue struct {
	options Options
	store   store
	entries *batch.Batcher[*entry]
	waiters waiters
	// underway holds the synchronous requests.
	underway *underway
	apply    Apply // set by Start
	writes   writes
	history  history
	// applying admits branchesAtOnce runs, or one that runs alone.
	applying *semaphore.Weighted

	mu       sync.Mutex
	draining map[string]string // the claims of this process's runs, by branch

	stopping chan struct{} // closed by Stop
	ended    chan struct{} // closed when the last job has ended after Stop
	started  sync.Once
	stopped  sync.Once
	sweeping sync.WaitGroup
}

// Open opens the store and brings its tables up to date, which several replicas
// may do at once. ctx bounds the opening only. The error names what is wrong with the
// file or the server and never contains the URL's password; it is ErrInUse when another
// process has the SQLite file open. The caller closes the queue with Close.
func Open(ctx context.Context, o Options) (*Queue, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s, err := openStore(ctx, o.URL)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		options:  o,
		store:    s,
		underway: newUnderway(),
		history:  newHistory(o.MaxHistory),
		applying: semaphore.NewWeighted(branchesAtOnce),
		draining: map[string]string{},
		stopping: make(chan struct{}),
		ended:    make(chan struct{}),
		waiters:  waiters{of: map[string]map[chan struct{}]bool{}},
	}
	q.entries = batch.New(groupSize, nil, q.storeEntries)
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.open(q.workers()); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return q, nil
}

func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = quiet()
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = defaultMaxWaiting
	}
	if o.MaxHistory == 0 {
		o.MaxHistory = defaultMaxHistory
	}
	if o.ApplyTimeout == 0 {
		o.ApplyTimeout = defaultApplyTimeout
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Retention < 0 || o.MaxWaiting < 0 || o.MaxHistory < 0 || o.ApplyTimeout < 0 || o.ApplyTimeout > MaxApplyTimeout {
		return fmt.Errorf("queue: an option is negative, or ApplyTimeout is above %s", MaxApplyTimeout)
	}
	if o.times == (times{}) {
		o.times.run = max(runMinimum, o.ApplyTimeout+runMargin)
		o.times.rescue = o.times.run + rescueMargin
		o.times.beat, o.times.silence = beatEvery, silence
	}
	return nil
}

// Start starts the workers, which call apply, beginning with the tasks that an earlier
// process left. The workers run until Stop, also after ctx ends. A queue starts once; a
// tool that only reads need not start it.
func (q *Queue) Start(ctx context.Context, apply Apply) error {
	if apply == nil {
		return errors.New("queue: Start needs a function that applies updates")
	}
	err := errors.New("queue: it was started or stopped before")
	q.started.Do(func() {
		q.apply = apply
		err = q.begin(ctx)
	})
	return err
}

func (q *Queue) begin(ctx context.Context) error {
	if err := q.store.takeOver(ctx); err != nil {
		return fmt.Errorf("queue: take over from the former run: %w", err)
	}
	if err := q.sweepBranches(ctx, 0); err != nil {
		return fmt.Errorf("queue: look for waiting updates: %w", err)
	}
	if _, err := q.beat(ctx); err != nil {
		return err
	}
	if err := q.store.start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("queue: start the workers: %w", err)
	}
	q.sweeping.Go(q.sweepLoop)
	q.sweeping.Go(func() { q.beatLoop(q.ended) })
	return nil
}

// handBack bounds how long cancelled calls of Apply may take to return and to hand their
// tasks back.
const handBack = 15 * time.Second

// Stop claims no further tasks and waits for running calls of Apply. When ctx ends first,
// Stop cancels them, hands the tasks that they did not carry out back unchanged, for
// another replica or the next start, and returns ctx's cause. Accept and the methods that
// read work until Close.
func (q *Queue) Stop(ctx context.Context) error {
	var err error
	q.stopped.Do(func() {
		close(q.stopping)
		running := true
		q.started.Do(func() { running = false })
		if !running {
			return
		}
		err = q.end(ctx)
		close(q.ended)
		q.sweeping.Wait()
	})
	return err
}

func (q *Queue) end(ctx context.Context) error {
	if q.store.stop(ctx, false) == nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), handBack)
	defer cancel()
	if err := q.store.stop(last, true); err != nil {
		return fmt.Errorf("queue: stop the workers: %w", err)
	}
	return context.Cause(ctx)
}

// Close closes the store. Stop comes first, when the queue was started.
func (q *Queue) Close() error {
	if err := q.store.close(); err != nil {
		return fmt.Errorf("queue: close the store: %w", err)
	}
	return nil
}

// fromWarn drops River's log records below the level Warn.
type fromWarn struct{ slog.Handler }

func (h fromWarn) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h fromWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fromWarn{h.Handler.WithAttrs(attrs)}
}

func (h fromWarn) WithGroup(name string) slog.Handler { return fromWarn{h.Handler.WithGroup(name)} }

func (q *Queue) isStopping() bool {
	select {
	case <-q.stopping:
		return true
	default:
		return false
	}
}

const (
	// A run has runMargin beyond its last call of Apply for the transactions around it,
	// and is presumed dead rescueMargin after its bound.
	runMinimum   = 150 * time.Second
	runMargin    = 30 * time.Second
	rescueMargin = 30 * time.Second
	// branchesAtOnce bounds the branches that a process works on at the same time.
	branchesAtOnce = 16
	// finishedJobs is how long River keeps finished jobs, which nothing reads.
	finishedJobs = time.Hour
	// fetchEvery is how often River polls for jobs whose notification was lost.
	fetchEvery = 500 * time.Millisecond
)

// workers is River's configuration.
func (q *Queue) workers() *river.Config {
	config := &river.Config{Logger: slog.New(fromWarn{q.options.Logger.Handler()})}
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, &drainer{q: q})
	config.Queues = map[string]river.QueueConfig{riverQueue: {MaxWorkers: branchesAtOnce}}
	config.JobTimeout = q.options.times.run
	config.RescueStuckJobsAfter = q.options.times.rescue
	config.FetchPollInterval = fetchEvery
	config.CompletedJobRetentionPeriod = finishedJobs
	config.CancelledJobRetentionPeriod = finishedJobs
	config.DiscardedJobRetentionPeriod = finishedJobs
	return config
}
