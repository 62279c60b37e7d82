package acceptance_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// followUp is how much longer than UPDATE_TIMEOUT a ref update that was sent may be
// followed.
const followUp = 45 * time.Second

// toxicTimeout is UPDATE_TIMEOUT of these tests. The ref update must be sent before it is
// over, which takes longer with the race detector, whose run is -short.
func toxicTimeout() time.Duration {
	if testing.Short() {
		return 10 * time.Second
	}
	return 3 * time.Second
}

// line is the network between the program and GitHub.
type line struct {
	*toxiproxy.Proxy
	t *testing.T
}

// between is an option that puts the line in front of GitHub.
func (l *line) between(w *world) {
	upstream, err := url.Parse(w.env["GITHUB_API_URL"])
	w.must(err)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l.t, l.Proxy = w.t, toxiproxy.NewProxy(server, "github", ownAddress(), upstream.Host)
	w.must(l.Start())
	w.t.Cleanup(l.Stop)
	w.env["GITHUB_API_URL"] = "http://" + l.Listen
}

// poison makes the answers of GitHub arrive as the toxic says, on connections that
// are there as on new ones. See toxiproxy's documentation for the kinds.
func (l *line) poison(kind, attributes string) {
	l.t.Helper()
	toxic := fmt.Sprintf(`{"name": "toxic", "type": %q, "stream": "downstream", "attributes": %s}`, kind, attributes)
	if _, err := l.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		l.t.Error(err)
	}
}

func (l *line) heal() { l.Toxics.ResetToxics(context.Background()) }

// badLine is what may happen on the line.
type badLine struct {
	name, kind, attributes string
	harmless               bool            // updates go through
	code                   api.ProblemCode // otherwise
	status                 int
}

var badLines = []badLine{
	{name: "latency", kind: "latency", attributes: `{"latency": 30, "jitter": 20}`, harmless: true},
	{name: "small slices", kind: "slicer", attributes: `{"average_size": 40, "size_variation": 20, "delay": 10}`, harmless: true},
	{name: "slow close", kind: "slow_close", attributes: `{"delay": 50}`, harmless: true},
	{name: "reset", kind: "reset_peer", attributes: `{"timeout": 0}`, status: 502, code: api.ProblemCodeUpstreamError},
	{name: "half a header", kind: "limit_data", attributes: `{"bytes": 100}`, status: 502, code: api.ProblemCodeUpstreamError},
	{name: "half a body", kind: "limit_data", attributes: `{"bytes": 1400}`, status: 502, code: api.ProblemCodeUpstreamError},
	{name: "black hole", kind: "timeout", attributes: `{"timeout": 0}`, status: 504, code: api.ProblemCodeTimeout},
}

// A line that is bad all the time: what cannot go through is answered in time and
// has written nothing, and when the line is well again so is the service.
func TestBadLine(t *testing.T) {
	t.Parallel()
	var all sideBySide
	for _, bad := range badLines {
		all.run(t, bad.name, func(t *testing.T) {
			l := &line{}
			w := start(t, onMain, withEnv("UPDATE_TIMEOUT", toxicTimeout().String()), withEnv("LOG_LEVEL", "info"), l.between)
			before := w.head()
			l.poison(bad.kind, bad.attributes)
			r := l.inTime(w)
			switch {
			case bad.harmless && r.status == http.StatusCreated:
				w.wantOnce(r)
				return
			case bad.harmless && r.status == http.StatusGatewayTimeout: // a slow machine
			case r.status != bad.status || r.problem.Code != bad.code:
				t.Errorf("status %d: %s", r.status, r.body)
			}
			if w.head() != before {
				t.Error("something was written")
			}
			l.heal()
			w.wantWell(before, 1)
		})
	}
	all.Wait()
}

// sideBySide runs subtests that wait most of their time: t.Parallel would run only
// as many of them at a time as there are processors.
type sideBySide struct{ sync.WaitGroup }

func (s *sideBySide) run(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	s.Go(func() { t.Run(name, test) })
}

// inTime posts the mission and fails when its answer takes longer than it may.
func (l *line) inTime(w *world) reply {
	w.t.Helper()
	begin := time.Now()
	r := w.post(mission)
	if took := time.Since(begin); took > toxicTimeout()+followUp {
		w.t.Errorf("the answer took %s", took)
	}
	return r
}

// wantWell has the mission sent again, and fails unless it is on the branch then in
// that many commits since before.
func (w *world) wantWell(before string, commits int) {
	w.t.Helper()
	var r reply
	for range 5 { // connections that were broken meanwhile are found out one by one
		if r = w.post(mission); r.status < 300 {
			break
		}
	}
	if r.status >= 300 {
		w.t.Fatalf("on a good line: status %d: %s", r.status, r.body)
	}
	if got := w.atVersion("05-06-42a252"); got != 2 {
		w.t.Errorf("%d files are at the version", got)
	}
	if n := w.commitsSince(before); n != commits {
		w.t.Errorf("%d commits, want %d", n, commits)
	}
}

// The line goes bad when the tree, the commit or the ref update is at GitHub
// already: its answer is lost. It is well again when the service asks for
// something else. The ref update is followed to its end then, even beyond the
// caller's time; before it nothing is half done.
func TestLineGoesBadAtAWrite(t *testing.T) {
	t.Parallel()
	var all sideBySide
	for _, bad := range badLines {
		if bad.harmless {
			continue
		}
		for _, at := range []struct{ method, endpoint string }{
			{http.MethodPost, "git/trees"}, {http.MethodPost, "git/commits"}, {http.MethodPatch, "git/refs"},
		} {
			all.run(t, bad.name+" at "+at.endpoint, func(t *testing.T) {
				l := &line{}
				w := start(t, onMain, withEnv("UPDATE_TIMEOUT", toxicTimeout().String()), withEnv("LOG_LEVEL", "info"), l.between)
				before := w.head()
				var reached atomic.Bool // or a slow machine had no time left for it
				w.hub.Inject(sandbox.Call(func() {
					reached.Store(true)
					l.poison(bad.kind, bad.attributes)
					w.hub.Inject(sandbox.Call(l.heal).Once())
				}).On(at.method, at.endpoint).Once())

				r := l.inTime(w)

				if w.commitsSince(before) > 1 {
					t.Errorf("two commits for one update")
				}
				switch {
				case r.status == http.StatusCreated:
					w.wantOnce(r)
				case at.method == http.MethodPatch && reached.Load():
					t.Errorf("the ref update was not followed to its end: status %d: %s", r.status, r.body)
				case r.status != http.StatusGatewayTimeout && r.status != http.StatusBadGateway:
					t.Errorf("status %d: %s", r.status, r.body)
				case w.head() != before:
					t.Errorf("refused and written: %s", r.body)
				}
				l.heal()
				w.wantWell(before, 1)
			})
		}
	}
	all.Wait()
}

// Nobody listens.
func TestLineIsCut(t *testing.T) {
	t.Parallel()
	l := &line{}
	w := start(t, onMain, l.between)
	before := w.head()
	l.Stop()
	if r := w.post(mission); r.status != http.StatusBadGateway || r.problem.Code != api.ProblemCodeUpstreamError {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	w.must(l.Start())
	w.wantWell(before, 1)
}
