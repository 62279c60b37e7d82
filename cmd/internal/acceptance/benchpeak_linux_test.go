package acceptance_test

import (
	"os"
	"syscall"
)

// peakMemory is the most that a process held at a time, in bytes.
func peakMemory(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return usage.Maxrss << 10
}
