package github

import (
	"container/list"
	"sync"
)

// entryOverhead is about what a cached blob needs beside its content, in bytes.
const entryOverhead = 200

// cache keeps the contents of blobs by their names, the latest used ones, within
// a bound in bytes. What it returns is shared and must not be changed. It is safe
// for concurrent use.
type cache struct {
	mu     sync.Mutex
	bound  int64
	size   int64
	order  *list.List // of *cached, the latest used first
	byName map[SHA]*list.Element
}

type cached struct {
	sha     SHA
	content []byte
}

func newCache(bound int64) *cache {
	return &cache{bound: bound, order: list.New(), byName: map[SHA]*list.Element{}}
}

func (c *cache) get(sha SHA) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[sha]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).content, true
}

// put keeps the content, which the caller must not change any more. One that is
// larger than the bound is not kept.
func (c *cache) put(sha SHA, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byName[sha]; ok || weigh(content) > c.bound {
		return
	}
	c.byName[sha] = c.order.PushFront(&cached{sha, content})
	for c.size += weigh(content); c.size > c.bound; {
		oldest := c.order.Remove(c.order.Back()).(*cached)
		delete(c.byName, oldest.sha)
		c.size -= weigh(oldest.content)
	}
}

func weigh(content []byte) int64 { return int64(cap(content)) + entryOverhead }
