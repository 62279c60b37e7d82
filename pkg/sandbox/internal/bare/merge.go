package bare

import (
	"slices"

	"github.com/aymanbagabas/go-udiff"
)

// MergeTrees returns the tree that has the changes from base to each of two
// commits, which are compared file by file and, where both changed one, line by
// line. The error wraps ErrConflict when they contradict each other. New objects
// go to sink.
func (r *Repository) MergeTrees(base, ours, theirs Hash, sink Sink) (Hash, error) {
	mine, err := r.Diff(base, ours)
	if err != nil {
		return Hash{}, err
	}
	other, err := r.Diff(base, theirs)
	if err != nil {
		return Hash{}, err
	}
	onto, err := r.Commit(ours)
	if err != nil {
		return Hash{}, err
	}
	changed := make(map[string]Difference, len(mine))
	for _, d := range mine {
		changed[d.Path] = d
	}
	changes := make([]Change, 0, len(other))
	for _, d := range other {
		m, both := changed[d.Path]
		switch {
		case both && m.New == d.New:
			continue
		case both:
			if d.New, err = r.mergeFile(m, d, sink); err != nil {
				return Hash{}, err
			}
		}
		changes = append(changes, Change{Path: d.Path, Mode: d.New.Mode, Hash: d.New.Hash, Remove: d.New.Hash.IsZero()})
	}
	return r.EditTree(onto.Tree, changes, sink)
}

// mergeFile merges two changes of one file.
func (r *Repository) mergeFile(ours, theirs Difference, sink Sink) (Entry, error) {
	merged := ours.New
	if ours.Old.Mode.Kind() != KindBlob || ours.New.Mode != theirs.New.Mode || ours.Old.Hash.IsZero() || ours.New.Hash.IsZero() || theirs.New.Hash.IsZero() {
		return merged, ErrConflict
	}
	var texts [3]string
	for i, h := range []Hash{ours.Old.Hash, ours.New.Hash, theirs.New.Hash} {
		content, err := r.GetKind(h, KindBlob)
		if err != nil {
			return merged, err
		}
		texts[i] = string(content)
	}
	x, y := udiff.Lines(texts[0], texts[1]), udiff.Lines(texts[0], texts[2])
	if touch(x, y) {
		return merged, ErrConflict
	}
	edits, ok := udiff.Merge(x, y)
	if !ok {
		return merged, ErrConflict
	}
	text, err := udiff.Apply(texts[0], edits)
	if err != nil {
		return merged, err
	}
	merged.Hash, err = sink.Put(KindBlob, []byte(text))
	return merged, err
}

// touch reports whether two lists of edits change the same or neighbouring lines,
// which git takes for a conflict.
func touch(x, y []udiff.Edit) bool {
	return slices.ContainsFunc(x, func(a udiff.Edit) bool {
		return slices.ContainsFunc(y, func(b udiff.Edit) bool { return a != b && a.Start <= b.End && b.Start <= a.End })
	})
}
