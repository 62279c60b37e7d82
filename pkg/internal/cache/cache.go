package cache

import (
	"math"

	"github.com/maypok86/otter/v2"
)

// Overhead is about what the cache itself needs for each value, in bytes: a cost in
// bytes includes it.
const Overhead = 128

// Cache is a map with a bound. It is safe for concurrent use. Values are shared:
// whoever puts or gets one must not change it.
type Cache[K comparable, V any] struct {
	bound int64
	cost  func(V) int64
	kept  *otter.Cache[K, V] // nil when the bound has no room for anything
}

// New returns a cache whose values cost at most bound in total. cost is called once for
// each value that is put; it returns a positive number and must not use the cache. A
// cache with a bound of zero or less keeps nothing.
func New[K comparable, V any](bound int64, cost func(V) int64) *Cache[K, V] {
	c := &Cache[K, V]{bound: min(bound, math.MaxUint32), cost: cost}
	if bound <= 0 {
		return c
	}
	c.kept = otter.Must(&otter.Options[K, V]{
		MaximumWeight: uint64(bound),
		Weigher:       func(_ K, v V) uint32 { return uint32(cost(v)) }, //nolint:gosec // Put keeps out what is more
		Executor:      func(work func()) { work() },                     // so that the bound holds when a method returns
	})
	return c
}

// Get returns the value of a key, if it is kept.
func (c *Cache[K, V]) Get(key K) (v V, ok bool) {
	if c.kept == nil {
		return v, false
	}
	return c.kept.GetIfPresent(key)
}

// Put keeps a value, unless the key has one already or the value alone costs more
// than the bound.
func (c *Cache[K, V]) Put(key K, v V) {
	if c.kept != nil && c.cost(v) <= c.bound {
		c.kept.SetIfAbsent(key, v)
	}
}

// Cost returns the total cost of the kept values.
func (c *Cache[K, V]) Cost() int64 {
	if c.kept == nil {
		return 0
	}
	return int64(c.kept.WeightedSize()) //nolint:gosec // the bound is an int64
}
