package manifest

import (
	"cmp"
	"slices"
	"sort"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Pairs is a compact index of one file: where it names images by fields of their
// own, and where it has a version without a name; and of the releases that it tells
// of. It stays useful when the content is gone. Its zero value is the index of a file
// that has none of them. Pairs are immutable and safe for concurrent use.
type Pairs struct {
	entries  []pairEntry
	releases []Release
}

// pairEntry is one group of fields.
type pairEntry struct {
	place uint64
	// names are hashes of the names that stand there; zero is none.
	names [2]uint64
	// lone are the kinds of the versions that stand there without a name.
	lone versionKind
}

// IndexPairs indexes one file. A file that no parser takes, or that has too many
// pairs, has none.
func IndexPairs(content []byte) Pairs {
	f := readWhole(content)
	if f == nil {
		return Pairs{}
	}
	var entries []pairEntry
	for _, g := range fieldGroups(f.docs) {
		e := pairEntry{place: hashWord(g.place)}
		for i, name := range g.names[:min(len(g.names), len(e.names))] {
			e.names[i] = hashName(name)
		}
		if g.lone() {
			e.lone = g.kinds
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b pairEntry) int { return cmp.Compare(a.place, b.place) })
	return Pairs{entries: slices.Clip(entries), releases: releasesOf(f.docs)}
}

// Releases returns the releases that the file tells of, in file order. They are not to
// be changed.
func (p Pairs) Releases() []Release { return p.releases }

// hashName returns the hash of a normalised name, or that of a text that is none.
func hashName(text string) uint64 {
	repo, err := image.ParseRepository(text)
	if err != nil {
		return hashWord("\x00" + text)
	}
	return hashWord(repo.Name())
}

// at returns the entries of one place.
func (p Pairs) at(place string) []pairEntry {
	h := hashWord(place)
	from := sort.Search(len(p.entries), func(i int) bool { return p.entries[i].place >= h })
	to := from
	for to < len(p.entries) && p.entries[to].place == h {
		to++
	}
	return p.entries[from:to]
}

// Lone reports whether a version stands at the key without a name.
func (p Pairs) Lone(k Key) bool {
	return slices.ContainsFunc(p.at(k.place), func(e pairEntry) bool { return e.lone&k.kind != 0 })
}

// Names reports whether the file has this image's name at the place of the key, and
// whether it has another name there.
func (p Pairs) Names(k Key, image Spellings) (this, other bool) {
	for _, e := range p.at(k.place) {
		switch {
		case image.has(e.names):
			this = true
		case e.names[0] != 0:
			other = true
		}
	}
	return this, other
}

// Size returns about how many bytes of memory the index takes.
func (p Pairs) Size() int {
	size := 48 + 32*cap(p.entries)
	for i := range p.releases {
		r := &p.releases[i]
		size += 64 + len(r.Repository) + len(r.Chart)
		for _, file := range r.Files {
			size += 16 + len(file)
		}
	}
	return size
}
