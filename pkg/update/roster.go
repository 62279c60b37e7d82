package update

import (
	"slices"
	"sync"
)

// maxRoster bounds the pairs of an image and a target that a roster remembers. One takes
// some 100 bytes.
const maxRoster = 16_384

// roster remembers which targets named an image when they were last planned. It is a hint
// that says whom to ask first. It is safe for concurrent use.
type roster struct {
	mu   sync.Mutex
	size int
	of   map[string]map[string]bool // by the image's normalised name, the targets' ids
}

func newRoster() *roster { return &roster{of: map[string]map[string]bool{}} }

// note remembers what the plan has found.
func (r *roster) note(p *plan) {
	id := p.target.place().ID
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range p.wanted {
		name, named := w.Repository.Name(), p.isNamed(i)
		if r.of[name][id] == named {
			continue
		}
		if !named {
			r.removeLocked(name, id)
			continue
		}
		if r.size >= maxRoster {
			r.of, r.size = map[string]map[string]bool{}, 0
		}
		if r.of[name] == nil {
			r.of[name] = map[string]bool{}
		}
		r.of[name][id] = true
		r.size++
	}
}

func (r *roster) removeLocked(name, id string) {
	delete(r.of[name], id)
	r.size--
	if len(r.of[name]) == 0 {
		delete(r.of, name)
	}
}

// has reports whether the target named the image.
func (r *roster) has(m Image, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[m.Repository.Name()][id]
}

// others reports whether each of the images was named by another target than that of id.
func (r *roster) others(images []Image, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(images, func(m Image) bool {
		targets := r.of[m.Repository.Name()]
		return len(targets) == 0 || len(targets) == 1 && targets[id]
	})
}
