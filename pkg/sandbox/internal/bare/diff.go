package bare

import (
	"slices"
	"strings"
)

// Difference is a file that differs between two commits. The zero Entry
// stands for a file that is not there.
type Difference struct {
	Path     string
	Old, New Entry
}

// Diff returns the files that differ between two commits, sorted by path.
// Directories that are the same are not read. The zero hash stands for an
// empty tree.
func (r *Repository) Diff(from, to Hash) ([]Difference, error) {
	var trees [2]Hash
	for i, h := range []Hash{from, to} {
		if h.IsZero() {
			continue
		}
		c, err := r.Commit(h)
		if err != nil {
			return nil, err
		}
		trees[i] = c.Tree
	}
	var found []Difference
	err := r.diffTrees(trees[0], trees[1], "", &found)
	slices.SortFunc(found, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return found, err
}

func (r *Repository) diffTrees(from, to Hash, prefix string, found *[]Difference) error {
	if from == to {
		return nil
	}
	pairs, err := r.pairEntries(from, to, prefix)
	if err != nil {
		return err
	}
	for _, d := range pairs {
		if d.Old == d.New {
			continue
		}
		var below [2]Hash
		for i, e := range []*Entry{&d.Old, &d.New} {
			if e.Mode == ModeTree {
				below[i], *e = e.Hash, Entry{}
			}
		}
		if err := r.diffTrees(below[0], below[1], d.Path+"/", found); err != nil {
			return err
		}
		if d.Old != d.New {
			*found = append(*found, *d)
		}
	}
	return nil
}

// pairEntries reads two trees, either of which may be the zero hash, and pairs
// their entries by name.
func (r *Repository) pairEntries(from, to Hash, prefix string) (map[string]*Difference, error) {
	pairs := map[string]*Difference{}
	for i, h := range []Hash{from, to} {
		if h.IsZero() {
			continue
		}
		entries, err := r.Tree(h)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if pairs[e.Name] == nil {
				pairs[e.Name] = &Difference{Path: prefix + e.Name}
			}
			if i == 0 {
				pairs[e.Name].Old = e
			} else {
				pairs[e.Name].New = e
			}
		}
	}
	return pairs, nil
}
