package service

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// maxLogText and maxLogStack bound a text of a log line, and a panic's stack, in
	// bytes; maxLogList is how many elements of a list are shown.
	maxLogText  = 4 << 10
	maxLogStack = 16 << 10
	maxLogList  = 20
	// stackKey is the attribute that keeps its line breaks.
	stackKey = "stack"
)

// newLogger writes colours for people on a terminal and JSON for machines elsewhere.
func newLogger(w io.Writer, s Settings) *slog.Logger {
	format := s.LogFormat
	if format == formatAuto {
		format = formatJSON
		if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
			format = formatTint
		}
	}
	var handler slog.Handler = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: s.LogLevel, ReplaceAttr: loggable})
	if format == formatTint {
		handler = tint.NewTextHandler(w, &tint.Options{Level: s.LogLevel, TimeFormat: time.TimeOnly, ReplaceAttr: loggable})
	}
	if s.tracing.on() {
		handler = traced{handler}
	}
	return slog.New(handler)
}

// loggable makes an attribute fit for a log: a duration becomes a number of
// milliseconds, with a suffix in its name; a text, which may be a sender's, is
// shortened and loses its control characters.
func loggable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		return slog.Float64(a.Key+"_ms", float64(a.Value.Duration().Microseconds())/1000)
	case slog.KindString:
		a.Value = slog.StringValue(logText(a.Key, a.Value.String()))
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case slog.Level:
		case []string:
			a.Value = slog.AnyValue(logList(v))
		default:
			a.Value = slog.StringValue(logText(a.Key, fmt.Sprint(v)))
		}
	}
	return a
}

func logText(key, text string) string {
	if key != stackKey {
		return safetext.Line(text, maxLogText)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if b.Len() > maxLogStack {
			break
		}
		b.WriteString(safetext.Line(line, maxLogText))
		b.WriteByte('\n')
	}
	return b.String()
}

func logList(list []string) []string {
	shown := []string{}
	for i, text := range list {
		if i == maxLogList {
			return append(shown, fmt.Sprintf("and %d more", len(list)-i))
		}
		shown = append(shown, safetext.Line(text, maxLogText))
	}
	return shown
}

// logCall logs one request to GitHub at debug level.
func logCall(ctx context.Context, logger *slog.Logger, c github.Call) {
	if !logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", c.Method), slog.String("endpoint", c.Endpoint), slog.Int("status", c.Status),
		slog.Duration("duration", c.Duration), slog.Int64("received", c.Bytes), slog.Int64("sent", c.Sent),
	}
	if id := api.RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if c.Limit > 0 {
		attrs = append(attrs, slog.Int("remaining", c.Remaining))
	}
	if c.Err != nil {
		attrs = append(attrs, slog.String("error", c.Err.Error()))
	}
	logger.LogAttrs(ctx, slog.LevelDebug, "github", attrs...)
}
