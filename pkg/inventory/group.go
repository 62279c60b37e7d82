package inventory

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// Group is one image with its versions.
type Group struct {
	Name     string
	Versions []VersionGroup // sorted by version
	// Drift reports that references which are used have more than one version.
	Drift bool
}

// VersionGroup is one version of an image.
type VersionGroup struct {
	Version    string
	References int
	Targets    []string // ids, sorted
}

// Comparison is what two targets have of one image.
type Comparison struct {
	Name string
	// A and B are the versions in each of them, sorted; a reference with a digest has it
	// behind an @.
	A, B []string
	Same bool
}

// Groups returns the images behind a name in the order of their names, at most limit of
// them, and whether there are more. Its memory is bounded by the limit.
func (inv *Inventory) Groups(ctx context.Context, q Query, after string, limit int) (groups []Group, more bool, err error) {
	found := newFirst[grouping](after, limit)
	for r, err := range inv.References(ctx, q) {
		if err != nil {
			return nil, false, err
		}
		if g := found.of(r.Name); g != nil {
			g.add(&r)
		}
	}
	for name, g := range found.all() {
		groups = append(groups, g.group(name))
	}
	return groups, found.more, nil
}

// Compare returns the images of two targets as Groups does. A query for other targets
// compares nothing.
func (inv *Inventory) Compare(ctx context.Context, q Query, a, b, after string, limit int) (compared []Comparison, more bool, err error) {
	type sides struct{ a, b map[string]bool }
	q.Targets = []string{a, b}
	found := newFirst[sides](after, limit)
	for r, err := range inv.References(ctx, q) {
		if err != nil {
			return nil, false, err
		}
		s := found.of(r.Name)
		if s == nil || !r.used() {
			continue
		}
		side := &s.a
		if r.Target == b {
			side = &s.b
		}
		if *side == nil {
			*side = map[string]bool{}
		}
		(*side)[r.pinned()] = true
	}
	for name, s := range found.all() {
		c := Comparison{Name: name, A: slices.Sorted(maps.Keys(s.a)), B: slices.Sorted(maps.Keys(s.b))}
		c.Same = slices.Equal(c.A, c.B)
		compared = append(compared, c)
	}
	return compared, found.more, nil
}

// used reports whether the image is one that something uses, as far as can be told.
func (r *Reference) used() bool {
	return r.State != string(manifest.Output) && r.State != string(manifest.Ambiguous)
}

// stated returns the version, or the digest where there is none.
func (r *Reference) stated() string {
	if r.Version == "" {
		return r.Digest
	}
	return r.Version
}

// pinned returns the version with its digest.
func (r *Reference) pinned() string {
	if r.Version != "" && r.Digest != "" {
		return r.Version + "@" + r.Digest
	}
	return r.stated()
}

// grouping collects a Group.
type grouping struct{ versions map[string]*versionGrouping }

type versionGrouping struct {
	references int
	targets    map[string]struct{}
	used       bool
}

func (g *grouping) add(r *Reference) {
	if g.versions == nil {
		g.versions = map[string]*versionGrouping{}
	}
	v := g.versions[r.stated()]
	if v == nil {
		v = &versionGrouping{targets: map[string]struct{}{}}
		g.versions[r.stated()] = v
	}
	v.references++
	v.targets[r.Target] = struct{}{}
	v.used = v.used || r.used()
}

func (g *grouping) group(name string) Group {
	group := Group{Name: name}
	used := 0
	for _, version := range slices.Sorted(maps.Keys(g.versions)) {
		v := g.versions[version]
		group.Versions = append(group.Versions, VersionGroup{Version: version, References: v.references, Targets: slices.Sorted(maps.Keys(v.targets))})
		if v.used && version != "" {
			used++
		}
	}
	group.Drift = used > 1
	return group
}

// first keeps a value for each of the first names behind a name.
type first[V any] struct {
	after  string
	limit  int
	names  []string // sorted
	values map[string]*V
	more   bool
}

func newFirst[V any](after string, limit int) *first[V] {
	return &first[V]{after: after, limit: limit, values: map[string]*V{}}
}

// of returns the value of a name, or nil if the name is not among the first.
func (f *first[V]) of(name string) *V {
	if name <= f.after {
		return nil
	}
	if v := f.values[name]; v != nil {
		return v
	}
	at, _ := slices.BinarySearch(f.names, name)
	if at == f.limit {
		f.more = true
		return nil
	}
	f.names = slices.Insert(f.names, at, strings.Clone(name))
	if len(f.names) > f.limit {
		f.more = true
		delete(f.values, f.names[f.limit])
		f.names = f.names[:f.limit]
	}
	v := new(V)
	f.values[f.names[at]] = v
	return v
}

// all yields the names with their values in order.
func (f *first[V]) all() func(func(string, *V) bool) {
	return func(yield func(string, *V) bool) {
		for _, name := range f.names {
			if !yield(name, f.values[name]) {
				return
			}
		}
	}
}
