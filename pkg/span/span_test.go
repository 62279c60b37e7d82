package span_test

import (
	"context"
	"errors"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/refty-yapi/refty-node-versions-service/pkg/span"
)

func TestSteps(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))
	ctx, root := provider.Tracer("test").Start(t.Context(), "root")
	inner, step := span.Start(ctx, "step", "target", "staging")
	kept := span.Context(inner)
	step.End(errors.New("it failed"))
	root.End()
	ended := recorder.Ended()
	if len(ended) != 2 || ended[0].Name() != "step" || ended[0].Parent().SpanID() != root.SpanContext().SpanID() ||
		ended[0].Status().Description != "it failed" || ended[0].Attributes()[0].Value.AsString() != "staging" {
		t.Errorf("spans: %+v", ended)
	}
	if got := span.Kept(kept); got.SpanID() != ended[0].SpanContext().SpanID() || got.TraceID() != root.SpanContext().TraceID() || !got.IsSampled() || !got.IsRemote() {
		t.Errorf("%s is kept as %+v", kept, got)
	}
	for _, text := range []string{"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01"} {
		if span.Kept(text).IsValid() {
			t.Errorf("%q is valid", text)
		}
	}
}

// TestOffCostsNothing wants no allocation where nothing is traced.
func TestOffCostsNothing(t *testing.T) {
	ctx := context.WithValue(t.Context(), key{}, 1)
	if n := testing.AllocsPerRun(100, func() {
		_, step := span.Start(ctx, "step", "target", "staging")
		step.End(nil)
		_ = span.Context(ctx)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

type key struct{}

func BenchmarkOff(b *testing.B) {
	ctx := b.Context()
	for b.Loop() {
		_, step := span.Start(ctx, "step", "target", "staging")
		step.End(nil)
	}
}
