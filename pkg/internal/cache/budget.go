package cache

import (
	"math"
	"sync"
	"sync/atomic"
	"unique"

	"github.com/maypok86/otter/v2"
)

const (
	// leastShare is the part of a budget that yielding caches have in any case, as a
	// divisor.
	leastShare = 8
	// stepShare is the part of a budget, as a divisor, by which the room of yielding caches
	// is changed at once.
	stepShare = 64
	// maxCaches bounds the caches of a budget.
	maxCaches = 32
)

// Budget is memory for the values of several caches. It is safe for concurrent use.
type Budget struct {
	bound    int64
	kept     [2]*otter.Cache[slot, any] // by kind; nil when there is no room for anything
	reserved atomic.Int64

	mu      sync.Mutex
	tallies [maxCaches]*tally
	n       int   // of caches
	left    int64 // that yielding caches may use
}

// kind says which values are given up first.
type kind uint32

const (
	indexes kind = iota
	contents
)

// slot is a Key of one cache. It has no padding, so that it is hashed as plain memory.
type slot struct {
	name    [20]byte
	cache   uint32
	variant unique.Handle[string]
}

// tally is what one cache uses of a budget.
type tally struct {
	number                 uint32
	kind                   kind
	name                   string
	cost                   func(any) int64
	values, bytes, evicted atomic.Int64
}

// Use tells what a cache uses of a budget.
type Use struct {
	// Name is that of the cache.
	Name string
	// Values and Bytes are what is kept now.
	Values, Bytes int64
	// Evicted is how many values were given up so far for want of room.
	Evicted int64
}

// NewBudget returns a Budget of so many bytes; none keeps nothing.
func NewBudget(bytes int64) *Budget {
	b := &Budget{bound: bytes, left: bytes}
	if bytes <= 0 {
		return b
	}
	for k, most := range []int64{indexes: bytes - bytes/leastShare, contents: bytes} {
		b.kept[k] = otter.Must(&otter.Options[slot, any]{
			MaximumWeight: uint64(most),                                                             //nolint:gosec // it is positive
			Weigher:       func(s slot, v any) uint32 { return uint32(b.tallies[s.cache].cost(v)) }, //nolint:gosec // put keeps out what is more
			OnDeletion:    b.deleted,
			Executor:      func(work func()) { work() }, // so that the bound holds when a method returns
		})
	}
	return b
}

// Reserve takes bytes away from what the caches may use, for memory that is never given
// up. At least an eighth of the budget remains.
func (b *Budget) Reserve(bytes int64) {
	b.reserved.Add(bytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shareLocked()
}

// Uses returns what each cache uses, in the order in which they were made.
func (b *Budget) Uses() []Use {
	b.mu.Lock()
	defer b.mu.Unlock()
	uses := make([]Use, b.n)
	for i, t := range b.tallies[:b.n] {
		uses[i] = Use{Name: t.name, Values: t.values.Load(), Bytes: t.bytes.Load(), Evicted: t.evicted.Load()}
	}
	return uses
}

// Bytes returns the memory that is in use, reserved memory included.
func (b *Budget) Bytes() int64 { return b.reserved.Load() + b.used(indexes) + b.used(contents) }

// Bound returns the memory that there is.
func (b *Budget) Bound() int64 { return b.bound }

func (b *Budget) register(name string, k kind, cost func(any) int64) *tally {
	t := &tally{kind: k, name: name, cost: cost}
	if b == nil {
		return t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.number = uint32(b.n) //nolint:gosec // a few
	b.tallies[b.n] = t
	b.n++
	return t
}

func (b *Budget) get(t *tally, key Key) (any, bool) {
	if b == nil || b.kept[t.kind] == nil {
		return nil, false
	}
	return b.kept[t.kind].GetIfPresent(slot{key.Name, t.number, key.Variant})
}

func (b *Budget) put(t *tally, key Key, v any, replace bool) {
	if b == nil || b.kept[t.kind] == nil {
		return
	}
	kept, at := b.kept[t.kind], slot{key.Name, t.number, key.Variant}
	cost := t.cost(v)
	switch fits := cost <= b.bound && cost <= math.MaxUint32; {
	case !fits && replace:
		kept.Invalidate(at)
		return
	case !fits:
		return
	case replace:
		t.count(1, cost)
		kept.Set(at, v)
	default:
		t.count(1, cost)
		if _, stored := kept.SetIfAbsent(at, v); !stored {
			t.count(-1, -cost)
		}
	}
	if t.kind == indexes {
		b.share()
	}
}

func (t *tally) count(values, bytes int64) {
	t.values.Add(values)
	t.bytes.Add(bytes)
}

func (b *Budget) deleted(e otter.DeletionEvent[slot, any]) {
	t := b.tallies[e.Key.cache]
	t.count(-1, -t.cost(e.Value))
	if e.WasEvicted() {
		t.evicted.Add(1)
	}
}

// used is what the caches of a kind use.
func (b *Budget) used(k kind) int64 {
	if b.kept[k] == nil {
		return 0
	}
	return int64(b.kept[k].WeightedSize()) //nolint:gosec // the bound is an int64
}

// share gives yielding caches what the others leave, when that is less than they have or
// has become much more.
func (b *Budget) share() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if over := b.left - b.roomLocked(); over > 0 || -over > 2*b.bound/stepShare {
		b.shareLocked()
	}
}

// roomLocked is what yielding caches could have.
func (b *Budget) roomLocked() int64 { return b.bound - b.reserved.Load() - b.used(indexes) }

func (b *Budget) shareLocked() {
	if b.kept[indexes] == nil {
		return
	}
	least := b.bound / leastShare
	if most := max(b.bound-b.reserved.Load()-least, least); uint64(most) != b.kept[indexes].GetMaximum() { //nolint:gosec // it is positive
		b.kept[indexes].SetMaximum(uint64(most)) //nolint:gosec // it is positive
	}
	b.left = max(b.roomLocked()-b.bound/stepShare, least)
	b.kept[contents].SetMaximum(uint64(b.left)) //nolint:gosec // it is positive
}
