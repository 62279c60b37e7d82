package acceptance_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// collector receives spans by OTLP over HTTP.
type collector struct {
	*httptest.Server
	t  *testing.T
	mu sync.Mutex
	// spans are those of all resources.
	spans    []*tracepb.Span
	services []string
	headers  http.Header
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err := proto.Unmarshal(body, &data); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.headers = r.Header
		for _, resource := range data.GetResourceSpans() {
			for _, a := range resource.GetResource().GetAttributes() {
				c.services = append(c.services, a.GetKey()+"="+a.GetValue().GetStringValue())
			}
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// anyAddress is one of this machine, as none may be in a span.
var anyAddress = regexp.MustCompile(`127(\.\d+){3}`)

func (c *collector) all() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// named waits for a span whose name begins so, in a trace; nil is any trace.
func (c *collector) named(name string, trace []byte) *tracepb.Span {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		for _, s := range c.all() {
			if strings.HasPrefix(s.GetName(), name) && (trace == nil || bytes.Equal(s.GetTraceId(), trace)) {
				return s
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("no span %s among %v", name, c.names())
		}
	}
}

func (c *collector) names() (names []string) {
	for _, s := range c.all() {
		names = append(names, s.GetName()+" "+hex.EncodeToString(s.GetTraceId()))
	}
	return names
}

// TestTraces follows a request that is waited for, and one that is stored, to their calls
// of GitHub.
func TestTraces(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20") // milliseconds; the library reads it itself
	c := newCollector(t)
	w := start(t, withEnv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL), withEnv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of%20the%20collector"),
		withEnv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"))
	const caller, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	w.post(mission, "traceparent", "00-"+caller+"-"+parent+"-01")
	trace, _ := hex.DecodeString(caller)
	request := c.named("POST /v1/updates", trace)
	if hex.EncodeToString(request.GetParentSpanId()) != parent || request.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the request's span: %v", request)
	}
	c.under(trace, "GitHub GET /repos/{owner}/{repo}/git/trees/{tree_sha}", "write", "POST /v1/updates")
	c.under(trace, "GitHub PATCH /repos/{owner}/{repo}/git/refs/{ref}", "commit", "write", "POST /v1/updates")
	c.under(trace, "GitHub POST /repos/{owner}/{repo}/git/trees", "commit")
	c.under(trace, "plan", "write")

	stored := w.post(setTo(worker, "v1"), "Prefer", "respond-async")
	w.ended(stored.update.Id)
	applied := c.named("apply stored updates", nil)
	accepted := c.span(applied.GetParentSpanId())
	if accepted == nil || accepted.GetName() != "POST /v1/updates" || !bytes.Equal(accepted.GetTraceId(), applied.GetTraceId()) {
		t.Errorf("it was stored by %v", accepted)
	}
	if links := applied.GetLinks(); len(links) != 1 || !bytes.Equal(links[0].GetSpanId(), applied.GetParentSpanId()) {
		t.Errorf("links: %v", links)
	}
	c.under(applied.GetTraceId(), "GitHub PATCH /repos/{owner}/{repo}/git/refs/{ref}", "commit", "write", "apply stored updates", "POST /v1/updates")

	w.get("/healthz")
	w.must(w.stop())
	for _, s := range c.all() {
		text, err := protojson.Marshal(s)
		w.must(err)
		if strings.Contains(string(text), githubToken) || strings.Contains(s.GetName(), "healthz") || anyAddress.Match(text) {
			t.Errorf("a span: %s", text)
		}
	}
	if c.headers.Get("X-Key") != "of the collector" || !slices.Contains(c.services, "service.name=versions-service") || !slices.Contains(c.services, "deployment.environment=test") {
		t.Errorf("headers %v, resource %v", c.headers, c.services)
	}
	if line := w.logs.requests(t, "/v1/updates")[0]; line["trace_id"] != caller || line["span_id"] != hex.EncodeToString(request.GetSpanId()) {
		t.Errorf("the request's line: %v", line)
	}
	if strings.Contains(w.logs.String(), "of the collector") {
		t.Error("the log has the collector's key")
	}
	c.tried(t, w.logs.String(), applied)
}

// tried wants the line of a stored update to have the ids of its span.
func (c *collector) tried(t *testing.T, log string, applied *tracepb.Span) {
	t.Helper()
	for line := range strings.Lines(log) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == "stored update" {
			if fields["trace_id"] != hex.EncodeToString(applied.GetTraceId()) {
				t.Errorf("the update's line: %s", line)
			}
			return
		}
	}
	t.Error("no line of the stored update")
}

func (c *collector) span(id []byte) *tracepb.Span {
	for _, s := range c.all() {
		if bytes.Equal(s.GetSpanId(), id) {
			return s
		}
	}
	return nil
}

// under wants a span of the trace whose parents have these names.
func (c *collector) under(trace []byte, name string, parents ...string) {
	c.t.Helper()
	s := c.named(name, trace)
	for _, want := range parents {
		var parent *tracepb.Span
		for deadline := time.Now().Add(patience); parent == nil && time.Now().Before(deadline); <-time.After(betweenLooks) {
			parent = c.span(s.GetParentSpanId())
		}
		if parent == nil || parent.GetName() != want {
			c.t.Errorf("%s is under %v, want %s", s.GetName(), parent, want)
			return
		}
		s = parent
	}
}

// TestTracesAreOff wants no connection unless it is asked for, and none that is switched
// off.
func TestTracesAreOff(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	w := start(t, withEnv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL), withEnv("OTEL_SDK_DISABLED", "true"))
	w.post(mission, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w.must(w.stop())
	if spans := c.all(); len(spans) > 0 || strings.Contains(w.logs.String(), "trace_id") {
		t.Errorf("spans %v\n%s", spans, w.logs)
	}
}
