package queue_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// BenchmarkAccept is a webhook's way to 202: an update of a new delivery to one
// target is made durable, while a worker drains what is there.
func BenchmarkAccept(b *testing.B) {
	for name, store := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": postgresURL} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
				benchmarkAccept(b, store(b), clients)
			})
		}
	}
}

func benchmarkAccept(b *testing.B, storeURL string, clients int) {
	b.Helper()
	w := start(b, storeURL, func(o *queue.Options) { o.MaxWaiting, o.Now = 1_000_000, time.Now })
	// Made beforehand: the clients shall only wait for the store.
	updates := make([]queue.Update, b.N)
	for n := range updates {
		updates[n] = update(fmt.Sprintf("ghcr.io/octo-org/app-%d", n%500), fmt.Sprint(n), from("ghcr", fmt.Sprint(n)))
	}
	took := make([]time.Duration, b.N)
	next := make(chan int)
	var all sync.WaitGroup
	b.ResetTimer()
	for range clients {
		all.Go(func() {
			for n := range next {
				begin := time.Now()
				if _, err := w.Accept(context.Background(), updates[n:n+1], nil); err != nil {
					b.Errorf("Accept: %v", err)
				}
				took[n] = time.Since(begin)
			}
		})
	}
	for n := range b.N {
		next <- n
	}
	close(next)
	all.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
}
