package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// maxRequests bounds the requests of a question: with authentication and the way
	// to http:// of an insecure host it needs four, and redirects come on top.
	maxRequests = 12
	// maxAnswer bounds an answer in bytes; a token has some thousand.
	maxAnswer = 1 << 20
	// maxHeader bounds the headers of an answer in bytes.
	maxHeader = 64 << 10
	// dialTimeout bounds a connection.
	dialTimeout = 5 * time.Second
	// idleTimeout is how long a connection is kept for the next question.
	idleTimeout = 30 * time.Second
)

// guard is the transport of all questions. It refuses hosts that may not be asked, and
// more requests or longer answers than a question needs. It is safe for concurrent use.
type guard struct {
	insecure map[string]bool // of the listed hosts, by host:port
	proxy    func(*http.Request) (*url.URL, error)

	listed  http.RoundTripper // for listed hosts: any address
	public  http.RoundTripper // for all others: public addresses
	proxied http.RoundTripper
}

func newGuard(o Options) *guard {
	g := &guard{insecure: map[string]bool{}, proxy: o.Proxy}
	for _, h := range o.Hosts {
		for _, scheme := range []string{"https", "http"} {
			if scheme == "https" || h.Insecure {
				g.insecure[withPort(strings.ToLower(h.Name), scheme)] = h.Insecure
			}
		}
	}
	g.listed = newTransport(&net.Dialer{Timeout: dialTimeout}, o.TLS, nil)
	g.public = newTransport(&net.Dialer{Timeout: dialTimeout, Control: ssrf.New(ssrf.WithAnyPort()).Safe}, o.TLS, nil)
	g.proxied = newTransport(&net.Dialer{Timeout: dialTimeout}, o.TLS, o.Proxy)
	return g
}

func newTransport(dialer *net.Dialer, roots *tls.Config, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext, TLSClientConfig: roots, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
		MaxIdleConns: maxQuestions, MaxIdleConnsPerHost: 2, IdleConnTimeout: idleTimeout,
	}
}

// withPort returns the host with the port that it has, or with that of the scheme.
func withPort(host, scheme string) string {
	if u := (url.URL{Host: host}); u.Port() != "" {
		return host
	}
	if scheme == "http" {
		return host + ":80"
	}
	return host + ":443"
}

// spent is the key of the number of requests of a question, an *atomic.Int32.
type spent struct{}

// RoundTrip sends the request if its host may be asked. The error wraps errPrivate,
// errPlain or errMany.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if n, ok := r.Context().Value(spent{}).(*atomic.Int32); ok && n.Add(1) > maxRequests {
		return nil, errMany
	}
	insecure, listed := g.insecure[withPort(strings.ToLower(r.URL.Host), r.URL.Scheme)]
	if r.URL.Scheme != "https" && !insecure {
		return nil, fmt.Errorf("%s://%s: %w", r.URL.Scheme, r.URL.Host, errPlain)
	}
	by := g.public
	switch proxy, err := g.proxyFor(r); {
	case err != nil:
		return nil, err
	case proxy && !listed && namesPrivate(r.URL.Hostname()):
		return nil, fmt.Errorf("%s: %w", r.URL.Host, errPrivate)
	case proxy:
		by = g.proxied
	case listed:
		by = g.listed
	}
	answer, err := by.RoundTrip(r)
	if err != nil {
		if errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrInvalidHostPort) {
			return nil, fmt.Errorf("%s: %w: %w", r.URL.Host, errPrivate, err)
		}
		return nil, err
	}
	answer.Body = &bounded{ReadCloser: answer.Body, left: maxAnswer}
	return answer, nil
}

// proxyFor reports whether the request goes through a proxy.
func (g *guard) proxyFor(r *http.Request) (bool, error) {
	if g.proxy == nil {
		return false, nil
	}
	to, err := g.proxy(r)
	return to != nil, err
}

// namesPrivate reports whether a host is an address that is not public, or localhost.
func namesPrivate(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && ssrf.New(ssrf.WithAnyPort()).SafeAddr(address.Unmap()) != nil
}

// bounded is a body that ends with errLarge after some bytes.
type bounded struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// counted returns a context in which a question has maxRequests requests.
func counted(ctx context.Context) context.Context {
	return context.WithValue(ctx, spent{}, new(atomic.Int32))
}
