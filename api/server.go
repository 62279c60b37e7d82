package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// Updater carries out requests. *update.Service is one.
type Updater interface {
	Update(ctx context.Context, r update.Request) ([]update.Result, error)
	// Choose returns the targets that a request goes to, without asking GitHub.
	Choose(r update.Request) ([]update.Choice, error)
	// Places returns all targets, and In those in a repository, owner/name.
	Places() []update.Place
	In(repository string) []update.Place
}

// Configuration is the part of the options that Configure replaces.
type Configuration struct {
	Updates Updater
	// Images finds the image references of the targets.
	Images *inventory.Inventory
	// Worker makes the updates that are stored.
	Worker *worker.Worker
	// Webhooks are the sources of webhooks by their names.
	Webhooks map[string]Webhook
	// Callers may use the service; nil means that no token is needed.
	Callers *caller.Callers
	// Policy decides what callers may do; nil allows everything.
	Policy *policy.Policy
}

// Options say what the server serves.
type Options struct {
	Configuration
	// Queue stores updates and their history.
	Queue *queue.Queue
	// WebhookBody bounds a webhook's body in bytes; 0 means DefaultWebhookBody.
	WebhookBody int64
	// Bodies bounds, in bytes, the bodies of all webhooks that are not authenticated
	// yet, and separately all other bodies; 0 means the larger of DefaultBodies and
	// twice WebhookBody.
	Bodies int64
	// Ready returns the answer to GET /readyz, which calls it every time.
	Ready func(context.Context) Readiness
	// UpdateTimeout bounds how long a caller waits for an update's outcome.
	UpdateTimeout time.Duration
	// TrustedProxies are the networks of peers whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// LoopbackOnly refuses requests that name another host than this machine.
	LoopbackOnly bool
	// Apart leaves metrics, and the body of readiness, to Operations.
	Apart bool
	// Metrics gets the server's collectors; GET /metrics shows it.
	Metrics *prometheus.Registry
	// Tracer makes a span of each request; nil means none.
	Tracer trace.Tracer
	Logger *slog.Logger
}

// Server answers every path. It is safe for concurrent use.
type Server struct {
	handlers *server // as New made it
	engine   atomic.Pointer[gin.Engine]
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.Load().ServeHTTP(w, r) }

// Configure replaces the configuration. A request that has begun keeps the one that it
// began with.
func (s *Server) Configure(c Configuration) {
	s.engine.Store(s.handlers.with(c).routes())
}

// Operations serves health, readiness and metrics alone.
func (s *Server) Operations() http.Handler {
	operations := *s.handlers
	operations.apart, operations.loopbackOnly = false, false
	return operations.routes(onlyOperation)
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
	docs := newDocs()
	page, err := newPage()
	if err != nil {
		return nil, err
	}

	bodies := cmp.Or(o.Bodies, max(DefaultBodies, 2*o.WebhookBody))
	handlers := &server{
		contract:     contract,
		docs:         docs,
		page:         page,
		proxies:      o.TrustedProxies,
		loopbackOnly: o.LoopbackOnly,
		apart:        o.Apart,
		queue:        o.Queue,
		webhookBody:  cmp.Or(o.WebhookBody, DefaultWebhookBody),
		bodies:       &bodyBudget{limit: bodies},
		unproven:     &bodyBudget{limit: bodies, patience: bodyPatience},
		refusals:     newRefusals(),
		strangers:    newStrangers(),
		ready:        o.Ready,
		tracer:       o.Tracer,
		timeout:      o.UpdateTimeout,
		metrics:      metrics,
		logger:       o.Logger,
		inFlight:     newInFlight(maxInFlight),
		newID:        func() string { return uuid.Must(uuid.NewV7()).String() },
	}
	handlers.stopping, handlers.stop = context.WithCancel(context.Background())
	handlers.interrupted, handlers.interrupt = context.WithCancel(context.Background())
	s := &Server{handlers: handlers}
	s.Configure(o.Configuration)
	return s, nil
}

// with returns the server with another configuration. What is behind its pointers, the
// two share.
func (s *server) with(c Configuration) *server {
	next := *s
	next.updates, next.worker, next.webhooks, next.callers, next.policy = c.Updates, c.Worker, c.Webhooks, c.Callers, c.Policy
	next.images, next.views = c.Images, uuid.NewString()
	return &next
}

// routes returns the engine of the server's configuration. first come before the
// handlers of every request.
func (s *server) routes(first ...gin.HandlerFunc) *gin.Engine {
	engine := gin.New()
	engine.ContextWithFallback = true
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.UseRawPath = true
	engine.ForwardedByClientIP = false // see proxies
	engine.Use(
		identify,
		s.trace,
		logRequests(s.logger, s.metrics),
		writeErrors,
		recoverPanics,
		harden,
		keepOut(s.loopbackOnly),
	)
	engine.Use(first...)
	engine.Use(
		s.authenticate,
		s.limitInFlight,
		foldPrefer,
		s.contract.check(s.bodies),
	)
	engine.NoRoute(fail(errNoRoute))
	engine.NoMethod(s.refuseMethod)
	s.docs.register(engine)
	s.page.register(engine)
	engine.POST(webhooksRoute, s.receiveWebhook)
	engine.OPTIONS(webhooksRoute, s.allowWebhook)

	RegisterHandlersWithOptions(engine, NewStrictHandlerWithOptions(s, nil, StrictGinServerOptions{
		RequestErrorHandlerFunc:  func(c *gin.Context, err error) { abort(c, malformed(brief(err.Error()))) },
		HandlerErrorFunc:         abort,
		ResponseErrorHandlerFunc: abort,
	}), GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { abort(c, malformed(brief(err.Error()))) },
	})
	answerHead(engine)
	return engine
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

// server implements the operations of the description, with one configuration.
type server struct {
	updates      Updater
	images       *inventory.Inventory
	views        string // differs from that of every other configuration and process
	worker       *worker.Worker
	webhooks     map[string]Webhook
	callers      *caller.Callers // nil: no token is needed
	policy       *policy.Policy  // nil: no rules
	contract     *contract
	docs         *docs
	page         page
	proxies      proxies
	loopbackOnly bool
	apart        bool // metrics and the body of readiness are elsewhere
	queue        *queue.Queue
	webhookBody  int64
	bodies       *bodyBudget // of authenticated requests
	unproven     *bodyBudget // of webhooks whose signature is checked with the body
	refusals     *refusals
	strangers    *strangers
	ready        func(context.Context) Readiness
	tracer       trace.Tracer // nil: requests are not traced
	timeout      time.Duration
	metrics      *metrics
	logger       *slog.Logger
	inFlight     *inFlight
	newID        func() string
	stopping     context.Context // ends with Stop
	stop         context.CancelFunc
	interrupted  context.Context // ends with Interrupt
	interrupt    context.CancelFunc
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
