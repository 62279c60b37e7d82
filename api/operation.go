package api

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readinessRoute is the readiness probe's; its 503 is not logged as a failure.
const readinessRoute = "/readyz"

// GetHealth answers GET /healthz.
func (s *server) GetHealth(context.Context, GetHealthRequestObject) (GetHealthResponseObject, error) {
	return GetHealth200JSONResponse{Status: HealthStatusOk}, nil
}

// GetReadiness answers GET /readyz.
func (s *server) GetReadiness(ctx context.Context, _ GetReadinessRequestObject) (GetReadinessResponseObject, error) {
	readiness := s.ready(ctx)
	if readiness.Status == ReadinessStatusReady {
		return GetReadiness200JSONResponse(readiness), nil
	}
	return GetReadiness503JSONResponse(readiness), nil
}

// GetMetrics answers GET /metrics.
func (s *server) GetMetrics(ctx context.Context, _ GetMetricsRequestObject) (GetMetricsResponseObject, error) {
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
