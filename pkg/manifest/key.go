package manifest

import "slices"

// A chart's values.yaml may name an image, and another file of the same shape, such
// as values-prod.yaml, say its version: {tag: "1.0"} at the place at which the first
// one has {repository: …}. Alone, such a version is nobody's. The two are found by
// the Key that they have in common; which files belong together, the caller knows.

// Key is where a pair of fields stands, whichever file it is in. It is comparable.
type Key struct {
	// place is the JSON pointer of the mapping and the beginning that the names of the
	// pair's fields share.
	place string
	kind  versionKind
}

// Equal reports whether two keys are the same.
func (k Key) Equal(other Key) bool { return k == other }

// versionKind is what the version of a pair is called.
type versionKind uint8

const (
	tagKind versionKind = 1 << iota
	versionFieldKind
)

// kindOf returns what the version of a group is called, or would be.
func kindOf(g *group) versionKind {
	if !g.has(tagRole) && g.has(versionRole) {
		return versionFieldKind
	}
	return tagKind
}

// placeOf returns the place of a group of fields. It reports false inside of a list,
// since a list replaces another one as a whole, and where no pointer is reported.
func placeOf(mapping *step, prefix string) (string, bool) {
	for s := mapping; s.up != nil; s = s.up {
		if s.key() == nil {
			return "", false
		}
	}
	pointer := mapping.pointer()
	if pointer == "" && mapping.up != nil || len(prefix) > MaxPointer {
		return "", false
	}
	return pointer + "\x00" + prefix, true
}

// Naming is a pair that names the image of an update, with or without a version.
type Naming struct {
	// Update is the index of the update.
	Update int
	Key    Key
	// Line is that of the name.
	Line int
}

// naming is what a site tells of the pair that it was made of.
type naming struct {
	mapping *step
	prefix  string
	kind    versionKind
	line    int
}

// maxNamings bounds what one file tells of its pairs. Real files have some dozens.
const maxNamings = 1_000

// namingsOf returns the pairs that the sites of a file were made of, in file order.
func namingsOf(sites []*site) []Naming {
	var all []Naming
	for _, s := range sites {
		if s.naming == nil || s.text != nil || len(all) == maxNamings {
			continue
		}
		place, ok := placeOf(s.naming.mapping, s.naming.prefix)
		n := Naming{Update: s.update, Key: Key{place, s.naming.kind}, Line: s.naming.line}
		if ok && !slices.Contains(all[max(0, len(all)-1):], n) {
			all = append(all, n)
		}
	}
	return all
}

// naming notes of a pair which group of fields of a mapping it is; it is nil for
// what is none, such as a list of {name, value}.
func (p named) naming() *naming {
	n := p.group
	if n == nil || p.name[0].at == nil || p.name[0].at.up != n.mapping {
		return nil
	}
	n.line = p.name[len(p.name)-1].value.Line
	return n
}
