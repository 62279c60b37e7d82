package update

import (
	"slices"
	"strings"
)

// round is a set of requests that fit into one plan: no image has two versions
// in it, and none is asked for under different paths.
type round struct {
	winners []int // indices of the requests to plan
	places  []place
}

// place says where a request finds its result.
type place struct {
	request    int  // the request's index
	winner     int  // index into winners
	superseded bool // winners[winner] asks for another version
}

// requests picks the round's winners from all.
func (r *round) requests(all []Request) []Request {
	picked := make([]Request, len(r.winners))
	for i, w := range r.winners {
		picked[i] = all[w]
	}
	return picked
}

// arrange parts requests, which are in order of arrival, into rounds. Of
// requests for one image under the same paths the last wins: those for the same
// version share its result, the others are superseded by it. One image under
// different paths takes a round for each.
func arrange(requests []Request) []round {
	type scope struct{ image, paths string }
	var order []scope
	members := map[scope][]int{}
	for i, r := range requests {
		key := scope{r.Image.Name(), pathsKey(r.Paths)}
		if members[key] == nil {
			order = append(order, key)
		}
		members[key] = append(members[key], i)
	}

	var rounds []round
	used := map[string]int{} // image to the number of rounds that hold it
	for _, key := range order {
		n := used[key.image]
		used[key.image]++
		if n == len(rounds) {
			rounds = append(rounds, round{})
		}
		rounds[n].add(requests, members[key])
	}
	return rounds
}

// add puts the requests of one scope into the round.
func (r *round) add(requests []Request, members []int) {
	last := members[len(members)-1]
	winner := len(r.winners)
	r.winners = append(r.winners, last)
	for _, m := range members {
		same := requests[m].Version == requests[last].Version && requests[m].Digest == requests[last].Digest
		r.places = append(r.places, place{request: m, winner: winner, superseded: !same})
	}
}

func pathsKey(paths []string) string {
	sorted := slices.Sorted(slices.Values(paths))
	return strings.Join(slices.Compact(sorted), "\x00")
}
