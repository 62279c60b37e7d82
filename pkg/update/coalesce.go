package update

import (
	"cmp"
	"slices"
)

// maxRoundImages bounds the images of one plan, so that its cost, and the message of
// its commit, stay in proportion.
const maxRoundImages = 1000

// round is a set of requests that fit into one plan: no image has two versions in it,
// and none is asked for in different scopes.
type round struct {
	requests []Request // with the images that are left of each
	at       []int     // the index of each among those that were coalesced
	images   int
}

// scoped is an image in a scope, see Request.Scope.
type scoped struct{ image, scope string }

// coalesce parts requests, which are in order of arrival, into rounds. Of requests for
// one image in the same scope the last wins: for the same version both are carried
// out as one, and for another the older request is left without the image, or is left
// out when that was its last one. One image in different scopes takes a round for each,
// and whose last request came last has the last round. A request is in one round with
// all its images. replacedBy are, for each request that is left out, those that took its
// images. The package's documentation has the whole rule, "the newest push wins".
func coalesce(requests []Request) (rounds []round, replacedBy map[int][]int) {
	newest := map[scoped]int{} // the last request for each
	wins := map[scoped]Image{}
	keys := make([]string, len(requests))
	for i, r := range requests {
		keys[i] = r.Scope()
		for _, m := range r.Images {
			key := scoped{m.Repository.Name(), keys[i]}
			newest[key], wins[key] = i, m
		}
	}
	type left struct{ at, turn int } // turn: when the first of its images is wanted last
	var all []left
	replacedBy = map[int][]int{}
	requests = slices.Clone(requests)
	for i, r := range requests {
		turn := len(requests)
		var by []int
		requests[i] = r.with(slices.DeleteFunc(slices.Clone(r.Images), func(m Image) bool {
			key := scoped{m.Repository.Name(), keys[i]}
			if !m.alike(wins[key]) {
				by = append(by, newest[key])
				return true
			}
			turn = min(turn, newest[key])
			return false
		}))
		if len(requests[i].Images) > 0 {
			all = append(all, left{i, turn})
		} else {
			replacedBy[i] = by
		}
	}
	slices.SortStableFunc(all, func(a, b left) int { return cmp.Compare(a.turn, b.turn) })

	p := placement{last: map[string]int{}, scope: map[string]string{}}
	for _, l := range all {
		p.add(l.at, requests[l.at], keys[l.at])
	}
	return p.rounds, replacedBy
}

// placement fills rounds with requests in their order.
type placement struct {
	rounds []round
	last   map[string]int    // of each image, its last round
	scope  map[string]string // and its scope there
}

// add puts a request into the first round that comes after those of its images in other
// scopes and that has room for it.
func (p *placement) add(at int, r Request, scope string) {
	n := 0
	for _, m := range r.Images {
		name := m.Repository.Name()
		if last, ok := p.last[name]; ok {
			n = max(n, last)
			if p.scope[name] != scope {
				n = max(n, last+1)
			}
		}
	}
	for n < len(p.rounds) && p.rounds[n].images+len(r.Images) > maxRoundImages {
		n++
	}
	if n == len(p.rounds) {
		p.rounds = append(p.rounds, round{})
	}
	round := &p.rounds[n]
	round.requests, round.at = append(round.requests, r), append(round.at, at)
	round.images += len(r.Images)
	for _, m := range r.Images {
		p.last[m.Repository.Name()], p.scope[m.Repository.Name()] = n, scope
	}
}
