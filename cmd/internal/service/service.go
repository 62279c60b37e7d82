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

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	// answerMargin is how much longer than an update its answer may take: a branch
	// that GitHub was told to move is followed to its end.
	answerMargin = 45 * time.Second
	// indexShare is the part of CACHE_BYTES, as a divisor, for what is remembered
	// of files; the rest is for the files themselves. A file's index is about a
	// tenth of it.
	indexShare = 4
	// maxHeaderBytes is far above what a caller needs.
	maxHeaderBytes = 64 << 10
	// stopWaiting is when, during a stop, updates that still wait for their turn
	// are sent away; what runs by then is waited for.
	stopWaiting = 15 * time.Second
)

// Service is everything, built and ready to run.
type Service struct {
	settings Settings
	logger   *slog.Logger
	updates  *update.Service
	server   *http.Server
	listener net.Listener
}

// New builds the service and listens; nothing is answered before Run. Nothing is
// asked of GitHub. Logs go to w.
func New(s Settings, build Build, w io.Writer) (*Service, error) {
	gin.SetMode(gin.ReleaseMode)
	logger := newLogger(w, s)
	registry := newRegistry(build)
	calls := newGitHubMetrics(registry)
	client, err := github.NewClient(github.Options{
		BaseURL:    s.APIURL,
		Credential: s.Credential,
		Transport:  newTransport(),
		CacheBytes: s.CacheBytes - s.CacheBytes/indexShare,
		Author:     s.Author,
		SigningKey: s.SigningKey,
		Unpaced:    s.Unpaced,
		Observe: func(ctx context.Context, c github.Call) {
			calls.observe(c)
			logCall(ctx, logger, c)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("GitHub client: %w", err)
	}
	registerBudget(registry, client)

	updates := update.New(update.Options{
		Targets: []update.Target{{
			Repo: s.Repository, Branch: s.Branch, Repository: client.Branch(s.Repository, s.Branch),
		}},
		Share:      s.GroupCommits,
		IndexBytes: s.CacheBytes / indexShare,
	})
	registerWaiting(registry, updates.Waiting)
	ready := &readiness{
		check: func(ctx context.Context) (github.Status, error) { return client.Check(ctx, s.Repository) },
		limit: client.RateLimit,
		repo:  s.Repository,
		now:   time.Now,
	}
	handler, err := api.New(api.Options{
		Updates:       updates,
		Ready:         func(ctx context.Context) api.Readiness { return ready.get(ctx) },
		Callers:       s.Callers,
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
		settings: s, logger: logger, updates: updates, listener: listener,
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

// newTransport carries every request that leaves the process.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 32
	return t
}

// Addr is the address that the service listens on.
func (s *Service) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, and then stops: it takes no further connections,
// lets the updates that run finish, sends those away that still wait after a
// while, and returns nil when all are answered. The error says that serving
// failed, or that updates were cut off because they took longer than they may.
func (s *Service) Run(ctx context.Context) error {
	s.logger.Info("listening", "addr", s.Addr().String(), "repository", s.settings.Repository.String(),
		"branch", s.settings.Branch, "github", s.settings.APIURL)
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return s.stop(context.WithoutCancel(ctx))
}

func (s *Service) stop(ctx context.Context) error {
	s.logger.Info("stopping")
	ctx, cancel := context.WithTimeout(ctx, s.settings.UpdateTimeout+answerMargin)
	defer cancel()
	sendAway := time.AfterFunc(stopWaiting, s.updates.Stop)
	defer sendAway.Stop()
	if err := s.server.Shutdown(ctx); err != nil {
		_ = s.server.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("stop: updates were cut off that did not end in time")
		}
		return fmt.Errorf("stop: %w", err)
	}
	s.logger.Info("stopped")
	return nil
}
