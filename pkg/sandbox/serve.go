package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxBody is what a request may carry: a blob of 100 MB in base64.
	maxBody = 140 << 20
	// apiVersion is what answers name when the caller asked for none.
	apiVersion = "2022-11-28"
)

// operation is the road every API request takes: log, credential, faults,
// limits, permission, handler, faults again, conditional answer.
func (s *Server) operation(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{Server: s, r: r, route: rt, start: s.clock(), set: s.Settings()}
		c.id = s.requestID()
		c.record = Request{
			Time: c.start, Method: r.Method, Endpoint: rt.endpoint(), Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		}
		begun := time.Now()
		defer func() {
			c.record.Duration = time.Since(begun)
			s.log.add(c.record)
			s.logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
				slog.String("endpoint", c.record.Endpoint), slog.String("path", c.record.Path),
				slog.Int("status", c.record.Status), slog.String("token", c.record.Token),
				slog.Duration("duration", c.record.Duration))
		}()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		c.body, c.record.RequestBytes = body, int64(len(body))
		if err != nil {
			c.write(w, nil, refuse(http.StatusRequestEntityTooLarge, "Request body too large"))
			return
		}
		c.serve(w)
	})
}

func (c *call) serve(w http.ResponseWriter) {
	c.caller = c.identify()
	c.record.Token = c.caller.name()
	c.pickFaults()
	done, limited := c.admit()
	defer done()
	if !c.pause() || c.silenced(w, EffectDrop, EffectSilence) || c.flooded(w) {
		return
	}
	a, err := c.perform(limited)
	c.write(w, a, err)
}

// perform runs the operation, unless a fault, the credential or a limit refuses it.
func (c *call) perform(limited *refusal) (*response, error) {
	c.runHooks()
	if r := c.refusedByFault(); r != nil {
		return nil, r
	}
	if c.r.UserAgent() == "" {
		return nil, &refusal{status: http.StatusForbidden, html: "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.\n"}
	}
	if c.caller.err != nil {
		return nil, c.caller.err
	}
	if limited != nil {
		return nil, limited
	}
	if err := c.findRepository(); err != nil {
		return nil, err
	}
	if err := c.authorize(); err != nil {
		return nil, err
	}
	if c.repo != nil {
		if err := c.repo.settleMerges(); err != nil {
			return nil, err
		}
	}
	return c.route.handle(c)
}

// pause waits out the latency; false means that the caller has gone.
func (c *call) pause() bool {
	wait := time.Duration(c.set.Latency)
	for _, f := range c.faults {
		if f.Effect == EffectLatency {
			wait += time.Duration(f.Delay)
		}
	}
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// silenced ends the connection without a word when a fault says so: at once,
// or when the caller has given up. The status in the log is then 0.
func (c *call) silenced(w http.ResponseWriter, drop, silence Effect) bool {
	switch {
	case c.has(drop):
	case c.has(silence):
		<-c.r.Context().Done()
	default:
		return false
	}
	hangUp(w)
	return true
}

// hangUp closes the connection below the answer. Over HTTP/2 and in tests
// without a connection, net/http's own way of aborting does it.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close()
}

// write sends what came of the request.
func (c *call) write(w http.ResponseWriter, a *response, err error) {
	if c.silenced(w, EffectDropAfter, EffectSilenceAfter) {
		return
	}
	if err == nil && c.has(EffectBadGatewayAfter) {
		err = badGateway()
	}
	h := w.Header()
	c.setHeaders(h)
	if err != nil {
		c.writeRefusal(w, toRefusal(err))
		return
	}
	body, err := a.encode()
	if err != nil {
		c.writeRefusal(w, toRefusal(err))
		return
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
	if status == http.StatusOK || status == http.StatusCreated {
		tag := c.entityTag(a, body)
		h.Set("ETag", tag)
		if c.r.Method == http.MethodGet && matches(c.r.Header.Values("If-None-Match"), tag) {
			c.record.Conditional = true
			c.refund()
			c.setLimitHeaders(h)
			h.Del("Content-Type")
			c.send(w, http.StatusNotModified, nil)
			return
		}
	}
	c.send(w, status, body)
}

func (c *call) send(w http.ResponseWriter, status int, body []byte) {
	status, body = c.tampered(status, body)
	c.record.Status, c.record.ResponseBytes = status, int64(len(body))
	if c.has(EffectCut) && len(body) > 1 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if status != http.StatusNotModified && status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that has gone is no matter of ours
}

func (c *call) writeRefusal(w http.ResponseWriter, r *refusal) {
	h := w.Header()
	for k, v := range r.header {
		h.Set(k, v)
	}
	if r.foreign {
		clear(h)
	}
	if r.html != "" {
		h.Set("Content-Type", "text/html; charset=utf-8")
		c.send(w, r.status, []byte(r.html))
		return
	}
	doc := r.doc
	switch {
	case doc == "" && c.route.doc != "":
		doc = docsRoot + "/" + c.route.doc
	case doc == "":
		doc = docsRoot
	}
	var body any = errorBody{Message: r.message, Errors: r.errors, DocumentationURL: doc, Status: strconv.Itoa(r.status)}
	if to := r.header["Location"]; to != "" {
		body = map[string]string{"message": r.message, "url": to, "documentation_url": docsRoot + "/guides/best-practices-for-using-the-rest-api#follow-redirects"}
	}
	b, err := encodeJSON(body)
	if err != nil {
		b = []byte(`{"message":"Server Error"}`)
	}
	c.send(w, r.status, b)
}

func (c *call) setHeaders(h http.Header) {
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Server", "embedded-github")
	h.Set("X-GitHub-Request-Id", c.id)
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	version := c.r.Header.Get("X-GitHub-Api-Version")
	if version == "" {
		version = apiVersion
	}
	h.Set("x-github-api-version-selected", version)
	h.Add("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
	h.Add("Vary", "Accept-Encoding, Accept, X-Requested-With")
	h.Set("X-Content-Type-Options", "nosniff")
	if c.route.need.permission != "" && c.caller.token != nil {
		h.Set("X-Accepted-GitHub-Permissions", c.route.need.String())
	}
	if t := c.caller.token; t != nil && !t.Expires.IsZero() && t.kind() != KindInstallation {
		h.Set("github-authentication-token-expiration", t.Expires.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	c.setLimitHeaders(h)
}

// entityTag is weak and differs between credentials, as on GitHub.
func (c *call) entityTag(a *response, body []byte) string {
	d := sha256.New()
	_, _ = fmt.Fprintf(d, "%s\x00%s\x00", c.caller.key(), strings.Join(c.r.Header.Values("Accept"), ","))
	if a.version != "" {
		_, _ = io.WriteString(d, a.version)
	} else {
		d.Write(body)
	}
	return `W/"` + hex.EncodeToString(d.Sum(nil)) + `"`
}

// matches compares weakly, which is what If-None-Match asks for.
func matches(header []string, tag string) bool {
	for _, line := range header {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// requestID has the shape of GitHub's.
func (s *Server) requestID() string {
	b, err := s.randomBytes(16)
	if err != nil {
		return "0000:000000:000000:000000:00000000"
	}
	x := strings.ToUpper(hex.EncodeToString(b))
	return x[:4] + ":" + x[4:10] + ":" + x[10:16] + ":" + x[16:22] + ":" + x[22:30]
}

var errNoRandom = errors.New("no random bytes")

func (s *Server) randomBytes(n int) ([]byte, error) {
	b := make([]byte, n)
	s.randomMu.Lock()
	defer s.randomMu.Unlock()
	if _, err := io.ReadFull(s.random, b); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoRandom, err)
	}
	return b, nil
}
