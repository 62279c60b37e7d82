package github

import (
	"context"
	"slices"
	"sync"
)

// placeKind is what takes a place.
type placeKind int

const (
	treePlace placeKind = iota
	filesPlace
)

// places bound how many trees and sets of files are read at the same time. A set of files
// goes before the trees that wait, so that few trees are in memory whose files are still
// to be read. It is safe for concurrent use.
type places struct {
	mu    sync.Mutex
	free  int
	queue [2][]chan struct{} // by placeKind, in the order of arrival; a channel is closed at its turn
}

// enter waits for a place, and returns the error of ctx when that ends first.
func (p *places) enter(ctx context.Context, what placeKind) error {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	p.queue[what] = append(p.queue[what], turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.Index(p.queue[what], turn)
	if at < 0 {
		p.leaveLocked() // its turn came at the same time
	} else {
		p.queue[what] = slices.Delete(p.queue[what], at, at+1)
	}
	return ctx.Err()
}

// leave gives a place to who waits for it.
func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked()
}

func (p *places) leaveLocked() {
	for _, what := range []placeKind{filesPlace, treePlace} {
		if waiting := p.queue[what]; len(waiting) > 0 {
			close(waiting[0])
			p.queue[what] = slices.Delete(waiting, 0, 1)
			return
		}
	}
	p.free++
}
