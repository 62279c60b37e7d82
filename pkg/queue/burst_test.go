package queue_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// BenchmarkBursts is what senders wait for whose updates go to many targets: an iteration
// is a burst, in which each sender hands in one update at the same time.
func BenchmarkBursts(b *testing.B) {
	for name, store := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": postgresURL} {
		for _, of := range []burst{{1, 1}, {1, 1_000}, {64, 1}, {64, 1_000}} {
			b.Run(fmt.Sprintf("%s/senders=%d/targets=%d", name, of.senders, of.targets), func(b *testing.B) {
				of.benchmark(b, store(b))
			})
		}
	}
}

// burst is that many updates at the same time, each of one image to that many targets.
type burst struct{ senders, targets int }

func (of burst) benchmark(b *testing.B, storeURL string) {
	b.Helper()
	w := open(b, storeURL, func(o *queue.Options) { o.MaxWaiting, o.Now = 1_000_000, time.Now })
	targets := make([]string, of.targets)
	for n := range targets {
		targets[n] = fmt.Sprint("t", n)
	}
	var refused atomic.Int64
	var took []time.Duration
	run := func(round int) {
		var all sync.WaitGroup
		latencies := make([]time.Duration, of.senders)
		for n := range of.senders {
			u := update(fmt.Sprintf("ghcr.io/octo-org/app-%d", n), fmt.Sprint(round), from("ghcr", fmt.Sprint(round, "-", n)), to(targets...))
			all.Go(func() {
				begin := time.Now()
				if _, err := w.Accept(context.Background(), []queue.Update{u}, nil); err != nil {
					refused.Add(1)
				}
				latencies[n] = time.Since(begin)
			})
		}
		all.Wait()
		took = append(took, latencies...)
	}
	run(0) // the statements are prepared, and the branches have their jobs
	took = nil
	b.ResetTimer()
	for n := range b.N {
		run(n + 1)
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "last-ms")
	b.ReportMetric(float64(refused.Load())/float64(b.N), "refused")
}
