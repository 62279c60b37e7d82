// Package span marks the steps of a trace. A step is a child of the span that its context
// has. Without one that is recorded nothing is made: a program that is not traced pays
// for a look into the context.
package span

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer is the name under which all spans are made.
const Tracer = "github.com/refty-yapi/refty-node-versions-service"

// maxError bounds the text of an error in a span, in bytes.
const maxError = 300

// Step is a part of the work. Its zero value does nothing.
type Step struct{ span trace.Span }

// Start begins a step. pairs are keys and values; values hold no secrets.
func Start(ctx context.Context, name string, pairs ...string) (context.Context, Step) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Step{}
	}
	ctx, s := parent.TracerProvider().Tracer(Tracer).Start(ctx, name)
	step := Step{s}
	for i := 0; i+1 < len(pairs); i += 2 {
		s.SetAttributes(attribute.String(pairs[i], pairs[i+1]))
	}
	return ctx, step
}

// End ends the step; err may be nil.
func (s Step) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		text := err.Error()
		s.span.SetStatus(codes.Error, text[:min(len(text), maxError)])
	}
	s.span.End()
}

const traceparent = "traceparent"

// Context returns the context's span in the form of Trace Context
// (https://www.w3.org/TR/trace-context/#traceparent-header), to be kept; "" for none.
func Context(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// Kept reads what Context returned. What is no such text is an invalid one.
func Kept(text string) trace.SpanContext {
	if text == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: text})
	return trace.SpanContextFromContext(ctx)
}
