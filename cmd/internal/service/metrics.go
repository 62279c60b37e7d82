package service

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// githubMetrics count requests to GitHub and show the remaining budget.
type githubMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	expiry   *expiryCollector // nil for a GitHub App, whose tokens are renewed by themselves
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

// newGitHubMetrics registers the metrics of requests to GitHub. personal reports whether
// the credential is a personal token, which may end.
func newGitHubMetrics(registry *prometheus.Registry, personal bool) *githubMetrics {
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
	if personal {
		m.expiry = &expiryCollector{desc: prometheus.NewDesc("versions_service_github_credential_expiry_timestamp_seconds",
			"When the personal token ends, as GitHub tells it; absent for one without an end and for a GitHub App.", nil, nil)}
		registry.MustRegister(m.expiry)
	}
	return m
}

func (m *githubMetrics) observe(c github.Call) {
	m.expiry.observe(c)
	m.requests.WithLabelValues(c.Method, c.Endpoint, strconv.Itoa(c.Status)).Inc()
	m.seconds.WithLabelValues(c.Method, c.Endpoint).Observe(c.Duration.Seconds())
}

// expiryCollector shows when the credential ends. Its nil value does nothing.
type expiryCollector struct {
	desc *prometheus.Desc
	at   atomic.Int64 // seconds since 1970; 0 when there is no end
}

// observe takes in what an answer says. One that is no success may be of somebody in
// between.
func (e *expiryCollector) observe(c github.Call) {
	if e == nil || c.Limit == 0 || c.Status >= http.StatusBadRequest {
		return
	}
	at := int64(0)
	if !c.Expires.IsZero() {
		at = c.Expires.Unix()
	}
	e.at.Store(at)
}

// Describe implements prometheus.Collector.
func (e *expiryCollector) Describe(out chan<- *prometheus.Desc) { out <- e.desc }

// Collect implements prometheus.Collector.
func (e *expiryCollector) Collect(out chan<- prometheus.Metric) {
	if at := e.at.Load(); at > 0 {
		out <- prometheus.MustNewConstMetric(e.desc, prometheus.GaugeValue, float64(at))
	}
}

// updateMetrics count the outcomes of updates, of callers and of the queue.
type updateMetrics struct {
	files, requests prometheus.Histogram
}

func newUpdateMetrics(registry *prometheus.Registry) *updateMetrics {
	m := &updateMetrics{
		files: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "versions_service_update_files", Help: "Files that a committed update changed.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 1000},
		}),
		requests: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "versions_service_update_github_requests", Help: "Requests to GitHub that an update took.",
			Buckets: []float64{1, 2, 3, 4, 5, 6, 8, 12, 20, 50, 100},
		}),
	}
	registry.MustRegister(m.files, m.requests)
	return m
}

func (m *updateMetrics) observe(results []update.Result, requests int) {
	m.requests.Observe(float64(requests))
	for _, r := range results {
		if r.Err == nil && r.Status == update.Committed {
			m.files.Observe(float64(len(r.Files)))
		}
	}
}

// registerWaiting registers the number of updates that wait for a commit.
func registerWaiting(registry *prometheus.Registry, waiting func() int) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "versions_service_updates_waiting", Help: "Updates that wait for the commit under way.",
	}, func() float64 { return float64(waiting()) }))
}

// queueMetrics count what happens to stored updates.
type queueMetrics struct {
	retries, postponed, writeFailures prometheus.Counter
	ended                             *prometheus.CounterVec
	seconds                           *prometheus.HistogramVec
}

func newQueueMetrics(registry *prometheus.Registry) *queueMetrics {
	m := &queueMetrics{
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "versions_service_queue_retries_total", Help: "Failed tries of stored updates that are tried again.",
		}),
		postponed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "versions_service_queue_postponed_total", Help: "Stored updates that were postponed until a limit resets.",
		}),
		writeFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "versions_service_store_write_failures_total", Help: "Changes that the store did not take: it is away, its disk is full or read-only.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "versions_service_queue_ended_total", Help: "Stored updates that ended, by status on a target; failed ones stay failed until they are retried.",
		}, []string{"status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "versions_service_queue_duration_seconds", Help: "Time from an update's acceptance to its end on a target, by status.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400},
		}, []string{"status"}),
	}
	registry.MustRegister(m.retries, m.postponed, m.writeFailures, m.ended, m.seconds)
	return m
}

func (m *queueMetrics) observe(e queue.Event) {
	switch e.Kind {
	case queue.TaskRetried:
		m.retries.Inc()
	case queue.TaskPostponed:
		m.postponed.Inc()
	case queue.WriteFailed:
		m.writeFailures.Inc()
	case queue.TaskEnded:
		m.ended.WithLabelValues(string(e.Status)).Inc()
		m.seconds.WithLabelValues(string(e.Status)).Observe(e.Since.Seconds())
	}
}

// statsPatience bounds the query to the store when metrics are collected.
const statsPatience = 2 * time.Second

// registerStore registers metrics of what waits in the store. They are absent while
// the store does not answer.
func registerStore(registry *prometheus.Registry, q *queue.Queue) {
	registry.MustRegister(&storeCollector{
		queue: q,
		ok: prometheus.NewDesc("versions_service_store_ok",
			"1 when the store can take an update, 0 when it cannot.", nil, nil),
		waiting: prometheus.NewDesc("versions_service_queue_waiting",
			"Stored updates that wait, counted for each target.", nil, nil),
		oldest: prometheus.NewDesc("versions_service_queue_oldest_seconds",
			"How long the oldest of them waits.", nil, nil),
		failed: prometheus.NewDesc("versions_service_queue_failed",
			"Failed updates in the history, which can be retried.", nil, nil),
		notices: prometheus.NewDesc("versions_service_notifications_waiting",
			"Notifications that are not delivered yet, by endpoint.", []string{"endpoint"}, nil),
	})
}

type storeCollector struct {
	queue                                *queue.Queue
	ok, waiting, oldest, failed, notices *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.ok
	out <- c.waiting
	out <- c.oldest
	out <- c.failed
	out <- c.notices
}

// Collect implements prometheus.Collector.
func (c *storeCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statsPatience)
	defer cancel()
	usable := 1.0
	if c.queue.Check(ctx) != nil {
		usable = 0
	}
	out <- prometheus.MustNewConstMetric(c.ok, prometheus.GaugeValue, usable)
	stats, err := c.queue.Stats(ctx)
	if err != nil {
		return
	}
	out <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(stats.Waiting))
	out <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, stats.Oldest.Seconds())
	out <- prometheus.MustNewConstMetric(c.failed, prometheus.GaugeValue, float64(stats.Failed))
	notices, err := c.queue.WaitingNotices(ctx)
	if err != nil {
		return
	}
	for endpoint, n := range notices {
		out <- prometheus.MustNewConstMetric(c.notices, prometheus.GaugeValue, float64(n), endpoint)
	}
}

// registerBudget registers what the client knows of GitHub's limits: by owner for a
// GitHub App, and without a label for a token.
func registerBudget(registry *prometheus.Registry, client *github.Client) {
	registry.MustRegister(budgetCollector{client})
}

type budgetCollector struct{ client *github.Client }

// Describe implements prometheus.Collector. Nothing is described, since the labels
// depend on the credential.
func (budgetCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c budgetCollector) Collect(out chan<- prometheus.Metric) {
	limits := c.client.RateLimits()
	if len(limits) == 0 {
		limits[""] = github.RateLimit{}
	}
	for owner, l := range limits {
		var labels prometheus.Labels
		if owner != "" {
			labels = prometheus.Labels{"owner": owner}
		}
		gauge := func(name, help string, value float64) {
			out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, labels), prometheus.GaugeValue, value)
		}
		reset := 0.0
		if !l.Reset.IsZero() {
			reset = float64(l.Reset.Unix())
		}
		gauge("versions_service_github_rate_limit", "Requests an hour that GitHub allows; 0 when not told yet.", float64(l.Limit))
		gauge("versions_service_github_rate_limit_remaining", "Requests that are left of the hour's budget.", float64(l.Remaining))
		gauge("versions_service_github_rate_limit_reset_timestamp_seconds", "When the hour's budget is full again.", reset)
	}
}

// registerMemory registers what is remembered in the memory of CACHE_BYTES.
func registerMemory(registry *prometheus.Registry, client *github.Client) {
	of := []string{"of"}
	registry.MustRegister(&memoryCollector{
		client: client,
		limit:  prometheus.NewDesc("versions_service_cache_limit_bytes", "The memory of CACHE_BYTES.", nil, nil),
		used: prometheus.NewDesc("versions_service_cache_bytes",
			"What is remembered of repositories, in bytes of memory.", of, nil),
		evicted: prometheus.NewDesc("versions_service_cache_evicted_total",
			"What was forgotten for want of memory, and may have to be read again.", of, nil),
	})
}

type memoryCollector struct {
	client               *github.Client
	limit, used, evicted *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *memoryCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.limit
	out <- c.used
	out <- c.evicted
}

// Collect implements prometheus.Collector.
func (c *memoryCollector) Collect(out chan<- prometheus.Metric) {
	memory := c.client.Memory()
	out <- prometheus.MustNewConstMetric(c.limit, prometheus.GaugeValue, float64(max(memory.Bound(), 0)))
	for _, use := range memory.Uses() {
		out <- prometheus.MustNewConstMetric(c.used, prometheus.GaugeValue, float64(use.Bytes), use.Name)
		out <- prometheus.MustNewConstMetric(c.evicted, prometheus.CounterValue, float64(use.Evicted), use.Name)
	}
}
