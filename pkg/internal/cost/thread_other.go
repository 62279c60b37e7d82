//go:build !linux

package cost

import "time"

var start = time.Now()

// threadTime is the time that has passed: this system does not tell that of one thread.
func threadTime() time.Duration { return time.Since(start) }
