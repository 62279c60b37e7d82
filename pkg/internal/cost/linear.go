package cost

import (
	"testing"
	"time"
)

const (
	// growth is how much more an input of four times the size may cost: fourfold is
	// linear, sixteenfold quadratic.
	growth = 10
	// smallBytes and smallTime pass anyway: they are mostly noise.
	smallBytes, smallTime = 4 << 20, 100 * time.Millisecond
	// measures bounds how often both are measured: a collection of garbage beside one is
	// no cost of its input.
	measures = 3
)

// Linear fails the test when many, which has four times the input of few, costs more than
// ten times as much, of the processor or of memory. It measures as Of does.
func Linear(t testing.TB, what string, few, many func()) {
	t.Helper()
	var fewBusy, manyBusy time.Duration
	var fewBytes, manyBytes uint64
	for range measures {
		fewBusy, fewBytes = Of(few)
		manyBusy, manyBytes = Of(many)
		if manyBusy <= growth*fewBusy+smallTime && manyBytes <= growth*fewBytes+smallBytes {
			return
		}
	}
	t.Errorf("%s: %d bytes and %s, for four times the input %d bytes and %s", what, fewBytes, fewBusy, manyBytes, manyBusy)
}
