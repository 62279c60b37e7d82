package cache_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
)

// named is the key of a small number.
func named(n int) (k cache.Key) {
	binary.LittleEndian.PutUint64(k.Name[:], uint64(n))
	return k
}

func bytesOf(s string) int64 { return int64(len(s)) }

// alone returns the one cache of a budget.
func alone[V any](bound int64, cost func(V) int64) *cache.Cache[int, V] {
	return cache.New(cache.NewBudget(bound), "alone", named, cost)
}

func TestKeepsAValue(t *testing.T) {
	t.Parallel()
	c := alone(100, bytesOf)
	if _, ok := c.Get(1); ok {
		t.Error("there is a value before any was put")
	}
	c.Put(1, "first")
	c.Put(1, "second")
	if v, ok := c.Get(1); !ok || v != "first" || c.Cost() != 5 {
		t.Errorf("%q %v, cost %d", v, ok, c.Cost())
	}
	c.Replace(1, "second")
	if v, ok := c.Get(1); !ok || v != "second" || c.Cost() != 6 {
		t.Errorf("%q %v, cost %d after it was replaced", v, ok, c.Cost())
	}
}

func TestValueBeyondTheBoundIsNotKept(t *testing.T) {
	t.Parallel()
	for _, bound := range []int64{-1, 0, 4} {
		c := alone(bound, bytesOf)
		c.Replace(1, "four")
		c.Replace(1, "five!")
		c.Put(2, "five!")
		for key := range 3 {
			if v, ok := c.Get(key); ok || c.Cost() != 0 {
				t.Errorf("%q is kept in a cache of %d", v, bound)
			}
		}
	}
	c := cache.New(nil, "none", named, bytesOf)
	c.Put(1, "a")
	if _, ok := c.Get(1); ok {
		t.Error("a value is kept in no memory")
	}
}

// TestCachesAreApart has two caches of one budget use the same keys.
func TestCachesAreApart(t *testing.T) {
	t.Parallel()
	b := cache.NewBudget(1000)
	one, two := cache.New(b, "one", named, bytesOf), cache.NewYielding(b, "two", named, func(n []int) int64 { return int64(len(n)) })
	one.Put(1, "text")
	two.Put(1, []int{1, 2, 3})
	if s, ok := one.Get(1); !ok || s != "text" {
		t.Errorf("one has %q %v", s, ok)
	}
	if n, ok := two.Get(1); !ok || len(n) != 3 {
		t.Errorf("two has %v %v", n, ok)
	}
	want := []cache.Use{{Name: "one", Values: 1, Bytes: 4}, {Name: "two", Values: 1, Bytes: 3}}
	if diff := cmp.Diff(want, b.Uses()); diff != "" {
		t.Errorf("uses (-want +got)\n%s", diff)
	}
}

// TestYieldingCacheHasTheRest fills a budget with large values and then with small ones,
// which are kept in their place.
func TestYieldingCacheHasTheRest(t *testing.T) {
	t.Parallel()
	const bound = 64_000
	b := cache.NewBudget(bound)
	large := cache.NewYielding(b, "large", named, func(int) int64 { return 1_000 })
	small := cache.New(b, "small", named, func(int) int64 { return 10 })
	for key := range 60 {
		large.Put(key, key)
	}
	if large.Cost() < 50_000 {
		t.Errorf("%d bytes of large values while there is nothing else", large.Cost())
	}
	for key := range 5_000 {
		small.Put(key, key)
		if used := b.Bytes(); used > bound {
			t.Fatalf("%d bytes of %d after %d small values", used, bound, key)
		}
	}
	if small.Cost() != 50_000 || large.Cost() < 8_000 || large.Cost() > 14_000 {
		t.Errorf("%d bytes of small values and %d of large ones", small.Cost(), large.Cost())
	}
	if evicted := b.Uses()[0].Evicted; evicted < 40 {
		t.Errorf("%d large values were given up", evicted)
	}
	b.Reserve(30_000)
	if used := b.Bytes(); used > bound || small.Cost() > 26_000 {
		t.Errorf("%d bytes of %d are used, %d of small values", used, bound, small.Cost())
	}
}

// TestBoundHolds puts values of many sizes, with more callers than one.
func TestBoundHolds(t *testing.T) {
	t.Parallel()
	const bound = 10_000
	b := cache.NewBudget(bound)
	caches := []*cache.Cache[int, int]{
		cache.New(b, "one", named, func(n int) int64 { return int64(n) }),
		cache.NewYielding(b, "two", named, func(n int) int64 { return int64(n) }),
	}
	var all sync.WaitGroup
	for caller := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for range 5_000 {
				key, c := random.IntN(3_000), caches[random.IntN(2)]
				if v, ok := c.Get(key); ok && v != 1+key%700 {
					t.Errorf("%d has the value %d", key, v)
				}
				if key%3 == 0 {
					c.Replace(key, 1+key%700)
				}
				c.Put(key, 1+key%700)
			}
		})
	}
	all.Wait()
	if used := b.Bytes(); used > bound || used < bound/2 || used != caches[0].Cost()+caches[1].Cost() {
		t.Errorf("%d of %d bytes are used, %d and %d", used, bound, caches[0].Cost(), caches[1].Cost())
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
			c := alone(room*10, func(int) int64 { return 10 })
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
	c := alone(1_000, func(int) int64 { return 10 })
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

// TestOverhead holds the memory of many small values against their cost.
//
//nolint:paralleltest // it measures the memory of the process
func TestOverhead(t *testing.T) {
	const values = 50_000
	b := cache.NewBudget(1 << 30)
	c := cache.New(b, "small", named, func(s string) int64 { return int64(len(s)) + 16 + cache.Overhead })
	before := heap()
	for key := range values {
		c.Put(key, strings.Repeat("x", 64))
	}
	taken := heap() - before
	if taken > b.Bytes()*5/4 || taken < b.Bytes()/2 {
		t.Errorf("%d values take %d bytes each and are counted as %d", values, taken/values, b.Bytes()/values)
	}
	t.Logf("%d bytes each, counted as %d", taken/values, b.Bytes()/values)
	runtime.KeepAlive(c)
}

// heap returns what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func BenchmarkGet(b *testing.B) {
	c := alone(1<<20, func(int) int64 { return 64 })
	for key := range 1_000 {
		c.Put(key, key)
	}
	b.ReportAllocs()
	for key := 0; b.Loop(); key++ {
		c.Get(key % 1_000)
	}
}
