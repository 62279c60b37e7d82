// Package cost measures what a function takes of the processor and of memory, for tests
// that hold costs against the size of an input.
package cost

import (
	"runtime"
	"time"
)

// Of runs f and returns how long a processor worked for it, where the system tells that
// of one thread, and how many bytes of memory it took, freed ones included. f works in
// the goroutine that calls it: the time of others does not count, nor does a wait for a
// busy machine. The memory is that of the whole process, so nothing else may run beside
// f.
func Of(f func()) (busy time.Duration, bytes uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := threadTime()
	f()
	busy = threadTime() - begun
	runtime.ReadMemStats(&after)
	return busy, after.TotalAlloc - before.TotalAlloc
}
