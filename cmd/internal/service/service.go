package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
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
	// indexShare is the divisor of CACHE_BYTES that gives the memory for indexes of
	// files; the rest is for the files. An index is about a tenth of its file.
	indexShare = 4
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
	settings Settings
	logger   *slog.Logger
	updates  *update.Service
	queue    *queue.Queue
	worker   *worker.Worker
	ready    *readiness
	handler  *api.Server
	server   *http.Server
	listener net.Listener
}

// New builds the service, opens its store and listens. It sends nothing to GitHub.
// Requests are answered, and stored updates carried out, only by Run. Logs go to w.
func New(s Settings, build Build, w io.Writer) (_ *Service, err error) {
	gin.SetMode(gin.ReleaseMode)
	logger := newLogger(w, s)
	registry := newRegistry(build)
	transport := newTransport()
	client, err := s.newClient(transport, registry, logger)
	if err != nil {
		return nil, err
	}
	targets, err := newTargets(s.Targets, client)
	if err != nil {
		return nil, err
	}
	webhooks, err := newWebhooks(s.Webhooks, transport)
	if err != nil {
		return nil, err
	}
	if !s.Trial {
		warnUnbounded(logger, s.Webhooks, webhooks)
	}
	stored, err := s.openQueue(logger, newQueueMetrics(registry).observe)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = stored.Close()
		}
	}()
	registerStore(registry, stored)
	updates := update.New(update.Options{
		Targets: targets, Share: s.GroupCommits, IndexBytes: s.CacheBytes / indexShare, Timeout: s.UpdateTimeout,
		Observe: newUpdateMetrics(registry).observe, Ledger: stored,
	})
	registerWaiting(registry, updates.Waiting)
	bridge := worker.New(updates, logger)
	ready := newReadiness(targets, client, stored.Check, logger)
	handler, err := api.New(api.Options{
		Updates:       updates,
		Worker:        bridge,
		Queue:         stored,
		Webhooks:      webhooks,
		WebhookBody:   s.WebhookBody,
		Bodies:        s.Bodies,
		Ready:         ready.get,
		Callers:       s.Trust.Callers,
		Policy:        s.Trust.Policy,
		UpdateTimeout: s.UpdateTimeout,
		Metrics:       registry,
		Logger:        logger,
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", s.ListenAddr)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	return &Service{
		settings: s, logger: logger, updates: updates, queue: stored, worker: bridge, ready: ready, handler: handler,
		listener: listener,
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      readTimeout + s.UpdateTimeout + answerMargin,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		},
	}, nil
}

// newClient builds the client of GitHub with its metrics and log lines.
func (s *Settings) newClient(transport http.RoundTripper, registry *prometheus.Registry, logger *slog.Logger) (*github.Client, error) {
	calls, standing := newGitHubMetrics(registry), newStanding(registry, logger)
	client, err := github.NewClient(github.Options{
		BaseURL:    s.APIURL,
		Credential: s.Credential,
		Transport:  transport,
		CacheBytes: s.CacheBytes - s.CacheBytes/indexShare,
		Author:     s.Author,
		SigningKey: s.SigningKey,
		Unpaced:    s.Trial,
		Observe: func(ctx context.Context, c github.Call) {
			calls.observe(c)
			logCall(ctx, logger, c)
		},
		CredentialChanged: standing.credentialChanged,
		BranchChanged:     standing.branchChanged,
	})
	if err != nil {
		return nil, fmt.Errorf("GitHub client: %w", err)
	}
	registerBudget(registry, client)
	return client, nil
}

// openQueue opens the store that the settings name.
func (s *Settings) openQueue(logger *slog.Logger, observe func(queue.Event)) (*queue.Queue, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openPatience)
	defer cancel()
	stored, err := queue.Open(ctx, queue.Options{
		URL: s.StoreURL, Logger: logger, Observe: observe,
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

// newTransport returns the transport of all outgoing requests.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	return t
}

// Addr returns the address that the service listens on.
func (s *Service) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, and then stops. During a stop /readyz is 503, updates that
// wait and later ones are answered 503, and webhooks are still stored. Updates of
// callers under way have a few seconds to end, or until their outcome is known if
// GitHub was told to move a branch. Stored updates are handed back to the next run. Run
// returns nil when all requests are answered, and an error when serving failed or
// updates were cut off because they took too long.
func (s *Service) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.queue.Close()) }()
	s.logger.Info("listening", "addr", s.Addr().String(), "targets", s.targets(), "webhooks", s.webhooks(),
		"github", s.settings.APIURL)
	s.logTargets()
	s.logWarnings()
	if trust := s.settings.Trust; trust.Callers != nil && trust.Policy == nil && !s.settings.Trial {
		s.logger.Warn("there are no rules: every caller may move every image to any version; rules in CONFIG_FILE bound them")
	}
	switch err := s.queue.Start(ctx, s.worker.Apply); {
	case err != nil && ctx.Err() != nil: // stopped before it began
		return s.listener.Close()
	case err != nil:
		return errors.Join(fmt.Errorf("start the queue: %w", err), s.listener.Close())
	}
	if s.settings.AskAtStart {
		go s.ready.begin(context.WithoutCancel(ctx))
	}
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve: %w", err), s.stop(context.WithoutCancel(ctx)))
	case <-ctx.Done():
	}
	return s.stop(context.WithoutCancel(ctx))
}

// Interrupt ends the grace of a stop that has begun: updates under way end at once.
func (s *Service) Interrupt() { s.handler.Interrupt() }

func (s *Service) stop(ctx context.Context) error {
	s.logger.Info("stopping")
	ctx, cancel := context.WithTimeout(ctx, stopGrace+stopAnswers+answerMargin)
	defer cancel()
	s.ready.stop()
	s.server.SetKeepAlivesEnabled(false)
	s.updates.Stop()
	s.handler.Stop()
	interrupt := time.AfterFunc(stopGrace, s.handler.Interrupt)
	defer interrupt.Stop()
	drained := make(chan error, 1)
	go func() { drained <- s.stopQueue(ctx) }()
	err := errors.Join(s.handler.Idle(ctx), <-drained)
	s.closeServer(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("stop: updates were cut off that did not end in time")
	case err != nil:
		return fmt.Errorf("stop: %w", err)
	}
	s.logger.Info("stopped")
	return nil
}

// closeServer accepts no further connection, and waits a moment for the answers to
// requests that change nothing.
func (s *Service) closeServer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopAnswers)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		_ = s.server.Close()
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

// logTargets logs each target, and what names its branch.
func (s *Service) logTargets() {
	for _, t := range s.settings.Targets {
		attrs := []any{"target", t.Name, "repository", t.Repository}
		by := "CONFIG_FILE"
		if s.settings.repository != "" {
			by = "GITHUB_REPOSITORY"
		}
		attrs = append(attrs, "repository_by", by)
		switch {
		case t.Branch == "":
			attrs = append(attrs, "branch_by", "the repository's default branch")
		case s.settings.repository != "":
			attrs = append(attrs, "branch", t.Branch, "branch_by", "GITHUB_BRANCH")
		default:
			attrs = append(attrs, "branch", t.Branch, "branch_by", by)
		}
		s.logger.Info("target", attrs...)
	}
}

// logWarnings logs the warnings of the settings.
func (s *Service) logWarnings() {
	for _, w := range s.settings.Warnings {
		if !w.weak || !s.settings.Trial {
			s.logger.Warn("look at the environment", "variable", w.Variable, "detail", w.Detail)
		}
	}
}

// webhooks returns the names of the webhook sources, for the log.
func (s *Service) webhooks() []string {
	names := []string{}
	for _, w := range s.settings.Webhooks {
		names = append(names, w.Name)
	}
	return names
}

// targets returns the names of the targets, for the log.
func (s *Service) targets() []string {
	var names []string
	for _, t := range s.settings.Targets {
		names = append(names, t.Name)
	}
	return names
}
