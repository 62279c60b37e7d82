package cost_test

import (
	"crypto/sha256"
	"runtime"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cost"
)

//nolint:paralleltest // it measures the memory of the process
func TestOf(t *testing.T) {
	const size = 4 << 20
	var kept []byte
	if _, bytes := cost.Of(func() { kept = make([]byte, size) }); bytes < size || bytes > 2*size {
		t.Errorf("%d bytes of %d are counted", bytes, len(kept))
	}
	hash := func() { sha256.Sum256(kept) }
	if busy, _ := cost.Of(hash); busy <= 0 {
		t.Errorf("work takes %s", busy)
	}
	if runtime.GOOS != "linux" {
		return
	}
	const wait = 20 * time.Millisecond
	if busy, _ := cost.Of(func() { <-time.After(wait) }); busy >= wait {
		t.Errorf("a wait of %s is counted as %s of work", wait, busy)
	}
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

//nolint:paralleltest // it measures the memory of the process
func TestLinear(t *testing.T) {
	const few = 1 << 20
	var kept []byte
	take := func(n int) func() { return func() { kept = make([]byte, n) } }
	for _, test := range []struct {
		name string
		many int
		want bool
	}{
		{"linear", 4 * few, false},
		{"small", 1, false},
		{"quadratic", 16 * few, true},
	} {
		r := &recorder{TB: t}
		cost.Linear(r, test.name, take(few), take(test.many))
		if r.failed != test.want {
			t.Errorf("%s: fails %t with %d bytes for %d", test.name, r.failed, len(kept), few)
		}
	}
}
