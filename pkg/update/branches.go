package update

import "sync"

// branches are the serialisers of every branch that was a target's, by Place.Key. One is
// kept when its target is gone: requests of before may still wait for their turn. It is
// safe for concurrent use.
type branches struct {
	make func() *branch

	mu      sync.Mutex
	known   map[string]*branch
	stopped bool
}

func newBranches(fresh func() *branch) *branches {
	return &branches{make: fresh, known: map[string]*branch{}}
}

// of returns the serialiser of a branch, the same one each time.
func (b *branches) of(key string) *branch {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.known[key]
	if one == nil {
		one = b.make()
		if b.stopped {
			one.stop()
		}
		b.known[key] = one
	}
	return one
}

// stop stops every branch, later ones too.
func (b *branches) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for _, one := range b.known {
		one.stop()
	}
}

func (b *branches) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, one := range b.known {
		n += one.tickets.Waiting()
	}
	return n
}
