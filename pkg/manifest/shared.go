package manifest

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxUses is how many aliases of one value are looked at. What is used in more
// places is left alone.
const maxUses = 1_000

// settleShared decides what becomes of anchored values once every use of them
// is known. A value is edited where it stands if every use serves the same
// image; a whole reference always does. A bare name that pairs take through an
// alias is a part of those, and no reference of its own.
func (w *walk) settleShared() {
	w.sites = slices.DeleteFunc(w.sites, func(s *site) bool {
		_, ok := w.nameOnly[s.node]
		return ok && s.embedded && s.reason == Untagged
	})
	pins := map[*yaml.Node]struct{}{}
	for _, s := range w.sites {
		uses := 0
		for _, n := range []*yaml.Node{s.node, s.digestNode} {
			if lines := w.aliasLines[n]; lines != nil {
				uses += len(lines.numbers)
				s.lines = append(s.lines, lines)
			}
		}
		if uses > maxUses {
			s.reason = cmp.Or(s.reason, SharedAnchor)
		}
		if s.reason == DigestOnly && s.digestNode != nil {
			pins[s.digestNode] = struct{}{}
		}
	}
	for _, s := range w.sites {
		switch {
		case s.reason != "" && s.reason != DigestOnly, !s.field && !s.bare && s.digestNode == nil:
		case w.servesOther(s.node, s), s.digestNode != nil && w.servesOther(s.digestNode, s):
			s.reason = SharedAnchor
		case s.reason == "":
			_, s.pinsOther = pins[s.digestNode]
		}
	}
}

// service is the image that a scalar serves by its normalised name, "" for any
// other use.
type service struct {
	name string
	// several is set when it serves more than one.
	several bool
}

// serveOne notes that a scalar serves an image.
func (w *walk) serveOne(n *yaml.Node, name string) {
	first, ok := w.serves[n]
	if !ok {
		first.name = name
	}
	w.serves[n] = service{name: first.name, several: first.several || first.name != name}
}

// servesOther reports whether a scalar serves anything but the image of a site.
func (w *walk) servesOther(n *yaml.Node, s *site) bool {
	served, ok := w.serves[n]
	return ok && (served.several || served.name != s.repo.Name())
}

func sortSites(sites []*site) {
	slices.SortStableFunc(sites, func(a, b *site) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.update, b.update))
	})
}
