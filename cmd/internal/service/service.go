package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/notify"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	// answerMargin is how much longer than an update its answer may take: once GitHub
	// was told to move a branch, the outcome is awaited.
	answerMargin = 45 * time.Second
	// maxHeaderBytes is far above what a caller needs.
	maxHeaderBytes = 64 << 10
	// stopGrace is how long a stop lets updates of callers go on. After it, those end
	// for which GitHub was not told to move a branch yet.
	stopGrace = 3 * time.Second
	// stopAnswers is how long the other updates may take after that.
	stopAnswers = time.Second
	// stopStored is how long the queue's workers may take to end by themselves. It is
	// shorter than an update, which the next run repeats.
	stopStored = 250 * time.Millisecond
	// openPatience bounds the opening of the store, which another process may still
	// hold, or whose database may be starting.
	openPatience = 30 * time.Second
)

// Service is the whole service, ready to run.
type Service struct {
	logger    *slog.Logger
	transport http.RoundTripper
	client    *github.Client
	queue     *queue.Queue
	running   atomic.Pointer[configuration]
	ready     *readiness
	standing  *standing
	reloads   *reloadMetrics
	asked     chan struct{} // holds a value while a reload is asked for
	handler   *api.Server
	deliverer *notify.Deliverer
	tracer    *tracer // nil: nothing is traced
	notified  *notifyMetrics
	servers   []*http.Server // of the API, and of METRICS_ADDR
	listeners []net.Listener // of each server
}

// configuration is all that the environment and its files say, and what is built from
// it. It is immutable, and replaced as a whole by a reload.
type configuration struct {
	settings Settings
	targets  []update.Target
	webhooks map[string]api.Webhook
	updates  *update.Service
	images   *inventory.Inventory
	worker   *worker.Worker
	// endpoints are those of settings.Notify, in the same order.
	endpoints []*notify.Endpoint
}

// served is the configuration for the server.
func (c *configuration) served() api.Configuration {
	return api.Configuration{
		Updates: c.updates, Images: c.images, Worker: c.worker, Webhooks: c.webhooks, Callers: c.settings.Trust.Callers, Policy: c.settings.Trust.Policy,
	}
}

// New builds the service, opens its store and listens. It sends nothing to GitHub.
// Requests are answered, and stored updates carried out, only by Run. Logs go to w.
func New(s Settings, build Build, w io.Writer) (_ *Service, err error) {
	gin.SetMode(gin.ReleaseMode)
	registry := newRegistry(build)
	svc := &Service{logger: newLogger(w, s), transport: newTransport(), reloads: newReloadMetrics(registry), asked: make(chan struct{}, 1)}
	svc.standing = newStanding(registry, svc.logger)
	if svc.tracer, err = newTracer(s.tracing, build, svc.logger); err != nil {
		return nil, err
	}
	if svc.client, err = s.newClient(svc.transport, registry, svc.logger, svc.standing, svc.tracer); err != nil {
		return nil, err
	}
	queued := newQueueMetrics(registry)
	svc.notified = newNotifyMetrics(registry)
	if svc.queue, err = s.openQueue(svc.logger, notices{svc}, func(e queue.Event) {
		queued.observe(e)
		svc.observeNotices(e)
	}); err != nil {
		return nil, err
	}
	svc.deliverer = svc.newDeliverer()
	defer func() {
		if err != nil {
			_ = svc.queue.Close()
		}
	}()
	registerStore(registry, svc.queue)
	holds, err := readHolds(svc.queue)
	if err != nil {
		return nil, err
	}
	idle := &configuration{updates: update.New(update.Options{
		Share: s.GroupCommits, Memory: svc.client.Memory(), Timeout: s.UpdateTimeout,
		Observe: newUpdateMetrics(registry).observe, Ledger: svc.queue, Holds: holds, Proposals: worker.NewProposals(svc.queue),
		Marks: worker.NewMarks(svc.queue, s.Now), Unpaced: s.Trial, Now: s.Now,
	})}
	idle.images = inventory.New(inventory.Options{Memory: svc.client.Memory(), Learn: idle.updates.Learn})
	registerWaiting(registry, idle.updates.Waiting)
	first, err := svc.build(s, idle)
	if err != nil {
		return nil, err
	}
	svc.running.Store(first)
	svc.ready = newReadiness(first.targets, svc.client, svc.queue.Check, svc.logger)
	if err := svc.listen(s); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			svc.closeListeners()
		}
	}()
	svc.handler, err = api.New(api.Options{
		Configuration:  first.served(),
		Queue:          svc.queue,
		WebhookBody:    s.WebhookBody,
		Bodies:         s.Bodies,
		Ready:          svc.ready.get,
		UpdateTimeout:  s.UpdateTimeout,
		TrustedProxies: s.TrustedProxies,
		LoopbackOnly:   s.noAuth && svc.onLoopback(),
		Apart:          s.MetricsAddr != "",
		Metrics:        registry,
		Tracer:         svc.tracer.forAPI(),
		Logger:         svc.logger,
	})
	if err != nil {
		return nil, err
	}
	svc.servers = append(svc.servers, newHTTPServer(svc.handler, s.UpdateTimeout, svc.logger))
	if s.MetricsAddr != "" {
		svc.servers = append(svc.servers, newHTTPServer(svc.handler.Operations(), 0, svc.logger))
	}
	return svc, nil
}

// newHTTPServer returns a server with all its bounds.
func newHTTPServer(handler http.Handler, longest time.Duration, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + longest + answerMargin,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// build makes a configuration that shares the branches, and what is known of sources
// and issuers, with the one before. It changes nothing that is in force.
func (s *Service) build(settings Settings, before *configuration) (*configuration, error) {
	next := &configuration{settings: settings}
	ask, err := settings.newRegistries()
	if err != nil {
		return nil, err
	}
	if next.targets, err = newTargets(settings.Targets, s.client, ask); err != nil {
		return nil, err
	}
	if next.webhooks, err = newWebhooks(settings.Webhooks, s.transport, before); err != nil {
		return nil, err
	}
	next.updates = before.updates.With(next.targets)
	if next.images, err = before.images.With(next.targets); err != nil {
		return nil, err
	}
	next.worker = worker.New(next.updates, s.logger)
	if next.endpoints, err = newEndpoints(settings.Notify, before); err != nil {
		return nil, err
	}
	s.notified.begin(next.endpoints)
	return next, nil
}

// newClient builds the client of GitHub with its metrics and log lines.
func (s *Settings) newClient(transport http.RoundTripper, registry *prometheus.Registry, logger *slog.Logger, standing *standing, spans *tracer) (*github.Client, error) {
	calls := newGitHubMetrics(registry, s.appID == 0)
	client, err := github.NewClient(github.Options{
		BaseURL:    s.APIURL,
		Credential: s.Credential,
		Transport:  transport,
		CacheBytes: s.CacheBytes,
		Author:     s.Author,
		SigningKey: s.SigningKey,
		Unpaced:    s.Trial,
		Observe: func(ctx context.Context, c github.Call) {
			calls.observe(c)
			logCall(ctx, logger, c)
			spans.called(ctx, c)
		},
		CredentialChanged: standing.credentialChanged,
		BranchChanged:     standing.branchChanged,
	})
	if err != nil {
		return nil, fmt.Errorf("GitHub client: %w", err)
	}
	registerBudget(registry, client)
	registerMemory(registry, client)
	return client, nil
}

// openQueue opens the store that the settings name.
func (s *Settings) openQueue(logger *slog.Logger, told queue.Notices, observe func(queue.Event)) (*queue.Queue, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openPatience)
	defer cancel()
	stored, err := queue.Open(ctx, queue.Options{
		URL: s.StoreURL, Logger: logger, Notices: told, Observe: observe, Now: s.Now,
		Retention: s.Queue.Retention, MaxWaiting: s.Queue.MaxWaiting, MaxHistory: s.Queue.MaxHistory,
		ApplyTimeout: min(s.UpdateTimeout, queue.MaxApplyTimeout),
	})
	switch {
	case err == nil:
		return stored, nil
	case s.databaseURL != "":
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	default:
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
}

// readHolds reads the holds of the store, so that they are known if it goes away.
func readHolds(stored *queue.Queue) (*worker.Holds, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openPatience)
	defer cancel()
	return worker.NewHolds(ctx, stored)
}

// newTransport returns the transport of all outgoing requests.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	return t
}

// listen opens the listeners.
func (s *Service) listen(settings Settings) error {
	for _, one := range []struct{ variable, addr string }{{"LISTEN_ADDR", settings.ListenAddr}, {"METRICS_ADDR", settings.MetricsAddr}} {
		if one.addr == "" {
			continue
		}
		listener, err := net.Listen("tcp", one.addr)
		if err != nil {
			s.closeListeners()
			return fmt.Errorf("%s: %w", one.variable, err)
		}
		s.listeners = append(s.listeners, listener)
	}
	return nil
}

func (s *Service) closeListeners() {
	for _, listener := range s.listeners {
		_ = listener.Close()
	}
}

// onLoopback reports whether only this machine reaches the service.
func (s *Service) onLoopback() bool {
	addr, ok := s.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// Addr returns the address that the service listens on.
func (s *Service) Addr() net.Addr { return s.listeners[0].Addr() }

// MetricsAddr returns the address of metrics and readiness.
func (s *Service) MetricsAddr() net.Addr { return s.listeners[len(s.listeners)-1].Addr() }

// Run serves until ctx ends, and then stops. During a stop /readyz is 503, updates that
// wait and later ones are answered 503, and webhooks are still stored. Updates of
// callers under way have a few seconds to end, or until their outcome is known if
// GitHub was told to move a branch. Stored updates are handed back to the next run. Run
// returns nil when all requests are answered, and an error when serving failed or
// updates were cut off because they took too long.
func (s *Service) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.queue.Close()) }()
	settings := s.running.Load().settings
	s.logStart(settings)
	switch err := s.queue.Start(ctx, s.apply); {
	case err != nil && ctx.Err() != nil: // stopped before it began
		s.closeListeners()
		return nil
	case err != nil:
		s.closeListeners()
		return fmt.Errorf("start the queue: %w", err)
	}
	s.unpark(ctx)
	if settings.AskAtStart {
		go s.ready.begin(context.WithoutCancel(ctx))
	}
	go s.watch(ctx)
	beside, leave := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { s.follow(beside) })
	following.Go(func() { s.deliver(beside) })
	defer func() { leave(); following.Wait() }() // they use the store
	failed := make(chan error, len(s.servers))
	for i, server := range s.servers {
		go func() { failed <- server.Serve(s.listeners[i]) }()
	}
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve: %w", err), s.stop(context.WithoutCancel(ctx)))
	case <-ctx.Done():
	}
	return s.stop(context.WithoutCancel(ctx))
}

// unpark has what waits for a target looked at by the settings that are in force now.
func (s *Service) unpark(ctx context.Context) {
	if err := s.queue.Unpark(ctx); err != nil {
		s.logger.WarnContext(ctx, "what waits for a frozen target is looked at within an hour", "error", err.Error())
	}
}

// apply carries out stored updates with the configuration in force. It is a queue.Apply.
func (s *Service) apply(ctx context.Context, batch queue.Batch) []queue.Outcome {
	ctx, end := s.tracer.applied(ctx, batch)
	defer end()
	return s.running.Load().worker.Apply(ctx, batch)
}

// Interrupt ends the grace of a stop that has begun: updates under way end at once.
func (s *Service) Interrupt() { s.handler.Interrupt() }

func (s *Service) stop(ctx context.Context) error {
	s.logger.Info("stopping")
	ctx, cancel := context.WithTimeout(ctx, stopGrace+stopAnswers+answerMargin)
	defer cancel()
	s.ready.stop()
	s.servers[0].SetKeepAlivesEnabled(false)
	s.running.Load().updates.Stop() // of every configuration
	s.handler.Stop()
	interrupt := time.AfterFunc(stopGrace, s.handler.Interrupt)
	defer interrupt.Stop()
	drained := make(chan error, 1)
	go func() { drained <- s.stopQueue(ctx) }()
	err := errors.Join(s.handler.Idle(ctx), <-drained)
	s.closeServers(ctx)
	s.tracer.stop(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("stop: updates were cut off that did not end in time")
	case err != nil:
		return fmt.Errorf("stop: %w", err)
	}
	s.logger.Info("stopped")
	return nil
}

// closeServers accepts no further connection, and waits a moment for the answers to
// requests that change nothing.
func (s *Service) closeServers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopAnswers)
	defer cancel()
	for _, server := range s.servers {
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
	}
}

// stopQueue hands back the stored updates under way, except those for which GitHub
// was told to move a branch.
func (s *Service) stopQueue(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopStored)
	defer cancel()
	if err := s.queue.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.logger.Info("handed back stored updates that were being applied")
	return nil
}
