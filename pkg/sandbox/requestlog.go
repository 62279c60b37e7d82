package sandbox

import (
	"maps"
	"sync"
	"time"
)

// Request is one API request as the server saw it. Orders below /_sandbox/,
// pages for people and archive downloads are not among them.
type Request struct {
	Time     time.Time `json:"time"`
	Method   string    `json:"method"`
	Endpoint string    `json:"endpoint"` // such as GET /repos/{owner}/{repo}/git/ref/{ref}
	Path     string    `json:"path"`
	Query    string    `json:"query,omitempty"`
	// Status is 0 when no response was sent.
	Status int `json:"status"`
	// Token is the credential's name, never the credential; empty without one.
	Token string `json:"token,omitempty"`
	// Conditional reports a 304, which costs nothing of the primary limit.
	Conditional   bool          `json:"conditional,omitempty"`
	Fault         string        `json:"fault,omitempty"` // the effects that struck it
	RequestBytes  int64         `json:"request_bytes"`
	ResponseBytes int64         `json:"response_bytes"`
	Duration      time.Duration `json:"duration_ns"`
}

// logBound is how many requests are kept one by one; the counts go on.
const logBound = 100_000

// requestLog is safe for concurrent use.
type requestLog struct {
	mu        sync.Mutex
	requests  []Request
	counts    map[string]int
	downloads []Download
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.requests) >= logBound {
		l.requests = append(l.requests[:0:0], l.requests[logBound/2:]...)
	}
	l.requests = append(l.requests, r)
	if l.counts == nil {
		l.counts = map[string]int{}
	}
	l.counts[r.Endpoint]++
}

// Requests returns the API requests in the order they ended, the latest
// 50,000 at least.
func (s *Server) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return append([]Request(nil), s.log.requests...)
}

// Counts returns how many API requests there were of each endpoint.
func (s *Server) Counts() map[string]int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return maps.Clone(s.log.counts)
}

// Downloads returns the archive downloads in the order they ended.
func (s *Server) Downloads() []Download {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return append([]Download(nil), s.log.downloads...)
}

// ResetRequests empties the request log, its counts and the downloads.
func (s *Server) ResetRequests() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.requests, s.log.counts, s.log.downloads = nil, nil, nil
}
