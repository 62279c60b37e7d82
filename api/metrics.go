package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests and updates. Its labels are routes, statuses and outcomes,
// which are few; images and callers are no labels, since their number is unbounded.
type metrics struct {
	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	updates        *prometheus.CounterVec
	updateSeconds  *prometheus.HistogramVec
	unrecorded     prometheus.Counter
	deliveries     *prometheus.CounterVec
	wrongTokens    *prometheus.CounterVec
	handler        http.Handler // shows the whole registry
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		handler: newExposition(registry),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "versions_service_http_requests_total", Help: "HTTP requests by method, route and status.",
		}, []string{"method", "route", "status"}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "versions_service_http_request_duration_seconds", Help: "Time to answer by method and route.",
			Buckets: []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "route"}),
		updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "versions_service_updates_total", Help: "Updates by outcome: a status, or a problem's code.",
		}, []string{"outcome"}),
		updateSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "versions_service_update_duration_seconds", Help: "Time of an update by outcome.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"outcome"}),
		unrecorded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "versions_service_updates_unrecorded_total", Help: "Updates that ended and are not in the history, because the store did not take them.",
		}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "versions_service_webhook_deliveries_total", Help: "Deliveries by webhook source and verdict.",
		}, []string{"source", "verdict"}),
		wrongTokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "versions_service_wrong_tokens_total", Help: "Requests without a right token, by verdict: refused (401), or slowed (429) after many from one address.",
		}, []string{"verdict"}),
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.requestSeconds, m.updates, m.updateSeconds, m.unrecorded, m.deliveries, m.wrongTokens,
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// request counts one request. All paths without a route share one label, so that no
// caller can create series.
func (m *metrics) request(method, route string, status int, d time.Duration) {
	if route == "" {
		method, route = "other", "other"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.requestSeconds.WithLabelValues(method, route).Observe(d.Seconds())
}

func (m *metrics) update(outcome string, d time.Duration) {
	m.updates.WithLabelValues(outcome).Inc()
	m.updateSeconds.WithLabelValues(outcome).Observe(d.Seconds())
}
