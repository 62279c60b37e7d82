package batch

import (
	"slices"
	"sync"
)

// Batcher hands items to its work. It is safe for concurrent use.
type Batcher[T comparable] struct {
	most int
	fits func(first, other T) bool
	work func([]T)

	mu      sync.Mutex
	waiting []T // in order of arrival
	running bool
}

// New returns a Batcher that hands at most most items to one call of work: the first
// one that waits, and those of the others that fit it. A nil fit accepts all. work owns
// the slice and must not panic.
func New[T comparable](most int, fits func(first, other T) bool, work func([]T)) *Batcher[T] {
	if fits == nil {
		fits = func(T, T) bool { return true }
	}
	return &Batcher[T]{most: most, fits: fits, work: work}
}

// Add hands an item in and returns at once.
func (b *Batcher[T]) Add(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, item)
	if !b.running {
		b.running = true
		go b.run()
	}
}

// Withdraw takes an item back. It reports whether the item was still waiting; if
// not, the work has it or had it.
func (b *Batcher[T]) Withdraw(item T) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, item)
	if i < 0 {
		return false
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return true
}

// Waiting returns how many items wait for the work that is under way.
func (b *Batcher[T]) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}

// WithdrawAll takes back the items that wait and match, and returns them.
func (b *Batcher[T]) WithdrawAll(match func(T) bool) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	var taken, left []T
	for _, item := range b.waiting {
		if match(item) {
			taken = append(taken, item)
		} else {
			left = append(left, item)
		}
	}
	b.waiting = left
	return taken
}

func (b *Batcher[T]) run() {
	for items := b.next(); len(items) > 0; items = b.next() {
		b.work(items)
	}
}

// next takes the items of the next call; none ends the goroutine.
func (b *Batcher[T]) next() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	var items, left []T
	for _, item := range b.waiting {
		if len(items) < b.most && (len(items) == 0 || b.fits(items[0], item)) {
			items = append(items, item)
		} else {
			left = append(left, item)
		}
	}
	b.waiting, b.running = left, len(items) > 0
	return items
}
