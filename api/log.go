package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// requestIDHeader carries the request's id in and out.
const requestIDHeader = "X-Request-Id"

// saneRequestID matches the ids of callers that are fit for logs and commits.
var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=@-]{1,128}$`)

// The keys under which a request's facts are kept in its gin.Context.
const (
	keyCaller    = "caller"
	keyPrincipal = "principal"
	keyFacts     = "facts"
)

// keyStack is the attribute of a panic's stack.
const keyStack = "stack"

// identify gives the request an id: the caller's if saneRequestID matches it, else a
// new one.
func identify(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if !saneRequestID.MatchString(id) {
		id = uuid.Must(uuid.NewV7()).String()
	}
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestIDKey{}, id))
	c.Header(requestIDHeader, id)
	c.Set(keyFacts, &facts{})
}

type requestIDKey struct{}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

func requestID(c *gin.Context) string { return RequestID(c.Request.Context()) }

// facts are what the handlers add to the request's log line.
type facts struct {
	attrs   []slog.Attr
	outcome string // "" unless the request was an update
	counted bool   // by a warning about many like it, in place of a line at info
}

// note adds attributes to the request's log line.
func note(c *gin.Context, attrs ...slog.Attr) {
	f := factsOf(c)
	f.attrs = append(f.attrs, attrs...)
}

func noteOutcome(c *gin.Context, outcome string) { factsOf(c).outcome = outcome }

func noteProblem(c *gin.Context, p problem) {
	if p.status == statusGone {
		noteOutcome(c, outcomeGone)
		return
	}
	noteOutcome(c, string(p.code))
}

// outcomeGone is the outcome of an update whose caller hung up.
const outcomeGone = "canceled"

func factsOf(c *gin.Context) *facts {
	return c.MustGet(keyFacts).(*facts)
}

// logRequests logs one line for each request, at its end, and counts it. Probes and
// pages are logged at debug level.
func logRequests(logger *slog.Logger, m *metrics) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		duration := time.Since(start)
		f := factsOf(c)
		status := c.Writer.Status()
		route := c.FullPath()
		m.request(c.Request.Method, route, status, duration)
		if route == updatesRoute && c.Request.Method == http.MethodPost {
			m.update(f.outcome, duration)
		}

		attrs := []slog.Attr{
			slog.String("request_id", requestID(c)),
			slog.String("method", c.Request.Method),
			slog.String("path", c.Request.URL.Path),
			slog.Int("status", status),
		}
		if caller := c.GetString(keyCaller); caller != "" {
			attrs = append(attrs, slog.String("caller", caller))
		}
		attrs = append(attrs, f.attrs...)
		if f.outcome != "" {
			attrs = append(attrs, slog.String("outcome", f.outcome))
		}
		attrs = append(attrs, slog.Duration("duration", duration))
		if last := c.Errors.Last(); last != nil {
			attrs = append(attrs, update.ErrorAttrs(last.Err)...)
		}
		level := levelOf(c.Request.Method, route, status)
		if f.counted {
			level = slog.LevelDebug
		}
		logger.LogAttrs(c.Request.Context(), level, "request", bounded(attrs)...)
	}
}

// The bounds of one log line, whose path and quotations come from the caller.
const (
	maxLogText  = 1 << 10 // bytes of one text
	maxLogStack = 16 << 10
	maxLogTexts = 20 // texts of one list
)

// bounded shortens a value that is too long for a log line.
func bounded(attrs []slog.Attr) []slog.Attr {
	for i, a := range attrs {
		most := maxLogText
		if a.Key == keyStack {
			most = maxLogStack
		}
		if a.Value.Kind() == slog.KindString {
			attrs[i].Value = slog.StringValue(clip(a.Value.String(), most))
		}
		if texts, ok := a.Value.Any().([]string); ok {
			attrs[i].Value = slog.AnyValue(clipAll(texts))
		}
	}
	return attrs
}

// clip shortens a text to at most most bytes, and appends how many are left out.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(text[:most], ""), len(text)-most)
}

func clipAll(texts []string) []string {
	var out []string
	for i, text := range texts {
		if i == maxLogTexts {
			return append(out, fmt.Sprintf("and %d more", len(texts)-i))
		}
		out = append(out, clip(text, maxLogText/4))
	}
	return out
}

// levelOf returns error for failures of the service, info for posts and refused
// requests, and debug for everything else.
func levelOf(method, route string, status int) slog.Level {
	switch {
	case status >= http.StatusInternalServerError && route != readinessRoute:
		return slog.LevelError
	case method == http.MethodPost && route != "":
		return slog.LevelInfo
	case status >= http.StatusBadRequest:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}
