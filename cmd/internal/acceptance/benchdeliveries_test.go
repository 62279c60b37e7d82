package acceptance_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

const (
	// deliveryImages is how many images the deliveries are of.
	deliveryImages = 200
	// forgetfulVariable makes a process of this test binary a forgetful receiver.
	forgetfulVariable = "VERSIONS_SERVICE_BENCH_FORGETFUL"
)

// BenchmarkDeliveries prints a table of how soon a registry has its answer: from
// this program, which stores before it answers, beside a receiver that is done with
// GitHub before it answers, and one that stores nothing. All the while the program
// writes what it accepted to a GitHub at the usual latency. One iteration is enough.
func BenchmarkDeliveries(b *testing.B) {
	binary := buildProgram(b)
	ways := deliveryWays(b)
	for b.Loop() {
		f := newFarm(b, binary, deliveryImages)
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "\nclients\ta delivery is, GitHub at %s\taccepted/s\tfrom\tto\tp50 ms\tp99 ms\t\n", benchLatency)
		for _, clients := range []int{1, 16} {
			shifts := make([][]shift, len(ways))
			for range benchRounds {
				for i, way := range ways {
					shifts[i] = append(shifts[i], f.shift(way, clients))
				}
			}
			for i, way := range ways {
				writeShifts(table, clients, way.name, shifts[i])
			}
		}
		f.close()
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		if os.Getenv(databaseVariable) == "" {
			fmt.Fprintln(os.Stdout, "\nPostgreSQL is left out; with it: .ci/postgres make bench")
		}
	}
}

// deliveryWay is a receiver of deliveries.
type deliveryWay struct {
	name  string
	start func(*farm) *program
	// request is the delivery as it is sent to the receiver.
	request func(*delivery) (path, body string, headers []string)
	// deliveries come from one client, and four times as many from several.
	deliveries int
}

func deliveryWays(b *testing.B) []deliveryWay {
	b.Helper()
	const many, few = 1_000, 10
	event := func(d *delivery) (path, body string, headers []string) {
		body = string(d.event())
		return "/v1/webhooks/ghcr", body, signed(body, d.id)
	}
	update := func(d *delivery) (path, body string, headers []string) {
		return "/v1/updates", setTo(d.image, fmt.Sprint(d.version)), []string{"Content-Type", "application/json"}
	}
	receiver := func(more ...string) func(*farm) *program {
		return func(f *farm) *program { return f.program(append(more, "WEBHOOK_GHCR_SECRET="+hookSecret)...) }
	}
	ways := []deliveryWay{{"stored in SQLite, then answered", receiver(), event, many}}
	if os.Getenv(databaseVariable) != "" {
		inPostgres := func(f *farm) *program { return receiver("DATABASE_URL=" + postgresURL(b))(f) }
		ways = append(ways, deliveryWay{"stored in PostgreSQL, then answered", inPostgres, event, many})
	}
	return append(ways,
		deliveryWay{"committed at GitHub, then answered", receiver(), update, few},
		deliveryWay{"answered, and lost in a crash", (*farm).forgetful, event, many},
	)
}

// shift is one measurement of one way: its deliveries' times, in order of length.
type shift struct {
	wall  time.Duration
	times []time.Duration
}

func (s shift) rate() float64 { return float64(len(s.times)) / s.wall.Seconds() }

func (s shift) percentile(p int) float64 { return s.times[(len(s.times)-1)*p/100].Seconds() * 1e3 }

// shift has clients deliver to a fresh receiver.
func (f *farm) shift(way deliveryWay, clients int) shift {
	f.b.Helper()
	p := way.start(f)
	defer p.kill()
	requests := make(chan *http.Request, way.deliveries*min(clients, 4))
	for i := range cap(requests) {
		f.next++
		d := &delivery{image: "docker.io/" + f.image(i%deliveryImages), version: f.next, pushed: time.Now(), id: fmt.Sprint("delivery-", f.next)}
		path, body, headers := way.request(d)
		request, err := http.NewRequest(http.MethodPost, p.url+path, strings.NewReader(body))
		f.must(err)
		for h := range slices.Chunk(headers, 2) {
			request.Header.Set(h[0], h[1])
		}
		requests <- request
	}
	close(requests)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var (
		s   shift
		mu  sync.Mutex
		all sync.WaitGroup
	)
	began := time.Now()
	for range clients {
		all.Go(func() {
			for request := range requests {
				sent := time.Now()
				f.deliver(client, request)
				took := time.Since(sent)
				mu.Lock()
				s.times = append(s.times, took)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	s.wall = time.Since(began)
	slices.Sort(s.times)
	return s
}

// deliver sends one delivery. It may be called from any goroutine.
func (f *farm) deliver(client *http.Client, request *http.Request) {
	response, err := client.Do(request)
	if err != nil {
		f.b.Error(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusAccepted && response.StatusCode != http.StatusCreated {
		f.b.Errorf("%s: status %d: %s", request.URL.Path, response.StatusCode, body)
	}
}

// writeShifts writes the medians of several measurements.
func writeShifts(out io.Writer, clients int, name string, shifts []shift) {
	middle := func(of func(shift) float64) float64 {
		var all []float64
		for _, s := range shifts {
			all = append(all, of(s))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	slices.SortFunc(shifts, func(a, b shift) int { return int(a.rate() - b.rate()) })
	fmt.Fprintf(out, "%d\t%s\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t\n", clients, name, middle(shift.rate),
		shifts[0].rate(), shifts[len(shifts)-1].rate(),
		middle(func(s shift) float64 { return s.percentile(50) }), middle(func(s shift) float64 { return s.percentile(99) }))
}

// kill ends the program without notice: what it still has to do is not measured.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// forgetful starts a receiver that answers at once and keeps what it has to do in
// memory: the least that there is to measure.
func (f *farm) forgetful() *program {
	f.b.Helper()
	self, err := os.Executable()
	f.must(err)
	return f.run(exec.Command(self), []string{forgetfulVariable + "=yes"})
}

// runForgetful is the forgetful receiver. It serves until it is killed.
func runForgetful() int {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintf(os.Stderr, "{\"msg\": \"listening\", \"addr\": %q}\n", listener.Addr())
	err = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(hookSecret))
		mac.Write(body)
		signature, _ := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
		if err != nil || !hmac.Equal(mac.Sum(nil), signature) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		go func() { <-time.After(4 * benchLatency) }() // an update at GitHub
		w.WriteHeader(http.StatusAccepted)
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}
