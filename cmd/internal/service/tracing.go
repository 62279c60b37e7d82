package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/span"
)

// tracing are the settings of OpenTelemetry's variables. Without an endpoint nothing is
// traced.
type tracing struct {
	disabled    bool
	none        bool   // OTEL_TRACES_EXPORTER
	base        string // to which the path of traces is added
	traces      string // taken as it is
	headers     map[string]string
	gzip        bool
	timeout     time.Duration
	certificate []byte
	service     string
	attributes  map[string]string
	sampler     string
	samplerArg  float64
}

// on reports whether spans are made.
func (t tracing) on() bool { return !t.disabled && !t.none && t.endpoint() != "" }

// same reports whether what comes from files is as it was.
func (t tracing) same(other tracing) bool {
	return maps.Equal(t.headers, other.headers) && bytes.Equal(t.certificate, other.certificate)
}

func (t tracing) endpoint() string {
	if t.traces != "" || t.base == "" {
		return t.traces
	}
	return strings.TrimSuffix(t.base, "/") + "/v1/traces"
}

// tracingVariables are those of OpenTelemetry, of which the library itself reads OTEL_BSP_*
// and OTEL_SPAN_*.
func tracingVariables() []variable {
	both := func(name, fallback, help string, secret bool, set func(*Settings, string) error) []variable {
		return []variable{
			{name: "OTEL_EXPORTER_OTLP_" + name, fallback: fallback, help: help, secret: secret, set: set},
			{name: "OTEL_EXPORTER_OTLP_TRACES_" + name, help: "the same for traces alone", secret: secret, set: set},
		}
	}
	all := []variable{
		{name: "OTEL_EXPORTER_OTLP_ENDPOINT", help: "address of a collector of OpenTelemetry traces by OTLP over HTTP, such as http://otel-collector:4318; nothing is traced when empty", set: func(s *Settings, v string) error {
			s.tracing.base = v
			return checkEndpoint(v)
		}},
		{name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", help: "its whole address for traces, such as http://otel-collector:4318/v1/traces", set: func(s *Settings, v string) error {
			s.tracing.traces = v
			return checkEndpoint(v)
		}},
	}
	all = append(all, both("HEADERS", "", "headers for it, as name=value separated by commas, each percent-encoded", true, func(s *Settings, v string) (err error) {
		s.tracing.headers, err = baggage(v)
		return err
	})...)
	all = append(all, both("PROTOCOL", "http/protobuf", "http/protobuf, the only one", false, func(_ *Settings, v string) error {
		return oneOf(v, "http/protobuf")
	})...)
	all = append(all, both("COMPRESSION", "none", "none or gzip", false, func(s *Settings, v string) error {
		s.tracing.gzip = v == "gzip"
		return oneOf(v, "none", "gzip")
	})...)
	all = append(all, both("TIMEOUT", "10000", "milliseconds for one batch of spans", false, func(s *Settings, v string) error {
		var ms int64
		err := positive(v, &ms)
		s.tracing.timeout = time.Duration(min(ms, maxOTLPTimeout)) * time.Millisecond
		return err
	})...)
	all = append(all, both("CERTIFICATE", "", "PEM file of the certificates that its own is trusted by", false, func(s *Settings, v string) (err error) {
		s.tracing.certificate, err = s.files.read(v)
		return err
	})...)
	return append(all,
		variable{name: "OTEL_SERVICE_NAME", fallback: "versions-service", help: "the service's name in traces", set: func(s *Settings, v string) error {
			s.tracing.service = v
			return nil
		}},
		variable{name: "OTEL_RESOURCE_ATTRIBUTES", help: "attributes of its spans, as name=value separated by commas", set: func(s *Settings, v string) (err error) {
			s.tracing.attributes, err = baggage(v)
			return err
		}},
		variable{name: "OTEL_TRACES_SAMPLER", fallback: "parentbased_always_on", help: "which traces are kept: always_on, always_off, traceidratio, or one of them with parentbased_ before it", set: func(s *Settings, v string) error {
			s.tracing.sampler = v
			return oneOf(strings.TrimPrefix(v, "parentbased_"), "always_on", "always_off", "traceidratio")
		}},
		variable{name: "OTEL_TRACES_SAMPLER_ARG", fallback: "1", help: "the part that traceidratio keeps, from 0 to 1", set: func(s *Settings, v string) (err error) {
			if s.tracing.samplerArg, err = strconv.ParseFloat(v, 64); err != nil || !(s.tracing.samplerArg >= 0 && s.tracing.samplerArg <= 1) {
				return errors.New("it is no number from 0 to 1")
			}
			return nil
		}},
		variable{name: "OTEL_TRACES_EXPORTER", fallback: "otlp", help: "otlp, or none for no traces", set: func(s *Settings, v string) error {
			s.tracing.none = v == "none"
			return oneOf(v, "otlp", "none")
		}},
		variable{name: "OTEL_SDK_DISABLED", fallback: "false", help: "true switches traces off", set: func(s *Settings, v string) error {
			s.tracing.disabled = strings.EqualFold(v, "true")
			return oneOf(strings.ToLower(v), "true", "false")
		}},
	)
}

// maxOTLPTimeout bounds OTEL_EXPORTER_OTLP_TIMEOUT in milliseconds.
const maxOTLPTimeout = 600_000

// checkEndpoint does not repeat the text, which may hold a credential.
func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("it is no URL, such as http://otel-collector:4318")
	}
	if u.User != nil {
		return errors.New("it holds a user or a password; OTEL_EXPORTER_OTLP_HEADERS has credentials")
	}
	return nil
}

// baggage reads name=value pairs. The error repeats none, which may be a credential.
func baggage(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || name == "" {
			return nil, errors.New("it is no list of name=value, separated by commas")
		}
		pairs[name] = value
	}
	return pairs, nil
}

// tracer makes the spans of a service. Its nil value makes none.
type tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// newTracer returns nil when nothing is traced. Spans that cannot be sent are logged, and
// lost.
func newTracer(t tracing, build Build, log *slog.Logger) (*tracer, error) {
	if !t.on() {
		return nil, nil
	}
	client, err := newOTLPClient(t)
	if err != nil {
		return nil, err
	}
	attributes := []attribute.KeyValue{attribute.String("service.name", t.service), attribute.String("service.version", build.Version)}
	for name, value := range t.attributes {
		if name != "service.name" { // OTEL_SERVICE_NAME has precedence
			attributes = append(attributes, attribute.String(name, value))
		}
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&exporter{SpanExporter: otlptrace.NewUnstarted(client), log: log}),
		sdktrace.WithResource(resource.NewSchemaless(attributes...)),
		sdktrace.WithSampler(t.newSampler()),
	)
	return &tracer{provider: provider, tracer: provider.Tracer(span.Tracer)}, nil
}

func (t tracing) newSampler() sdktrace.Sampler {
	name, byParent := strings.CutPrefix(t.sampler, "parentbased_")
	sampler := map[string]sdktrace.Sampler{
		"always_on": sdktrace.AlwaysSample(), "always_off": sdktrace.NeverSample(), "traceidratio": sdktrace.TraceIDRatioBased(t.samplerArg),
	}[name]
	if byParent {
		return sdktrace.ParentBased(sampler)
	}
	return sampler
}

// exporter logs when spans begin to get lost, and when they no longer do. The library calls
// it one at a time.
type exporter struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	lost bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !e.lost:
		e.log.WarnContext(ctx, "traces are lost until the collector takes them", "error", err.Error())
	case err == nil && e.lost:
		e.log.InfoContext(ctx, "the collector takes traces again")
	}
	e.lost = err != nil
	return nil // it is told
}

// stop sends what is left.
func (t *tracer) stop(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, traceFlush)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the exporter tells
}

// traceFlush bounds the sending of the last spans at a stop.
const traceFlush = 2 * time.Second

// forAPI is the tracer for requests; nil when nothing is traced.
func (t *tracer) forAPI() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// applied begins the span of stored updates that are carried out. It belongs to the trace of
// the request that stored the first of them, and links to those of all.
func (t *tracer) applied(ctx context.Context, batch queue.Batch) (context.Context, func()) {
	if t == nil {
		return ctx, func() {}
	}
	var links []trace.Link
	seen := map[string]bool{}
	for _, item := range batch.Items {
		if kept := span.Kept(item.Update.Trace); kept.IsValid() && !seen[item.Update.ID] && len(links) < maxLinks {
			seen[item.Update.ID] = true
			links = append(links, trace.Link{SpanContext: kept, Attributes: []attribute.KeyValue{attribute.String("update.id", item.Update.ID)}})
		}
	}
	if len(links) > 0 {
		ctx = trace.ContextWithRemoteSpanContext(ctx, links[0].SpanContext)
	}
	ctx, s := t.tracer.Start(ctx, "apply stored updates", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...),
		trace.WithAttributes(attribute.String("branch", batch.Branch), attribute.Int("updates", len(batch.Items))))
	return ctx, func() { s.End() }
}

// maxLinks bounds the links of a span; the library keeps no more.
const maxLinks = 128

// called makes the span of a request to GitHub that has ended. It has the endpoint and no
// address, which may hold a token.
func (t *tracer) called(ctx context.Context, c github.Call) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	end := time.Now()
	_, s := t.tracer.Start(ctx, fmt.Sprintf("GitHub %s %s", c.Method, c.Endpoint), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(end.Add(-c.Duration)), trace.WithAttributes(
			attribute.String("http.request.method", c.Method), attribute.String("url.template", c.Endpoint),
			attribute.Int("http.response.status_code", c.Status), attribute.Int64("http.response.body.size", c.Bytes),
		))
	if c.Err != nil || c.Status >= 400 {
		s.SetStatus(codes.Error, "")
	}
	s.End(trace.WithTimestamp(end))
}

// traced adds the ids of the context's span to log records.
type traced struct{ slog.Handler }

// Handle implements slog.Handler.
func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", s.TraceID().String()), slog.String("span_id", s.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
