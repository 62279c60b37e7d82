package service

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
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
	if format == formatTint {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: s.LogLevel, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: s.LogLevel, ReplaceAttr: withUnits}))
}

// withUnits writes durations as text with a unit, such as 12.5ms.
func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// logCall shows one request to GitHub at debug level.
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
