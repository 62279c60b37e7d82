package service

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// githubMetrics count what is asked of GitHub and show the budget that is left.
type githubMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newRegistry returns the metrics of the process and the build.
func newRegistry(build Build) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "versions_service_build_info", Help: "Always 1; the labels say what was built.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit},
	})
	info.Set(1)
	registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// newGitHubMetrics registers the metrics of requests to GitHub.
func newGitHubMetrics(registry *prometheus.Registry) *githubMetrics {
	m := &githubMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "versions_service_github_requests_total",
			Help: "Requests to GitHub by method, endpoint and status; status 0 is no answer.",
		}, []string{"method", "endpoint", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "versions_service_github_request_duration_seconds", Help: "Time until GitHub's answer was read, by method and endpoint.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "endpoint"}),
	}
	registry.MustRegister(m.requests, m.seconds)
	return m
}

func (m *githubMetrics) observe(c github.Call) {
	m.requests.WithLabelValues(c.Method, c.Endpoint, strconv.Itoa(c.Status)).Inc()
	m.seconds.WithLabelValues(c.Method, c.Endpoint).Observe(c.Duration.Seconds())
}

// registerWaiting shows how many updates wait for their turn.
func registerWaiting(registry *prometheus.Registry, waiting func() int) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "versions_service_updates_waiting", Help: "Updates that wait for the commit before theirs.",
	}, func() float64 { return float64(waiting()) }))
}

// registerBudget shows what the client knows of GitHub's limits.
func registerBudget(registry *prometheus.Registry, client *github.Client) {
	gauge := func(name, help string, value func(github.RateLimit) float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return value(client.RateLimit()) }))
	}
	gauge("versions_service_github_rate_limit", "Requests an hour that GitHub allows; 0 when not told yet.",
		func(l github.RateLimit) float64 { return float64(l.Limit) })
	gauge("versions_service_github_rate_limit_remaining", "Requests that are left of the hour's budget.",
		func(l github.RateLimit) float64 { return float64(l.Remaining) })
	gauge("versions_service_github_rate_limit_reset_timestamp_seconds", "When the hour's budget is full again.",
		func(l github.RateLimit) float64 {
			if l.Reset.IsZero() {
				return 0
			}
			return float64(l.Reset.Unix())
		})
}
