package bare

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of EditTree.
var (
	// ErrBadPath: a path that git would not take into a tree.
	ErrBadPath = errors.New("malformed path")
	// ErrConflict: two changes cannot both be made, or one removes what is
	// not there.
	ErrConflict = errors.New("conflicting change")
)

// Change is what becomes of one path.
type Change struct {
	Path   string
	Mode   Mode
	Hash   Hash
	Remove bool
}

// CheckPath reports whether git would take path into a tree. The error wraps
// ErrBadPath.
func CheckPath(path string) error {
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." || isDotGit(name) || strings.ContainsRune(name, 0) {
			return fmt.Errorf("%w: %q", ErrBadPath, path)
		}
	}
	return nil
}

// isDotGit recognises .git under all names by which Windows would find it.
func isDotGit(name string) bool {
	name, _, _ = strings.Cut(strings.ToLower(name), ":")
	name = strings.TrimRight(name, ". ")
	return name == ".git" || name == "git~1"
}

// EditTree returns the tree that results from changes on top of base, the
// zero hash being the empty tree. New trees go to sink.
//
// A change below a file replaces the file by a directory and the other way
// round; of two changes of one path the last counts; a directory left without
// entries goes away. The error wraps ErrBadPath, or ErrConflict when a path is
// to be removed that is not there, or is to be both file and directory.
func (r *Repository) EditTree(base Hash, changes []Change, sink Sink) (Hash, error) {
	root := &node{}
	for _, c := range changes {
		if err := CheckPath(c.Path); err != nil {
			return Hash{}, err
		}
		if err := root.add(strings.Split(c.Path, "/"), c); err != nil {
			return Hash{}, err
		}
	}
	h, _, err := r.edit(base, root, sink)
	return h, err
}

// node is a directory of changes.
type node struct {
	files map[string]Change
	dirs  map[string]*node
}

func (n *node) add(names []string, c Change) error {
	name := names[0]
	if len(names) == 1 {
		if n.dirs[name] != nil {
			return fmt.Errorf("%w: %q is also a directory", ErrConflict, c.Path)
		}
		if n.files == nil {
			n.files = map[string]Change{}
		}
		n.files[name] = c
		return nil
	}
	if _, ok := n.files[name]; ok {
		return fmt.Errorf("%w: %q lies below a file", ErrConflict, c.Path)
	}
	if n.dirs == nil {
		n.dirs = map[string]*node{}
	}
	if n.dirs[name] == nil {
		n.dirs[name] = &node{}
	}
	return n.dirs[name].add(names[1:], c)
}

// edit returns the new tree and how many entries it has.
func (r *Repository) edit(base Hash, n *node, sink Sink) (Hash, int, error) {
	var old []Entry
	if !base.IsZero() {
		var err error
		if old, err = r.Tree(base); err != nil {
			return Hash{}, 0, err
		}
	}
	byName := make(map[string]Entry, len(old))
	entries := make([]Entry, 0, len(old)+len(n.files)+len(n.dirs))
	for _, e := range old {
		byName[e.Name] = e
		_, file := n.files[e.Name]
		if _, dir := n.dirs[e.Name]; !file && !dir {
			entries = append(entries, e)
		}
	}
	for name, c := range n.files {
		if !c.Remove {
			entries = append(entries, Entry{name, c.Mode, c.Hash})
		} else if _, ok := byName[name]; !ok {
			return Hash{}, 0, fmt.Errorf("%w: %q is not there", ErrConflict, c.Path)
		}
	}
	for name, dir := range n.dirs {
		var below Hash
		if e := byName[name]; e.Mode == ModeTree {
			below = e.Hash
		}
		h, count, err := r.edit(below, dir, sink)
		if err != nil {
			return Hash{}, 0, err
		}
		if count > 0 {
			entries = append(entries, Entry{name, ModeTree, h})
		}
	}
	entries = slices.Clip(entries)
	h, err := sink.Put(KindTree, encodeTree(entries))
	return h, len(entries), err
}
