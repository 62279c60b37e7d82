package queue_test

import (
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// A server that is further away takes longer, and nobody is refused for it.
func TestServerThatIsFarAway(t *testing.T) {
	for _, trip := range []time.Duration{20 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(trip.String(), func(t *testing.T) {
			t.Parallel()
			c, storeURL := wired(t)
			w := open(t, storeURL)
			w.stored(update("first", "1")) // the statements are prepared
			c.set(func() { c.delay = trip / 2 })
			begin := time.Now()
			w.stored(update("alone", "1", from("ghcr", "alone")))
			alone := time.Since(begin)

			const senders = 64
			var all sync.WaitGroup
			took := make([]time.Duration, senders)
			c.set(func() { c.trips = 0 })
			for n := range senders {
				all.Go(func() {
					u := update(fmt.Sprint("app-", n%40), "1", from("ghcr", fmt.Sprint("d", n)), to(fmt.Sprint("b", n%8)))
					begin := time.Now()
					if _, err := w.Accept(t.Context(), []queue.Update{u}, nil); err != nil {
						t.Errorf("sender %d: %v", n, err)
					}
					took[n] = time.Since(begin)
				})
			}
			all.Wait()
			slices.Sort(took)
			c.set(func() {
				t.Logf("round trip %s: alone %s; %d at once: half within %s, all within %s, %d round trips", trip,
					alone.Round(time.Millisecond), senders, took[senders/2].Round(time.Millisecond), took[senders-1].Round(time.Millisecond), c.trips)
				// A few transactions, each of some round trips, however many share it.
				if c.trips > 60 {
					t.Errorf("%d senders took %d round trips, want at most 60", senders, c.trips)
				}
			})
		})
	}
}

// A session that vanished in a transaction does not keep its locks, and a lock that
// is kept is not waited for without end.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	w := open(t, postgresURL(t))
	for name, want := range map[string]string{
		"idle_in_transaction_session_timeout": "15s", "lock_timeout": "8s", "tcp_keepalives_idle": "5",
		"tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	} {
		if got, err := w.Setting(t.Context(), name); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	parsed, err := url.Parse(postgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set("lock_timeout", "3s")
	parsed.RawQuery = query.Encode()
	own := open(t, parsed.String())
	if got, err := own.Setting(t.Context(), "lock_timeout"); err != nil || got != "3s" {
		t.Errorf("the URL's lock_timeout is %q, %v", got, err)
	}
}

// Another session holds the lock of a branch: senders are told in time.
func TestBranchIsLockedElsewhere(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	w, other := open(t, storeURL), open(t, storeURL)
	err := other.Locked(t.Context(), "octo-org/infra@main", func() {
		begin := time.Now()
		if _, err := w.Accept(t.Context(), []queue.Update{update("app", "1")}, nil); err == nil {
			t.Error("it was accepted under another's lock")
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("the refusal took %s", took)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.stored(update("app", "1"))
}
