package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// trace makes a span of each request under /v1/, in the trace of the caller's traceparent
// if there is one. Its name has the route in place of the path.
func (s *server) trace(c *gin.Context) {
	route := c.FullPath()
	if s.tracer == nil || !isTraced(route) {
		return
	}
	ctx := propagation.TraceContext{}.Extract(c.Request.Context(), propagation.HeaderCarrier(c.Request.Header))
	ctx, span := s.tracer.Start(ctx, c.Request.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", c.Request.Method), attribute.String("http.route", route), attribute.String("request.id", requestID(c)),
	))
	defer span.End()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
	status := c.Writer.Status()
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if outcome := factsOf(c).outcome; outcome != "" {
		span.SetAttributes(attribute.String("outcome", outcome))
	}
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// isTraced reports whether requests of a route are worth a span: probes and pages are not.
func isTraced(route string) bool { return len(route) > 4 && route[:4] == "/v1/" }
