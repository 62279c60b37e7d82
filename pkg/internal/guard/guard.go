// Package guard sends requests to hosts that come from outside: those that images name,
// and those that operators name for others. So that nobody can make the service call
// around inside of its own network, a connection is refused unless its address is public
// or its host is listed; http:// is for hosts that are listed as insecure. What is
// refused is the address that is dialled, so a name that changes its address in between
// gains nothing.
//
// Behind a proxy, which looks names up itself, addresses and the name localhost are
// checked, and other names are the proxy's to judge.
package guard

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"code.dny.dev/ssrf"
)

const (
	// maxHeader bounds the headers of an answer in bytes.
	maxHeader = 64 << 10
	// dialTimeout bounds a connection, and its handshake.
	dialTimeout = 5 * time.Second
	// idleTimeout is how long a connection is kept for the next request.
	idleTimeout = 30 * time.Second
)

// Facts about a request that was not sent, or an answer that was not read to its end.
var (
	ErrPrivate = errors.New("the address is not public")
	ErrPlain   = errors.New("http:// is not permitted")
	ErrLarge   = errors.New("the answer is too large")
)

// Host is one that may have an address that is not public.
type Host struct {
	// Name is host[:port]; without a port it is 443, and 80 as well if the host is insecure.
	Name string
	// Insecure lets it be asked by http://.
	Insecure bool
}

// Options say which requests may be sent.
type Options struct {
	Hosts []Host
	// Proxy is that of http.Transport; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS is nil for the roots of the system.
	TLS *tls.Config
	// MaxAnswer bounds an answer in bytes.
	MaxAnswer int
	// MaxIdle bounds the connections that are kept for later.
	MaxIdle int
}

// Guard is an http.RoundTripper. It is safe for concurrent use.
type Guard struct {
	insecure  map[string]bool // of the listed hosts, by host:port
	proxy     func(*http.Request) (*url.URL, error)
	maxAnswer int

	listed  http.RoundTripper // for listed hosts: any address
	public  http.RoundTripper // for all others: public addresses
	proxied http.RoundTripper
}

// New returns a Guard.
func New(o Options) *Guard {
	g := &Guard{insecure: map[string]bool{}, proxy: o.Proxy, maxAnswer: o.MaxAnswer}
	for _, h := range o.Hosts {
		for _, scheme := range []string{"https", "http"} {
			if scheme == "https" || h.Insecure {
				g.insecure[withPort(strings.ToLower(h.Name), scheme)] = h.Insecure
			}
		}
	}
	g.listed = newTransport(&net.Dialer{Timeout: dialTimeout}, o, nil)
	g.public = newTransport(&net.Dialer{Timeout: dialTimeout, Control: ssrf.New(ssrf.WithAnyPort()).Safe}, o, nil)
	g.proxied = newTransport(&net.Dialer{Timeout: dialTimeout}, o, o.Proxy)
	return g
}

func newTransport(dialer *net.Dialer, o Options, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
		MaxIdleConns: o.MaxIdle, MaxIdleConnsPerHost: 2, IdleConnTimeout: idleTimeout,
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

// RoundTrip sends the request if its host may be asked. The error wraps ErrPrivate or
// ErrPlain; reading more of the body than Options.MaxAnswer ends with ErrLarge.
func (g *Guard) RoundTrip(r *http.Request) (*http.Response, error) {
	insecure, listed := g.insecure[withPort(strings.ToLower(r.URL.Host), r.URL.Scheme)]
	if r.URL.Scheme != "https" && !insecure {
		return nil, fmt.Errorf("%s://%s: %w", r.URL.Scheme, r.URL.Host, ErrPlain)
	}
	by := g.public
	switch proxy, err := g.proxyFor(r); {
	case err != nil:
		return nil, err
	case proxy && !listed && namesPrivate(r.URL.Hostname()):
		return nil, fmt.Errorf("%s: %w", r.URL.Host, ErrPrivate)
	case proxy:
		by = g.proxied
	case listed:
		by = g.listed
	}
	answer, err := by.RoundTrip(r)
	if err != nil {
		if errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrInvalidHostPort) {
			return nil, fmt.Errorf("%s: %w: %w", r.URL.Host, ErrPrivate, err)
		}
		return nil, err
	}
	answer.Body = &bounded{ReadCloser: answer.Body, left: g.maxAnswer}
	return answer, nil
}

// proxyFor reports whether the request goes through a proxy.
func (g *Guard) proxyFor(r *http.Request) (bool, error) {
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

// bounded is a body that ends with ErrLarge after some bytes.
type bounded struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, ErrLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
