package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// Updater applies one request to its targets. *update.Service is one.
type Updater interface {
	Update(ctx context.Context, r update.Request) ([]update.Result, error)
}

// Options say what the server serves.
type Options struct {
	Updates Updater
	// Ready tells whether updates can be served; it is asked for every GET /readyz.
	Ready func(context.Context) Readiness
	// Callers may use the service; nil lets everybody.
	Callers *Callers
	// UpdateTimeout bounds one update.
	UpdateTimeout time.Duration
	// Metrics is where the server's collectors are registered, and what GET /metrics shows.
	Metrics *prometheus.Registry
	Logger  *slog.Logger
}

// New returns the handler of every path. It is safe for concurrent use. An
// error says that the embedded description or the metrics are broken.
func New(o Options) (http.Handler, error) {
	contract, err := loadContract()
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("register the metrics: %w", err)
	}
	docs, err := newDocs()
	if err != nil {
		return nil, err
	}

	engine := gin.New()
	engine.ContextWithFallback = true
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.UseRawPath = true
	if err := engine.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	engine.Use(
		identify,
		logRequests(o.Logger, metrics),
		writeErrors,
		recoverPanics,
		authenticate(contract, o.Callers),
		contract.check,
	)
	engine.NoRoute(fail(errNoRoute))
	engine.NoMethod(fail(errNoMethod))
	docs.register(engine)

	handlers := &server{
		updates:  o.Updates,
		ready:    o.Ready,
		timeout:  o.UpdateTimeout,
		metrics:  metrics,
		inFlight: newInFlight(maxInFlight),
		newID:    func() string { return uuid.Must(uuid.NewV7()).String() },
	}
	RegisterHandlersWithOptions(engine, NewStrictHandlerWithOptions(handlers, nil, StrictGinServerOptions{
		RequestErrorHandlerFunc:  func(c *gin.Context, err error) { abort(c, malformed(brief(err.Error()))) },
		HandlerErrorFunc:         abort,
		ResponseErrorHandlerFunc: abort,
	}), GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { abort(c, malformed(brief(err.Error()))) },
	})
	return engine, nil
}

// server implements the operations of the description.
type server struct {
	updates  Updater
	ready    func(context.Context) Readiness
	timeout  time.Duration
	metrics  *metrics
	inFlight *inFlight
	newID    func() string
}

// fail answers every request with err.
func fail(err error) gin.HandlerFunc {
	return func(c *gin.Context) { abort(c, err) }
}

// abort ends the request with err, which writeErrors answers.
func abort(c *gin.Context, err error) {
	_ = c.Error(err)
	c.Abort()
}
