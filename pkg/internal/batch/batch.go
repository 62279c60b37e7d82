package batch

import (
	"slices"
	"sync"
)

// Batcher hands items to its work. It is safe for concurrent use.
type Batcher[T comparable] struct {
	most int
	work func([]T)

	mu      sync.Mutex
	waiting []T // in order of arrival
	running bool
	stopped bool
}

// New returns a Batcher that hands at most most items to one call of work. work owns
// the slice and must not panic.
func New[T comparable](most int, work func([]T)) *Batcher[T] {
	return &Batcher[T]{most: most, work: work}
}

// Add hands an item in and returns at once. It reports whether the item was taken:
// after Stop none is.
func (b *Batcher[T]) Add(item T) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.waiting = append(b.waiting, item)
	if !b.running {
		b.running = true
		go b.run()
	}
	return true
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

// Stop refuses every later item and returns those that wait, which the work will
// not see. Work that is under way goes on.
func (b *Batcher[T]) Stop() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.waiting
	b.waiting, b.stopped = nil, true
	return left
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
	n := min(len(b.waiting), b.most)
	items := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	b.running = n > 0
	return items
}
