package update

import (
	"cmp"
	"maps"
	"slices"
)

// round is a set of requests that fit into one plan: no image has two versions
// in it, and none is asked for in different scopes.
type round struct {
	winners []Request // to plan
	shares  []share
}

// share is a request's part in a round: where it finds its result.
type share struct {
	request    int  // the request's index
	winner     int  // index into winners
	superseded bool // winners[winner] asks for another version
}

// coalesce parts requests, which are in order of arrival, into rounds. Of
// requests for one image in the same scope the last wins: those for the same
// version share its result, the others are superseded by it. One image in
// different scopes takes a round for each, and whose last request came last has
// the last round. The package's documentation has the whole rule, "the newest push
// wins".
func coalesce(requests []Request) []round {
	type key struct{ image, scope string }
	members := map[key][]int{}
	for i, r := range requests {
		k := key{r.Image.Name(), r.Scope()}
		members[k] = append(members[k], i)
	}
	order := slices.SortedFunc(maps.Keys(members), func(a, b key) int {
		return cmp.Compare(last(members[a]), last(members[b]))
	})

	var rounds []round
	used := map[string]int{} // image to the number of rounds that hold it
	for _, k := range order {
		n := used[k.image]
		used[k.image]++
		if n == len(rounds) {
			rounds = append(rounds, round{})
		}
		rounds[n].add(requests, members[k])
	}
	return rounds
}

func last(members []int) int { return members[len(members)-1] }

// add puts the requests of one scope into the round.
func (r *round) add(requests []Request, members []int) {
	winner := requests[last(members)]
	for _, m := range members {
		superseded := requests[m].Version != winner.Version || requests[m].Digest != winner.Digest
		r.shares = append(r.shares, share{request: m, winner: len(r.winners), superseded: superseded})
		if !superseded && m != last(members) {
			winner.alike = append(winner.alike, requests[m])
		}
	}
	r.winners = append(r.winners, winner)
}
