package bare

import (
	"container/list"
	"sync"
)

// cache keeps the values used last, up to a bound given in bytes. It is safe
// for concurrent use.
type cache[V any] struct {
	mu    sync.Mutex
	bound int
	used  int
	order *list.List // front is the newest; elements are *cached[V]
	byKey map[Hash]*list.Element
}

type cached[V any] struct {
	key   Hash
	value V
	cost  int
}

func newCache[V any](bound int) *cache[V] {
	return &cache[V]{bound: bound, order: list.New(), byKey: map[Hash]*list.Element{}}
}

func (c *cache[V]) get(key Hash) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		var none V
		return none, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached[V]).value, true
}

// put keeps value, which costs that many bytes, unless it is too large to be
// worth the others.
func (c *cache[V]) put(key Hash, value V, cost int) {
	if cost > c.bound/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return
	}
	c.byKey[key] = c.order.PushFront(&cached[V]{key, value, cost})
	c.used += cost
	for c.used > c.bound {
		oldest := c.order.Remove(c.order.Back()).(*cached[V])
		delete(c.byKey, oldest.key)
		c.used -= oldest.cost
	}
}
