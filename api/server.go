package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// Updater carries out requests. *update.Service is one.
type Updater interface {
	Update(ctx context.Context, r update.Request) ([]update.Result, error)
	// Choose returns the targets that a request goes to, without asking GitHub.
	Choose(r update.Request) ([]update.Place, error)
	// Targets returns all targets.
	Targets() []update.Place
}

// Options say what the server serves.
type Options struct {
	Updates Updater
	// Worker makes the updates that Queue stores.
	Worker *worker.Worker
	// Queue stores updates and their history.
	Queue *queue.Queue
	// Webhooks are the sources of webhooks by their names.
	Webhooks map[string]Webhook
	// WebhookBody bounds a webhook's body in bytes; 0 means DefaultWebhookBody.
	WebhookBody int64
	// Bodies bounds, in bytes, the bodies of all webhooks that are not authenticated
	// yet, and separately all other bodies; 0 means the larger of DefaultBodies and
	// twice WebhookBody.
	Bodies int64
	// Ready returns the answer to GET /readyz, which calls it every time.
	Ready func(context.Context) Readiness
	// Callers may use the service; nil means that no token is needed.
	Callers *caller.Callers
	// Policy decides what callers may do; nil allows everything.
	Policy *policy.Policy
	// UpdateTimeout bounds how long a caller waits for an update's outcome.
	UpdateTimeout time.Duration
	// Metrics gets the server's collectors; GET /metrics shows it.
	Metrics *prometheus.Registry
	Logger  *slog.Logger
}

// Server answers every path. It is safe for concurrent use.
type Server struct {
	http.Handler
	handlers *server
}

// Stop answers 202 to every request that waits for a stored update. Other requests
// go on.
func (s *Server) Stop() { s.handlers.stop() }

// Interrupt ends updates under way, and later ones, with update.ErrStopping. An update
// whose commit may be on its branch already is completed instead.
func (s *Server) Interrupt() { s.handlers.interrupt() }

// Idle returns when no update of a caller is under way, or with ctx's cause if ctx
// ends first.
func (s *Server) Idle(ctx context.Context) error { return s.handlers.inFlight.idle(ctx) }

// New returns a Server. It fails if the embedded description or Swagger UI is broken,
// or the metrics are registered already.
func New(o Options) (*Server, error) {
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
	bodies := cmp.Or(o.Bodies, max(DefaultBodies, 2*o.WebhookBody))
	handlers := &server{
		updates:     o.Updates,
		policy:      o.Policy,
		worker:      o.Worker,
		queue:       o.Queue,
		webhooks:    o.Webhooks,
		webhookBody: cmp.Or(o.WebhookBody, DefaultWebhookBody),
		bodies:      &bodyBudget{limit: bodies},
		unproven:    &bodyBudget{limit: bodies, patience: bodyPatience},
		refusals:    newRefusals(),
		ready:       o.Ready,
		timeout:     o.UpdateTimeout,
		metrics:     metrics,
		logger:      o.Logger,
		inFlight:    newInFlight(maxInFlight),
		newID:       func() string { return uuid.Must(uuid.NewV7()).String() },
	}
	handlers.stopping, handlers.stop = context.WithCancel(context.Background())
	handlers.interrupted, handlers.interrupt = context.WithCancel(context.Background())
	engine.Use(
		identify,
		logRequests(o.Logger, metrics),
		writeErrors,
		recoverPanics,
		authenticate(contract, o.Callers),
		handlers.limitInFlight,
		foldPrefer,
		contract.check(handlers.bodies),
	)
	engine.NoRoute(fail(errNoRoute))
	engine.NoMethod(handlers.refuseMethod)
	docs.register(engine)
	engine.POST(webhooksRoute, handlers.receiveWebhook)
	engine.OPTIONS(webhooksRoute, handlers.allowWebhook)

	RegisterHandlersWithOptions(engine, NewStrictHandlerWithOptions(handlers, nil, StrictGinServerOptions{
		RequestErrorHandlerFunc:  func(c *gin.Context, err error) { abort(c, malformed(brief(err.Error()))) },
		HandlerErrorFunc:         abort,
		ResponseErrorHandlerFunc: abort,
	}), GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { abort(c, malformed(brief(err.Error()))) },
	})
	answerHead(engine)
	return &Server{Handler: engine, handlers: handlers}, nil
}

// answerHead answers HEAD wherever GET is answered (RFC 9110, section 9.1). Package
// net/http omits the body.
func answerHead(engine *gin.Engine) {
	for _, route := range engine.Routes() {
		if route.Method == http.MethodGet {
			engine.HEAD(route.Path, route.HandlerFunc)
		}
	}
}

// refuseMethod answers a method that the path does not have. Gin sets Allow, with
// OPTIONS for every webhook; here it is removed for sources that have no handshake.
func (s *server) refuseMethod(c *gin.Context) {
	if name, ok := strings.CutPrefix(c.Request.URL.Path, webhooksPath); ok {
		hook, known := s.webhooks[name]
		switch {
		case !known:
			c.Writer.Header().Del("Allow")
			abort(c, errNoSource)
			return
		case !hook.Source.HasPreflight():
			c.Header("Allow", http.MethodPost)
		}
	}
	abort(c, errNoMethod)
}

// server implements the operations of the description.
type server struct {
	updates     Updater
	policy      *policy.Policy // nil: no rules
	worker      *worker.Worker
	queue       *queue.Queue
	webhooks    map[string]Webhook
	webhookBody int64
	bodies      *bodyBudget // of authenticated requests
	unproven    *bodyBudget // of webhooks whose signature is checked with the body
	refusals    *refusals
	ready       func(context.Context) Readiness
	timeout     time.Duration
	metrics     *metrics
	logger      *slog.Logger
	inFlight    *inFlight
	newID       func() string
	stopping    context.Context // ends with Stop
	stop        context.CancelFunc
	interrupted context.Context // ends with Interrupt
	interrupt   context.CancelFunc
}

// ginContext returns the gin.Context behind the context of a generated handler. Gin
// reuses it for other requests, so it must not be kept: pass on its Request's context.
func ginContext(ctx context.Context) *gin.Context { return ctx.(*gin.Context) }

// fail answers every request with err.
func fail(err error) gin.HandlerFunc {
	return func(c *gin.Context) { abort(c, err) }
}

// abort ends the request with err, which writeErrors answers.
func abort(c *gin.Context, err error) {
	_ = c.Error(err)
	c.Abort()
}
