package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// watchEvery is how often the files of the settings are looked at. A change counts
	// once two looks in a row have seen it, so that no half-written file is read. Looking
	// works for every kind of volume, where notices of the kernel do not.
	watchEvery = time.Second
	// rereads bounds how often files are read that change while they are read.
	rereads = 3
)

// The results in the metric of reloads.
const (
	reloadApplied = "applied"
	reloadRefused = "refused"
)

// errChanging is the error of files that never stand still.
var errChanging = errors.New("the files change while they are read")

// laterError refuses a reload that is tried again with the same files.
type laterError struct{ reason string }

// Error is the reason.
func (e *laterError) Error() string {
	return e.reason + "; the reload is tried again until that has changed"
}

// Reload has Run read the configuration file and the files of secrets again, even if
// they did not change. It returns at once.
func (s *Service) Reload() {
	select {
	case s.asked <- struct{}{}:
	default: // it is asked for already
	}
}

// watch reloads the settings when their files change, and when Reload asks for it,
// until ctx ends.
func (s *Service) watch(ctx context.Context) {
	every := s.running.Load().settings.WatchEvery
	if every <= 0 {
		every = watchEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	w := watcher{tried: s.running.Load().settings.files}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.asked:
			w.refusal = nil // its outcome is logged in any case
			s.reload(ctx, &w)
		case <-tick.C:
			if w.due() {
				s.reload(ctx, &w)
			}
		}
	}
}

// watcher decides when files are read again.
type watcher struct {
	tried   files // as the last reload read them
	seen    files // as the last look saw them, if that was a change
	refusal error // of the last reload
}

// due looks at the files, and reports whether to read them again.
func (w *watcher) due() bool {
	now := w.tried.now()
	var later *laterError
	switch {
	case len(now.changed(w.tried)) == 0:
		w.seen = nil
		return errors.As(w.refusal, &later)
	case w.seen == nil || len(now.changed(w.seen)) > 0:
		w.seen = now
		return false
	}
	return true
}

// reload reads the settings again. They come into force as a whole or not at all, which
// is logged and counted, once for the same refusal.
func (s *Service) reload(ctx context.Context, w *watcher) {
	before := s.running.Load()
	settings, err := before.settings.readAgain()
	w.tried, w.seen = settings.files, nil
	if err == nil {
		err = s.replace(ctx, before, settings)
	}
	repeated := err != nil && w.refusal != nil && err.Error() == w.refusal.Error()
	w.refusal = err
	switch {
	case repeated:
	case err != nil:
		s.logger.ErrorContext(ctx, "reload refused; the settings of before stay in force", "error", err.Error())
		s.reloads.refused()
	default:
		s.logger.InfoContext(ctx, "settings reloaded", "files", settings.files.changed(before.settings.files),
			"targets", settings.targetNames(), "webhooks", settings.webhookNames())
		s.logWarnings(settings, before.settings.Warnings)
		s.reloads.applied()
	}
}

// readAgain returns the settings as the environment's files give them now.
func (s Settings) readAgain() (next Settings, err error) {
	for range rereads {
		next, err = readEnvironment(s.env, s.Trust.Callers)
		next.Trial, next.AskAtStart, next.WatchEvery, next.Now = s.Trial, s.AskAtStart, s.WatchEvery, s.Now
		if len(next.files.now().changed(next.files)) == 0 {
			return next, err
		}
	}
	return next, errChanging
}

// replace puts the settings in force, or returns why they cannot be.
func (s *Service) replace(ctx context.Context, before *configuration, settings Settings) error {
	if err := before.settings.allows(settings); err != nil {
		return err
	}
	next, err := s.build(settings, before)
	if err != nil {
		return err
	}
	if err := s.checkWaiting(ctx, before, next); err != nil {
		return err
	}
	old := before.settings
	if settings.token != old.token || settings.appKey != old.appKey || settings.SigningKey != old.SigningKey || settings.installation() != old.installation() {
		if err := s.client.Become(settings.Credential, settings.SigningKey); err != nil {
			return fmt.Errorf("the credential for GitHub: %w", err)
		}
	}
	s.running.Store(next)
	s.handler.Configure(next.served())
	s.ready.replace(next.targets)
	s.standing.keep(s.client, before.targets, next.targets)
	s.unpark(ctx)
	return nil
}

// allows returns an error for a change that needs a restart.
func (s Settings) allows(next Settings) error {
	const restart = "cannot change while the service runs; restart it for that"
	switch {
	case next.databaseURL != s.databaseURL:
		return errors.New("DATABASE_URL: it " + restart)
	case next.Queue != s.Queue:
		return errors.New("CONFIG_FILE: queue " + restart)
	case !next.tracing.same(s.tracing):
		return errors.New("OTEL_EXPORTER_OTLP_HEADERS or OTEL_EXPORTER_OTLP_CERTIFICATE: it " + restart)
	case next.WebhookBody != s.WebhookBody || next.Bodies != s.Bodies:
		return errors.New("CONFIG_FILE: limits " + restart)
	case s.Trust.Policy != nil && !s.Trust.Policy.Watched() && next.Trust.Policy != nil && next.Trust.Policy.Watched():
		return errors.New("CONFIG_FILE: policy: audit lets everything through; that " + restart)
	case s.Trust.Policy != nil && next.Trust.Policy == nil:
		return errors.New("CONFIG_FILE: rules are gone, and every caller might do everything; that " + restart)
	}
	return nil
}

// storePatience bounds the question what waits in the store.
const storePatience = 5 * time.Second

// checkWaiting returns a *laterError if stored updates wait for a target that is not
// there any more, or on another branch.
func (s *Service) checkWaiting(ctx context.Context, before, next *configuration) error {
	keys := map[string]string{}
	for _, place := range next.updates.Places() {
		keys[place.ID] = place.Key
	}
	var gone []string
	for _, place := range before.updates.Places() {
		if keys[place.ID] != place.Key {
			gone = append(gone, place.ID)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	waiting, err := s.queue.WaitingFor(ctx)
	if err != nil {
		return &laterError{reason: "CONFIG_FILE: targets are removed, and the store does not tell what waits for them"}
	}
	for _, target := range gone {
		if n := waiting[target]; n > 0 {
			return &laterError{reason: fmt.Sprintf(
				"CONFIG_FILE: the target %s is removed, renamed or on another branch, and stored updates wait for it", target)}
		}
	}
	return nil
}

// reloadMetrics count reloads.
type reloadMetrics struct {
	total   *prometheus.CounterVec
	current prometheus.Gauge
}

func newReloadMetrics(registry *prometheus.Registry) *reloadMetrics {
	m := &reloadMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "versions_service_config_reloads_total", Help: "Reloads of the configuration file and the files of secrets, by result: applied or refused.",
		}, []string{"result"}),
		current: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "versions_service_config_current", Help: "1 if the settings in force are those of the files, 0 since a reload was refused.",
		}),
	}
	registry.MustRegister(m.total, m.current)
	m.total.WithLabelValues(reloadApplied)
	m.total.WithLabelValues(reloadRefused)
	m.current.Set(1)
	return m
}

func (m *reloadMetrics) applied() {
	m.total.WithLabelValues(reloadApplied).Inc()
	m.current.Set(1)
}

func (m *reloadMetrics) refused() {
	m.total.WithLabelValues(reloadRefused).Inc()
	m.current.Set(0)
}
