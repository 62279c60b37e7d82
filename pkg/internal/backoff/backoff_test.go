package backoff_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
)

func TestAfter(t *testing.T) {
	t.Parallel()
	even := backoff.Policy{First: 2 * time.Second, Most: time.Minute}
	spread := backoff.Policy{First: 2 * time.Second, Most: time.Minute, Spread: 0.25}
	full := backoff.Policy{First: 500 * time.Millisecond, Most: 4 * time.Second, Spread: 1}
	tests := []struct {
		name   string
		policy backoff.Policy
		tries  int
		random float64
		want   time.Duration
	}{
		{"first", even, 1, 0.9, 2 * time.Second},
		{"second", even, 2, 0, 4 * time.Second},
		{"fifth", even, 5, 0, 32 * time.Second},
		{"beyond the most", even, 6, 0, time.Minute},
		{"none yet", even, 0, 0, 2 * time.Second},
		{"before any", even, -7, 0, 2 * time.Second},
		{"overflow by one", even, 34, 0, time.Minute},
		{"overflow", even, 63, 0, time.Minute},
		{"far beyond", even, math.MaxInt, 0, time.Minute},
		{"shortest", spread, 2, 0, 3 * time.Second},
		{"middle", spread, 2, 0.5, 4 * time.Second},
		{"longest", spread, 2, 1, 5 * time.Second},
		{"the most bounds the spread too", spread, 50, 1, time.Minute},
		{"spread of the most", spread, 50, 0, 45 * time.Second},
		{"anything from nothing", full, 1, 0, 0},
		{"to twice", full, 2, 0.75, 1500 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.policy.After(tt.tries, tt.random); got != tt.want {
				t.Errorf("after %d tries %s, want %s", tt.tries, got, tt.want)
			}
		})
	}
}

// TestEveryWait is between nothing and the most, and none is shorter than the one
// before it.
func TestEveryWait(t *testing.T) {
	t.Parallel()
	for first := time.Duration(1); first < time.Hour; first *= 3 {
		p := backoff.Policy{First: first, Most: max(first, 20*time.Minute)}
		before := time.Duration(0)
		for tries := range 200 {
			got := p.After(tries, 0.5)
			if got < before || got > p.Most {
				t.Fatalf("%s: %s after %d tries, %s before", first, got, tries, before)
			}
			before = got
		}
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := backoff.Sleep(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if err := backoff.Sleep(ctx, time.Minute); !errors.Is(err, gone) || time.Since(start) != time.Minute+time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}
