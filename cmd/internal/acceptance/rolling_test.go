package acceptance_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	// rollingDeliveries come in a steady stream, one every rollingPause, while each of two
	// replicas is replaced.
	rollingDeliveries = 120
	rollingPause      = 30 * time.Millisecond
	rollingTurns      = 2
	// rollingStop bounds the stop of a replica that gets no more requests.
	rollingStop = 30 * time.Second
)

// front is the Service of Kubernetes: it hands each request to the next replica of those
// that are ready.
type front struct {
	mu       sync.Mutex
	replicas []*replica
	next     int
}

// replica is one behind the front.
type replica struct {
	*process
	proxy    *httputil.ReverseProxy
	inFlight sync.WaitGroup
}

// join adds a replica once it is ready.
func (f *front) join(p *process) *replica {
	p.t.Helper()
	for deadline := time.Now().Add(patience); p.get("/readyz").status != http.StatusOK; <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			p.t.Fatalf("the replica is never ready\n%s", p.logs)
		}
	}
	target, err := url.Parse(p.url)
	p.must(err)
	r := &replica{process: p, proxy: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = append(f.replicas, r)
	return r
}

// leave takes a replica out, and returns when its last request is answered. A pod that is to
// go is out of its Service like that: the sleep of preStop is the time for it, before SIGTERM.
func (f *front) leave(r *replica) {
	f.mu.Lock()
	f.replicas = slices.DeleteFunc(f.replicas, func(other *replica) bool { return other == r })
	f.mu.Unlock()
	r.inFlight.Wait()
}

// ServeHTTP hands a request to a replica.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	to := f.replicas[f.next%len(f.replicas)]
	f.next++
	to.inFlight.Add(1)
	f.mu.Unlock()
	defer to.inFlight.Done()
	to.proxy.ServeHTTP(w, r)
}

// answered503 are the lines of what was answered 503.
func answered503(replicas []*replica) string {
	var lines strings.Builder
	for i, r := range replicas {
		for line := range strings.Lines(r.logs.String()) {
			if strings.Contains(line, `"status":503`) {
				fmt.Fprintf(&lines, "replica %d: %s", i, line)
			}
		}
	}
	return lines.String()
}

// Each of two replicas on PostgreSQL is replaced by a new one, as k8s/overlays/ha has it,
// while registries and callers hand in updates: no request fails, nothing is lost, and
// nothing is done twice. It has the machine to itself: a store that has no time for a request
// is a reason for 503 at any time.
func TestRollingUpdate(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector's run leaves it no time; .ci/run has a step for it")
	}
	book := newDeliveries(rand.New(rand.NewPCG(1, 1)), rollingDeliveries)
	w := prepare(t, onMain, withEnv("DATABASE_URL", postgresURL(t)), withEnv("WEBHOOK_GHCR_SECRET", hookSecret),
		withEnv("LOG_LEVEL", "info"), withFiles(book.files()))
	w.hub.Configure(func(s *sandbox.Settings) { s.Latency = sandbox.Duration(crashLatency / 4) })
	book.world = w

	service := &front{}
	var all []*replica
	join := func() *replica {
		r := service.join(w.spawn())
		all = append(all, r)
		return r
	}
	fleet := []*replica{join(), join()}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	outside := *w
	outside.url = server.URL

	replaced := make(chan struct{})
	var waited sync.WaitGroup
	committed := 0 // updates that were waited for
	waited.Go(func() {
		for n, done := 0, false; !done; n++ {
			select {
			case <-replaced:
				done = true
			default:
			}
			if r, err := outside.tryPost(setTo(node, fmt.Sprintf("1.0.%d", n))); err != nil || r.status != http.StatusCreated {
				t.Errorf("update %d: %v, status %d: %s", n, err, r.status, r.body)
			}
			committed++
		}
	})
	var senders sync.WaitGroup
	senders.Go(func() {
		for _, d := range book.all {
			senders.Go(func() { book.send(d, func() *world { return &outside }) })
			<-time.After(rollingPause)
		}
	})
	for turn := range rollingTurns {
		old := fleet[turn%len(fleet)]
		fleet[turn%len(fleet)] = join()
		service.leave(old)
		old.terminate(rollingStop)
	}
	close(replaced)
	waited.Wait()
	senders.Wait()
	book.allEnded(&outside, time.Now().Add(rollingStop))
	book.check(&outside)
	if n := book.answers["503"] + book.answers["no answer"]; n > 0 {
		t.Errorf("%d deliveries were refused or got no answer\n%s", n, answered503(all))
	}
	t.Logf("%d updates that were waited for and %d deliveries while %d replicas were replaced", committed, len(book.all), rollingTurns)
	book.report()
	for _, r := range fleet {
		r.terminate(rollingStop)
	}
}
