package github

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// listing is everything that a tree holds, at all depths. It is immutable.
// Every slice is sorted by path, so that what is below a directory is one range
// of it.
type listing struct {
	files   []Entry // blobs and symbolic links
	modules []Entry // submodules
	dirs    []Entry // directories, the root first with the path ""
	// split are the directories that one recursive answer does not hold.
	split map[string]bool
}

// root is the tree's own name.
func (l *listing) root() SHA { return l.dirs[0].SHA }

// dir returns the name of the directory's tree, empty when it is not known.
func (l *listing) dir(dir string) SHA {
	i, ok := find(l.dirs, dir)
	if !ok {
		return ""
	}
	return l.dirs[i].SHA
}

// count is the number of files below a directory.
func (l *listing) count(dir string) int { return len(below(l.files, dir)) }

func byPath(a, b Entry) int { return cmp.Compare(a.Path, b.Path) }

// find returns where the path is in entries.
func find(entries []Entry, path string) (int, bool) {
	return slices.BinarySearchFunc(entries, path, func(e Entry, path string) int { return cmp.Compare(e.Path, path) })
}

// below returns the entries below the directory; all for the root.
func below(entries []Entry, dir string) []Entry {
	if dir == "" {
		return entries
	}
	from, _ := find(entries, dir+"/")
	to, _ := find(entries, dir+"0") // 0 is the byte after the slash
	return entries[from:to]
}

// sorted puts the parts of a listing in order.
func (l *listing) sorted() *listing {
	for _, entries := range [][]Entry{l.files, l.modules, l.dirs} {
		if !slices.IsSortedFunc(entries, byPath) {
			slices.SortFunc(entries, byPath)
		}
	}
	return l
}

// add takes in one answer's entries, which are below dir.
func (l *listing) add(dir string, entries []treeEntry) {
	for _, e := range entries {
		entry := Entry{Path: path.Join(dir, e.Path), Mode: e.mode(), SHA: e.SHA, Size: e.Size}
		switch entry.Mode {
		case modeTree:
			l.dirs = append(l.dirs, entry)
		case modeSubmodule:
			l.modules = append(l.modules, entry)
		default:
			if !strings.ContainsRune(entry.Path, utf8.RuneError) { // what JSON makes of a name that is not UTF-8
				l.files = append(l.files, entry)
			}
		}
	}
}

// take copies what an older listing holds below dir.
func (l *listing) take(old *listing, dir string) {
	l.files = append(l.files, below(old.files, dir)...)
	l.modules = append(l.modules, below(old.modules, dir)...)
	l.dirs = append(l.dirs, below(old.dirs, dir)...)
}

// edited returns the listing after the edits, with the hashes that git gives to the
// directories above them. checked reports whether the same computation yields the present
// hashes of those directories, so that the new ones are reliable; if not, they are empty.
func (l *listing) edited(edits []Edit) (next *listing, checked bool) {
	next = &listing{files: slices.Clone(l.files), modules: l.modules, dirs: slices.Clone(l.dirs), split: l.split}
	above := map[string]bool{"": true}
	for _, e := range edits {
		i, ok := find(next.files, e.Path)
		if !ok {
			continue
		}
		next.files[i].SHA, next.files[i].Size = blobSHA(e.Content), int64(len(e.Content))
		for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
			above[dir] = true
		}
	}
	checked = true
	dirs := make([]string, 0, len(above))
	for dir := range above {
		dirs = append(dirs, dir)
		checked = checked && l.dir(dir) != "" && treeSHA(l.children(dir)) == l.dir(dir)
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the deepest first
	for _, dir := range dirs {
		i, ok := find(next.dirs, dir)
		switch {
		case !ok:
		case checked:
			next.dirs[i].SHA = treeSHA(next.children(dir))
		default:
			next.dirs[i].SHA = ""
		}
	}
	return next, checked
}

// whole returns the directories of a truncated listing that it holds whole all
// the same, which is told by their names.
func (l *listing) whole() map[string]bool {
	whole := make(map[string]bool, len(l.dirs))
	broken := map[string]bool{}
	for _, d := range slices.Backward(l.dirs) { // what is below comes first
		if broken[d.Path] || treeSHA(l.children(d.Path)) != d.SHA {
			broken[path.Dir(d.Path)] = true
			continue
		}
		whole[d.Path] = true
	}
	return whole
}

// children returns what is directly in a directory.
func (l *listing) children(dir string) []child {
	var out []child
	for _, entries := range [][]Entry{l.files, l.modules, l.dirs} {
		entries = below(entries, dir)
		for i := 0; i < len(entries); {
			e := entries[i]
			name := strings.TrimPrefix(e.Path[min(len(dir), len(e.Path)):], "/")
			first, _, deeper := strings.Cut(name, "/")
			switch {
			case name == "": // the root itself
				i++
			case deeper:
				i += len(below(entries[i:], path.Join(dir, first)))
			default:
				out = append(out, child{name: name, mode: e.Mode, sha: e.SHA})
				i++
			}
		}
	}
	return out
}
