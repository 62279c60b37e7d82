package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/notify"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// unknownSecret stands for a secret that is not looked up.
const unknownSecret = "whsec_bm90IGxvb2tlZCB1cCwganVzdCBhIHBsYWNlaG9sZGVy" //nolint:gosec // nobody's

// checkNotify checks an endpoint as if each secret that is not looked up were set.
func checkNotify(n config.Notify) error {
	n.HTTP.Secrets = slices.Clone(n.HTTP.Secrets)
	for i, secret := range n.HTTP.Secrets {
		if secret.Reveal() == "" {
			n.HTTP.Secrets[i] = config.NewSecret(unknownSecret)
		}
	}
	_, err := newEndpoint(n)
	var option *notify.OptionError
	if errors.As(err, &option) {
		return &config.Error{Key: "http." + option.Option, Detail: option.Detail, Err: err}
	}
	return err
}

func newEndpoint(n config.Notify) (*notify.Endpoint, error) {
	o := notify.Options{
		Name: n.Name, URL: n.HTTP.URL, Private: n.HTTP.Private, Insecure: n.HTTP.Insecure, Proxy: http.ProxyFromEnvironment,
	}
	for _, secret := range n.HTTP.Secrets {
		o.Secrets = append(o.Secrets, secret.Reveal())
	}
	return notify.New(o)
}

// newEndpoints builds every endpoint. Those that are as before are taken over, with their
// connections.
func newEndpoints(all []config.Notify, before *configuration) ([]*notify.Endpoint, error) {
	var endpoints []*notify.Endpoint
	for _, n := range all {
		at := slices.IndexFunc(before.settings.Notify, func(old config.Notify) bool { return reflect.DeepEqual(old, n) })
		if at >= 0 {
			endpoints = append(endpoints, before.endpoints[at])
			continue
		}
		e, err := newEndpoint(n)
		if err != nil {
			return nil, fmt.Errorf("CONFIG_FILE: notify: %s: %w", n.Name, err)
		}
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}

// notices makes the notices of the configuration in force. It is a queue.Notices.
type notices struct{ *Service }

// endpoints returns those that are told of updates now.
func (n notices) endpoints() []config.Notify {
	if c := n.running.Load(); c != nil {
		return c.settings.Notify
	}
	return nil
}

// Wanted implements queue.Notices.
func (n notices) Wanted(s queue.Status) bool {
	return slices.ContainsFunc(n.endpoints(), func(e config.Notify) bool { return isTold(e, s) })
}

func isTold(e config.Notify, s queue.Status) bool {
	if len(e.On) == 0 {
		return slices.Contains(config.NotifyStatuses(), string(s))
	}
	return slices.Contains(e.On, string(s))
}

// Of implements queue.Notices.
func (n notices) Of(u queue.Update) []queue.Notice {
	var out []queue.Notice
	bodies := map[string][]byte{} // by the link
	for _, e := range n.endpoints() {
		if !isTold(e, u.Status) || !concerns(e, u) {
			continue
		}
		body, ok := bodies[e.Link]
		if !ok {
			body = api.Notification(u, e.Link, queue.MaxNotice)
			bodies[e.Link] = body
		}
		if body != nil {
			out = append(out, queue.Notice{Endpoint: e.Name, Body: body})
		}
	}
	return out
}

// concerns reports whether the update went to a target of the endpoint: one that names the
// image, unless none does.
func concerns(e config.Notify, u queue.Update) bool {
	named := slices.ContainsFunc(u.Tasks, func(t queue.Task) bool { return t.Status != queue.Absent })
	return len(e.Targets) == 0 || slices.ContainsFunc(u.Tasks, func(t queue.Task) bool {
		return (t.Status != queue.Absent || !named) && slices.Contains(e.Targets, t.Target)
	})
}

// newDeliverer returns what delivers the notices of the store.
func (s *Service) newDeliverer() *notify.Deliverer {
	return notify.NewDeliverer(s.queue, func(endpoint string, o notify.Outcome) {
		s.notified.attempts.WithLabelValues(endpoint, string(o)).Inc()
	}, s.logger)
}

// deliver delivers notices until ctx ends.
func (s *Service) deliver(ctx context.Context) {
	s.deliverer.Run(ctx, func() []*notify.Endpoint { return s.running.Load().endpoints })
}

// notifyMetrics count notifications.
type notifyMetrics struct{ attempts *prometheus.CounterVec }

// notifyDropped is the outcome of a notification for which there is no room.
const notifyDropped = "dropped"

func newNotifyMetrics(registry *prometheus.Registry) *notifyMetrics {
	m := &notifyMetrics{attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "versions_service_notifications_total",
		Help: "Attempts at notifications by endpoint and outcome: delivered, failed (tried again), given_up, dropped (no room).",
	}, []string{"endpoint", "outcome"})}
	registry.MustRegister(m.attempts)
	return m
}

// begin shows every series of the endpoints, so that their first failure is an increase.
func (m *notifyMetrics) begin(endpoints []*notify.Endpoint) {
	for _, e := range endpoints {
		for _, outcome := range []string{string(notify.Delivered), string(notify.Failed), string(notify.GivenUp), notifyDropped} {
			m.attempts.WithLabelValues(e.Name(), outcome)
		}
	}
}

// observeNotices wakes the delivery of what was stored, and counts what was not.
func (s *Service) observeNotices(e queue.Event) {
	switch e.Kind {
	case queue.NoticeStored:
		s.deliverer.Wake()
	case queue.NoticeDropped:
		s.notified.attempts.WithLabelValues(e.Endpoint, notifyDropped).Inc()
	}
}
