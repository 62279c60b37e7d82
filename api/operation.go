package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The routes of operation.
const (
	healthRoute    = "/healthz"
	readinessRoute = "/readyz" // its 503 is not logged as a failure
	metricsRoute   = "/metrics"
)

// onlyOperation hides every other route.
func onlyOperation(c *gin.Context) {
	switch c.FullPath() {
	case healthRoute, readinessRoute, metricsRoute:
	default:
		abort(c, errNoRoute)
	}
}

// GetHealth answers GET /healthz.
func (s *server) GetHealth(context.Context, GetHealthRequestObject) (GetHealthResponseObject, error) {
	return GetHealth200JSONResponse{Status: HealthStatusOk}, nil
}

// GetReadiness answers GET /readyz.
func (s *server) GetReadiness(ctx context.Context, _ GetReadinessRequestObject) (GetReadinessResponseObject, error) {
	readiness := s.ready(ctx)
	if s.apart {
		return bareReadiness(readiness.Status), nil
	}
	if readiness.Status == ReadinessStatusReady {
		return GetReadiness200JSONResponse(readiness), nil
	}
	return GetReadiness503JSONResponse(readiness), nil
}

// bareReadiness is the answer without a body.
type bareReadiness ReadinessStatus

// VisitGetReadinessResponse writes the status.
func (r bareReadiness) VisitGetReadinessResponse(w http.ResponseWriter) error {
	status := http.StatusServiceUnavailable
	if ReadinessStatus(r) == ReadinessStatusReady {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	return nil
}

// GetMetrics answers GET /metrics.
func (s *server) GetMetrics(ctx context.Context, _ GetMetricsRequestObject) (GetMetricsResponseObject, error) {
	if s.apart {
		return nil, errNoRoute
	}
	return exposition{handler: s.metrics.handler, request: ginContext(ctx).Request}, nil
}

// exposition answers in the format that the client negotiates.
type exposition struct {
	handler http.Handler
	request *http.Request
}

// VisitGetMetricsResponse writes the metrics.
func (e exposition) VisitGetMetricsResponse(w http.ResponseWriter) error {
	e.handler.ServeHTTP(w, e.request)
	return nil
}

func newExposition(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
