package cache_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
)

func bytesOf(s string) int64 { return int64(len(s)) }

func TestKeepsAValue(t *testing.T) {
	t.Parallel()
	c := cache.New[string](100, bytesOf)
	if _, ok := c.Get("a"); ok {
		t.Error("there is a value before any was put")
	}
	c.Put("a", "first")
	c.Put("a", "second")
	if v, ok := c.Get("a"); !ok || v != "first" || c.Cost() != 5 {
		t.Errorf("%q %v, cost %d", v, ok, c.Cost())
	}
}

func TestValueBeyondTheBoundIsNotKept(t *testing.T) {
	t.Parallel()
	for _, bound := range []int64{-1, 0, 4} {
		c := cache.New[string](bound, bytesOf)
		c.Put("a", "five!")
		if _, ok := c.Get("a"); ok || c.Cost() != 0 {
			t.Errorf("a value of 5 is kept in a cache of %d", bound)
		}
	}
}

// TestBoundHolds puts values of many sizes, with more callers than one.
func TestBoundHolds(t *testing.T) {
	t.Parallel()
	const bound = 10_000
	c := cache.New[int](bound, func(n int) int64 { return int64(n) })
	var all sync.WaitGroup
	for caller := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for range 5_000 {
				key := random.IntN(3_000)
				if v, ok := c.Get(key); ok && v != 1+key%700 {
					t.Errorf("%d has the value %d", key, v)
				}
				c.Put(key, 1+key%700)
			}
		})
	}
	all.Wait()
	if cost := c.Cost(); cost > bound || cost < bound/2 {
		t.Errorf("cost %d of %d", cost, bound)
	}
}

// TestScanLeavesWhatFits reads more keys in turn than there is room for, over and
// over: at least half of those that fit are found each time.
func TestScanLeavesWhatFits(t *testing.T) {
	t.Parallel()
	const room = 1_000
	for _, keys := range []int{1_100, 2_000, 5_000} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			t.Parallel()
			c := cache.New[int](room*10, func(int) int64 { return 10 })
			hits := 0
			for pass := range 5 {
				hits = 0
				for key := range keys {
					if _, ok := c.Get(key); ok {
						hits++
					}
					c.Put(key, pass)
				}
			}
			if hits < room/2 {
				t.Errorf("%d of %d look-ups hit, with room for %d", hits, keys, room)
			}
		})
	}
}

// TestWhatIsUsedStays uses a few keys again and again while a crowd passes once.
func TestWhatIsUsedStays(t *testing.T) {
	t.Parallel()
	c := cache.New[int](1_000, func(int) int64 { return 10 })
	misses := 0
	for stranger := range 10_000 {
		used := stranger % 20
		if _, ok := c.Get(-used); !ok {
			misses++
		}
		c.Put(-used, 0)
		c.Put(1_000+stranger, 0)
	}
	if misses > 100 {
		t.Errorf("%d of 10,000 look-ups of what is used missed", misses)
	}
}

func BenchmarkGet(b *testing.B) {
	c := cache.New[int](1<<20, func(int) int64 { return 64 })
	for key := range 1_000 {
		c.Put(key, key)
	}
	b.ReportAllocs()
	for key := 0; b.Loop(); key++ {
		c.Get(key % 1_000)
	}
}
