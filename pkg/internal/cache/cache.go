package cache

import "unique"

// Overhead is about what the budget itself needs for each value, in bytes: a cost
// includes it.
const Overhead = 128

// Key names a value of a cache. Either part may be left out.
type Key struct {
	// Name is that of an object of git.
	Name [20]byte
	// Variant is any text.
	Variant unique.Handle[string]
}

// Cache is a map from K to V that shares the memory of a Budget. It is safe for
// concurrent use. Values are shared: whoever puts or gets one must not change it.
type Cache[K, V any] struct {
	budget *Budget
	tally  *tally
	key    func(K) Key
}

// New returns a cache of values that are remembered for as long as the budget has room.
// The name is that of its Use. cost returns a positive number of bytes, always the same
// for a value, and must not use a cache. A budget that is nil or without room keeps
// nothing.
func New[K, V any](b *Budget, name string, key func(K) Key, cost func(V) int64) *Cache[K, V] {
	return &Cache[K, V]{b, b.register(name, indexes, costOf(cost)), key}
}

// NewYielding is New for values that are large for what it takes to get them again: they
// have what room the other caches leave.
func NewYielding[K, V any](b *Budget, name string, key func(K) Key, cost func(V) int64) *Cache[K, V] {
	return &Cache[K, V]{b, b.register(name, contents, costOf(cost)), key}
}

func costOf[V any](cost func(V) int64) func(any) int64 {
	return func(v any) int64 { return cost(v.(V)) }
}

// Get returns the value of a key, if it is kept.
func (c *Cache[K, V]) Get(key K) (v V, ok bool) {
	kept, ok := c.budget.get(c.tally, c.key(key))
	if !ok {
		return v, false
	}
	return kept.(V), true
}

// Put keeps a value, unless the key has one already.
func (c *Cache[K, V]) Put(key K, v V) { c.budget.put(c.tally, c.key(key), v, false) }

// Replace keeps a value in place of the one that the key has.
func (c *Cache[K, V]) Replace(key K, v V) { c.budget.put(c.tally, c.key(key), v, true) }

// Cost returns the total cost of the kept values.
func (c *Cache[K, V]) Cost() int64 { return c.tally.bytes.Load() }
