package notify_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/refty-yapi/refty-node-versions-service/pkg/notify"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

func secretOf(text string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(text, 24)))
}

// receiver answers with a handler, and keeps what was sent.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func newReceiver(t *testing.T, handle http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		r.requests, r.bodies = append(r.requests, request), append(r.bodies, string(body))
		r.mu.Unlock()
		handle(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, request := range r.requests {
		ids = append(ids, request.Header.Get("webhook-id"))
	}
	return ids
}

func endpoint(t *testing.T, url string, change ...func(*notify.Options)) *notify.Endpoint {
	t.Helper()
	o := notify.Options{Name: "chat", URL: url, Secrets: []string{secretOf("a")}, Private: true, Insecure: true}
	for _, f := range change {
		f(&o)
	}
	e, err := notify.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSend(t *testing.T) {
	t.Parallel()
	status := http.StatusNoContent
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	body := []byte(`{"type": "update.committed"}`)
	e := endpoint(t, r.URL+"/token-in-the-path", func(o *notify.Options) { o.Secrets = []string{secretOf("a"), secretOf("b")} })
	if err := e.Send(t.Context(), "msg_1", body); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} { // each receiver has one of them
		verifier, err := standardwebhooks.NewWebhook(secretOf(key))
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify([]byte(r.bodies[0]), r.requests[0].Header); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	other, _ := standardwebhooks.NewWebhook(secretOf("c"))
	if other.Verify([]byte(r.bodies[0]), r.requests[0].Header) == nil {
		t.Error("another secret fits")
	}
	if got := r.requests[0].Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %s", got)
	}
	for _, test := range []struct {
		status int
		gone   bool
		says   string
	}{{302, false, "redirects are not followed"}, {410, true, "answered 410"}, {503, false, "answered 503"}} {
		status = test.status
		err := e.Send(t.Context(), "msg_1", body)
		var failed *notify.Error
		if !errors.As(err, &failed) || failed.Status != test.status || failed.Gone != test.gone || failed.RetryAfter != 7*time.Second || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%d: %#v", test.status, err)
		}
	}
	if n := len(r.ids()); n != 4 {
		t.Errorf("%d requests: a redirect was followed", n)
	}
	r.Close()
	if err := e.Send(t.Context(), "msg_1", body); err == nil || strings.Contains(err.Error(), "token-in-the-path") {
		t.Errorf("away: %v", err)
	}
}

// TestPrivateAddresses wants them refused by address and by name, unless permitted.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	for _, url := range []string{
		strings.Replace(r.URL, "http://", "https://", 1), strings.Replace(strings.Replace(r.URL, "http://", "https://", 1), "127.0.0.1", "localhost", 1),
		"https://169.254.169.254/latest", "https://10.0.0.1/", "https://[::1]/",
	} {
		e := endpoint(t, url, func(o *notify.Options) { o.Private, o.Insecure = false, false })
		if err := e.Send(t.Context(), "msg_1", nil); err == nil || !strings.Contains(err.Error(), "not public") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if n := len(r.ids()); n > 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ option, url, secret string }{
		{"url", "http://chat.example.com/", secretOf("a")},
		{"url", "https://user:password@chat.example.com/", secretOf("a")},
		{"url", "ftp://chat.example.com/", secretOf("a")},
		{"url", "https:///path", secretOf("a")},
		{"url", "https://chat.example.com/#x", secretOf("a")},
		{"secrets[0]", "https://chat.example.com/", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		{"secrets[0]", "https://chat.example.com/", "whsec_c2hvcnQ="},
		{"secrets[0]", "https://chat.example.com/", "whsec_!"},
	} {
		_, err := notify.New(notify.Options{Name: "x", URL: test.url, Secrets: []string{test.secret}})
		var wrong *notify.OptionError
		if !errors.As(err, &wrong) || wrong.Option != test.option || strings.Contains(err.Error(), "password") && strings.Contains(err.Error(), "user:") || strings.Contains(err.Error(), test.secret) {
			t.Errorf("%s %s: %v", test.url, test.secret, err)
		}
	}
}

// store is a notify.Store without times.
type store struct {
	mu      sync.Mutex
	due     map[string][]queue.Notice
	ended   []string
	retried []queue.Notice
	waits   []time.Duration
	changed chan struct{}
}

func (s *store) DueNotices(_ context.Context, endpoint string, limit int) ([]queue.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(limit, len(s.due[endpoint]))
	taken := s.due[endpoint][:n:n]
	s.due[endpoint] = s.due[endpoint][n:]
	return taken, nil
}

func (s *store) EndNotice(_ context.Context, n queue.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, n.ID)
	s.changed <- struct{}{}
	return nil
}

func (s *store) RetryNotice(_ context.Context, n queue.Notice, after time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retried, s.waits = append(s.retried, n), append(s.waits, after)
	s.changed <- struct{}{}
	return nil
}

func TestDeliverer(t *testing.T) {
	t.Parallel()
	good := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	bad := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1800")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	gone := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	now := time.Now()
	s := &store{changed: make(chan struct{}, 100), due: map[string][]queue.Notice{
		"good": {{Endpoint: "good", ID: "1", MadeAt: now}, {Endpoint: "good", ID: "2", MadeAt: now}, {Endpoint: "good", ID: "3", MadeAt: now}},
		"bad":  {{Endpoint: "bad", ID: "4", MadeAt: now, Attempts: 2}, {Endpoint: "bad", ID: "5", MadeAt: now}},
		"gone": {{Endpoint: "gone", ID: "6", MadeAt: now}},
		"old":  {{Endpoint: "old", ID: "7", MadeAt: now.Add(-25 * time.Hour)}},
		"many": {{Endpoint: "many", ID: "8", MadeAt: now, Attempts: notify.MaxAttempts - 1}},
	}}
	var mu sync.Mutex
	outcomes := map[string]int{}
	var log strings.Builder
	d := notify.NewDeliverer(s, func(endpoint string, o notify.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		outcomes[endpoint+" "+string(o)]++
	}, slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, nil)))
	ctx, stop := context.WithCancel(t.Context())
	named := func(name string) func(*notify.Options) { return func(o *notify.Options) { o.Name = name } }
	endpoints := []*notify.Endpoint{
		endpoint(t, good.URL, named("good")), endpoint(t, bad.URL+"/secret-path", named("bad")), endpoint(t, gone.URL, named("gone")),
		endpoint(t, bad.URL, named("old")), endpoint(t, bad.URL, named("many")),
	}
	done := make(chan struct{})
	go func() { d.Run(ctx, func() []*notify.Endpoint { return endpoints }); close(done) }()
	d.Wake()
	for range 8 {
		<-s.changed
	}
	stop()
	<-done
	if got := strings.Join(good.ids(), " "); got != "1 2 3" {
		t.Errorf("delivered %s, want them in their order", got)
	}
	want := map[string]int{"good delivered": 3, "bad failed": 1, "gone given_up": 1, "old given_up": 1, "many given_up": 1}
	mu.Lock()
	defer mu.Unlock()
	for what, n := range want {
		if outcomes[what] != n {
			t.Errorf("%s: %d, want %d; all: %v", what, outcomes[what], n, outcomes)
		}
	}
	for i, n := range s.retried {
		switch n.ID {
		case "4": // the endpoint's wish
			if n.Attempts != 3 || s.waits[i] < 30*time.Minute {
				t.Errorf("%+v after %s", n, s.waits[i])
			}
		case "5": // it was not tried
			if n.Attempts != 0 || s.waits[i] != 0 {
				t.Errorf("%+v after %s", n, s.waits[i])
			}
		default:
			t.Errorf("%s is tried again", n.ID)
		}
	}
	if text := log.String(); strings.Contains(text, "secret-path") || !strings.Contains(text, "given up") {
		t.Errorf("the log:\n%s", text)
	}
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
