package cost

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is how long a processor has worked for the thread.
func threadTime() time.Duration {
	var spent unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spent) != nil {
		return 0
	}
	return time.Duration(spent.Nano())
}
