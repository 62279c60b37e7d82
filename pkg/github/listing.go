package github

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// listing holds the entries of a tree, at all depths. It is immutable. Each slice is
// sorted by path, so that the entries below a directory are contiguous.
type listing struct {
	files   []Entry // blobs and symbolic links
	modules []Entry // submodules
	dirs    []Entry // directories, the root first with the path ""
	// split are the directories that are too large for one recursive answer.
	split map[string]bool
	// proven are the directories whose entries are known to hash to their names.
	proven map[string]bool
}

// root returns the name of the tree.
func (l *listing) root() SHA { return l.dirs[0].SHA }

// dir returns the name of a directory's tree, or "" when it is not known.
func (l *listing) dir(dir string) SHA {
	i, ok := find(l.dirs, dir)
	if !ok {
		return ""
	}
	return l.dirs[i].SHA
}

// count returns the number of files below a directory.
func (l *listing) count(dir string) int { return len(below(l.files, dir)) }

func byPath(a, b Entry) int { return cmp.Compare(a.Path, b.Path) }

// find returns the index of the path in entries, and whether it is there.
func find(entries []Entry, path string) (int, bool) {
	return slices.BinarySearchFunc(entries, path, func(e Entry, path string) int { return cmp.Compare(e.Path, path) })
}

// below returns the entries below a directory, which are all for the root.
func below(entries []Entry, dir string) []Entry {
	if dir == "" {
		return entries
	}
	from, _ := find(entries, dir+"/")
	to, _ := find(entries, dir+"0") // 0 is the byte after the slash
	return entries[from:to]
}

// sorted sorts a new listing and returns it.
func (l *listing) sorted() *listing {
	for _, entries := range []*[]Entry{&l.files, &l.modules, &l.dirs} {
		if !slices.IsSortedFunc(*entries, byPath) {
			slices.SortFunc(*entries, byPath)
		}
		*entries = packed(*entries)
	}
	return l
}

// packPieces is how many entries have their texts in one piece of memory. One that is
// used elsewhere keeps its piece in memory.
const packPieces = 256

// packed returns the entries with their texts in a few large pieces of memory and no
// room to spare. It changes them.
func packed(entries []Entry) []Entry {
	for piece := range slices.Chunk(entries, packPieces) {
		size := 0
		for i := range piece {
			size += len(piece[i].Path) + len(piece[i].SHA)
		}
		var b strings.Builder
		b.Grow(size)
		for i := range piece {
			b.WriteString(piece[i].Path)
			b.WriteString(string(piece[i].SHA))
		}
		text := b.String()
		for i := range piece {
			e := &piece[i]
			n, m := len(e.Path), len(e.SHA)
			e.Path, e.SHA, text = text[:n], SHA(text[n:n+m]), text[n+m:]
		}
	}
	if cap(entries)-len(entries) > len(entries)/16 {
		entries = slices.Clone(entries)
	}
	return entries
}

// add adds the entries of one answer, whose paths are relative to dir.
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

// take adds the entries of an older listing below dir.
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
		for dir := path.Dir(e.Path); dir != "." && !above[dir]; dir = path.Dir(dir) {
			above[dir] = true
		}
	}
	checked = true
	dirs := make([]string, 0, len(above))
	for dir := range above {
		dirs = append(dirs, dir)
		checked = checked && l.hashesTo(dir, l.dir(dir))
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the deepest first
	next.proven = make(map[string]bool, len(l.proven)+len(dirs))
	maps.Copy(next.proven, l.proven)
	for _, dir := range dirs {
		i, ok := find(next.dirs, dir)
		switch {
		case !ok:
		case checked:
			next.dirs[i].SHA = treeSHA(next.children(dir))
			next.proven[dir] = true
		default:
			next.dirs[i].SHA = ""
			delete(next.proven, dir)
		}
	}
	return next, checked
}

// hashesTo reports whether the entries of a directory hash to the name of its tree.
func (l *listing) hashesTo(dir string, tree SHA) bool {
	return tree != "" && (l.proven[dir] || treeSHA(l.children(dir)) == tree)
}

// certain returns the listing if the hashes of its directories are reliable, else nil.
func (l *listing) certain(checked bool) *listing {
	if !checked {
		return nil
	}
	return l
}

// whole returns the directories of a truncated listing that are complete all the same:
// those whose entries hash to the directory's name.
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

// children returns the entries directly in a directory.
func (l *listing) children(dir string) []child {
	from := 0 // of a name in a path
	if dir != "" {
		from = len(dir) + 1
	}
	var out []child
	for _, entries := range [][]Entry{l.files, l.modules, l.dirs} {
		entries = below(entries, dir)
		for i := 0; i < len(entries); {
			e := &entries[i]
			name := e.Path[min(from, len(e.Path)):]
			slash := strings.IndexByte(name, '/')
			switch {
			case name == "": // the root itself
				i++
			case slash >= 0:
				i += len(below(entries[i:], e.Path[:from+slash]))
			default:
				if out == nil {
					out = make([]child, 0, min(len(entries)-i, maxListed/8))
				}
				out = append(out, child{name: name, mode: e.Mode, sha: e.SHA})
				i++
			}
		}
	}
	return out
}
