package service

import (
	"math"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// heapShare is the part of the container's memory limit that Go's memory is held to,
	// unless GOMEMLIMIT is set. The rest is for SQLite, whose memory is not Go's.
	heapShare = 0.8
	// cacheShare is the part of Go's memory for what is remembered of repositories: a
	// fifth of the container's limit. What is under way needs more for a moment, and as
	// much as all that together is garbage between two collections.
	cacheShare = 0.25
	// leastCache and mostCache bound that, in bytes.
	leastCache = 16 << 20
	mostCache  = 1 << 30
)

// limitMemory holds Go's memory to the container's limit and returns what it is held to;
// math.MaxInt64 where there is no limit, or none can be found out.
func limitMemory() int64 {
	limit, err := memlimit.Set(memlimit.WithRatio(heapShare))
	if err != nil {
		return math.MaxInt64 // this system has no control groups
	}
	return limit
}

// fitMemory derives CACHE_BYTES from the limit of Go's memory, unless the environment
// says how much it is or there is no limit.
func (s *Settings) fitMemory(limit int64) {
	if strings.TrimSpace(s.env["CACHE_BYTES"]) != "" || limit <= 0 || limit == math.MaxInt64 {
		return
	}
	s.CacheBytes = min(max(int64(cacheShare*float64(limit)), leastCache), mostCache)
}
