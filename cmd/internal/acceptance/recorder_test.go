package acceptance_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// exchange is one request and its answer on the wire.
type exchange struct {
	Method string      `json:"method"`
	URL    string      `json:"url"` // path and query
	Header http.Header `json:"-"`
	Body   string      `json:"body"`
	Status int         `json:"status"`
	Type   string      `json:"type"` // of the answer
	Answer string      `json:"answer"`
}

// recorder keeps everything that passes between the program and GitHub. It is
// safe for concurrent use.
type recorder struct {
	mu   sync.Mutex
	seen []exchange
}

// between is an option that puts the recorder in front of GitHub.
func (c *recorder) between(w *world) {
	w.t.Helper()
	upstream, err := url.Parse(w.env["GITHUB_API_URL"])
	w.must(err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Host = r.In.Host // GitHub's answers lead back here
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // callers that hang up are none of its business
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return c.record(r)
		}),
	}
	front := httptest.NewServer(proxy)
	w.t.Cleanup(front.Close)
	w.env["GITHUB_API_URL"] = front.URL
}

// roundTrip is a function as an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *recorder) record(r *http.Request) (*http.Response, error) {
	e := exchange{Method: r.Method, URL: r.URL.RequestURI(), Header: r.Header.Clone()}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		e.Body, r.Body = string(body), io.NopCloser(bytes.NewReader(body))
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	e.Status, e.Type, e.Answer = resp.StatusCode, resp.Header.Get("Content-Type"), string(answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, e)
	return resp, nil
}

func (c *recorder) exchanges() []exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]exchange(nil), c.seen...)
}

// bodies are those of the requests of a method to paths that end so.
func (c *recorder) bodies(method, suffix string) []string {
	return c.pick(method, suffix, func(e exchange) string { return e.Body })
}

// answers are the bodies of the answers to them.
func (c *recorder) answers(method, suffix string) []string {
	return c.pick(method, suffix, func(e exchange) string { return e.Answer })
}

func (c *recorder) pick(method, suffix string, field func(exchange) string) []string {
	var out []string
	for _, e := range c.exchanges() {
		if e.Method == method && strings.HasSuffix(e.URL, suffix) {
			out = append(out, field(e))
		}
	}
	return out
}

// longestToken is the length of the longest Authorization header.
func (c *recorder) longestToken() int {
	longest := 0
	for _, e := range c.exchanges() {
		longest = max(longest, len(e.Header.Get("Authorization")))
	}
	return longest
}
