package registry

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/guard"
)

const (
	// maxRequests bounds the requests of a question: with authentication and the way
	// to http:// of an insecure host it needs four, and redirects come on top.
	maxRequests = 12
	// maxAnswer bounds an answer in bytes; a token has some thousand.
	maxAnswer = 1 << 20
)

// asking sends the requests of all questions, and refuses more of them than a
// question needs. It is safe for concurrent use.
type asking struct{ guard *guard.Guard }

func newTransport(o Options) http.RoundTripper {
	hosts := make([]guard.Host, len(o.Hosts))
	for i, h := range o.Hosts {
		hosts[i] = guard.Host(h)
	}
	return asking{guard.New(guard.Options{Hosts: hosts, Proxy: o.Proxy, TLS: o.TLS, MaxAnswer: maxAnswer, MaxIdle: maxQuestions})}
}

// spent is the key of the number of requests of a question, an *atomic.Int32.
type spent struct{}

// RoundTrip sends the request. The error wraps errMany, or is that of guard.Guard.
func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	if n, ok := r.Context().Value(spent{}).(*atomic.Int32); ok && n.Add(1) > maxRequests {
		return nil, errMany
	}
	return a.guard.RoundTrip(r)
}

// counted returns a context in which a question has maxRequests requests.
func counted(ctx context.Context) context.Context {
	return context.WithValue(ctx, spent{}, new(atomic.Int32))
}
