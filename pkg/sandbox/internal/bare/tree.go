package bare

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mode is the mode of a tree entry, as the number git writes in octal.
type Mode uint32

// The modes git knows.
const (
	ModeFile       Mode = 0o100644
	ModeExecutable Mode = 0o100755
	ModeSymlink    Mode = 0o120000
	ModeSubmodule  Mode = 0o160000
	ModeTree       Mode = 0o040000
)

// ParseMode reads the six digits of a mode; ok is false for any that git does
// not write.
func ParseMode(s string) (m Mode, ok bool) {
	for _, m := range []Mode{ModeFile, ModeExecutable, ModeSymlink, ModeSubmodule, ModeTree} {
		if m.String() == s {
			return m, true
		}
	}
	return 0, false
}

// String returns the six digits.
func (m Mode) String() string {
	switch m {
	case ModeFile: // nearly all are, and a listing has many
		return "100644"
	case ModeTree:
		return "040000"
	}
	return fmt.Sprintf("%06o", uint32(m))
}

// Kind is the kind of object an entry of this mode points to.
func (m Mode) Kind() Kind {
	switch m {
	case ModeTree:
		return KindTree
	case ModeSubmodule:
		return KindCommit
	default:
		return KindBlob
	}
}

// Entry is one line of a tree.
type Entry struct {
	Name string // without a slash
	Mode Mode
	Hash Hash
}

// Tree returns the entries of a tree in git's order. They are shared and must
// not be changed.
func (r *Repository) Tree(h Hash) ([]Entry, error) {
	if entries, ok := r.trees.get(h); ok {
		return entries, nil
	}
	content, err := r.GetKind(h, KindTree)
	if err != nil {
		return nil, err
	}
	entries, err := decodeTree(content)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	r.trees.put(h, entries, len(content)+len(entries)*48)
	return entries, nil
}

func decodeTree(b []byte) ([]Entry, error) {
	entries := make([]Entry, 0, bytes.Count(b, []byte{0}))
	for len(b) > 0 {
		end := bytes.IndexByte(b, 0)
		if end < 0 || len(b) < end+1+len(Hash{}) {
			return nil, fmt.Errorf("%w: cut short", ErrMalformed)
		}
		digits, name, ok := strings.Cut(string(b[:end]), " ")
		if !ok {
			return nil, fmt.Errorf("%w: entry without a name", ErrMalformed)
		}
		var mode Mode
		for _, c := range digits {
			if c < '0' || c > '7' {
				return nil, fmt.Errorf("%w: mode %.10q", ErrMalformed, digits)
			}
			mode = mode<<3 | Mode(c-'0')
		}
		b = b[end+1:]
		entries = append(entries, Entry{Name: name, Mode: mode, Hash: Hash(b[:len(Hash{})])})
		b = b[len(Hash{}):]
	}
	return entries, nil
}

// encodeTree sorts entries as git does and returns the tree's content.
func encodeTree(entries []Entry) []byte {
	slices.SortFunc(entries, compareEntries)
	size := 0
	for _, e := range entries {
		size += len("100644 \x00") + len(e.Name) + len(e.Hash)
	}
	b := make([]byte, 0, size)
	for _, e := range entries {
		b = strconv.AppendUint(b, uint64(e.Mode), 8)
		b = append(b, ' ')
		b = append(b, e.Name...)
		b = append(b, 0)
		b = append(b, e.Hash[:]...)
	}
	return b
}

// compareEntries compares by name, a directory as if its name ended in a slash.
func compareEntries(a, b Entry) int {
	n := min(len(a.Name), len(b.Name))
	if c := strings.Compare(a.Name[:n], b.Name[:n]); c != 0 {
		return c
	}
	return cmp.Compare(a.byteAt(n), b.byteAt(n))
}

func (e Entry) byteAt(i int) byte {
	switch {
	case i < len(e.Name):
		return e.Name[i]
	case i == len(e.Name) && e.Mode == ModeTree:
		return '/'
	}
	return 0
}

// WalkEntry is an entry with its path from the root of the walk.
type WalkEntry struct {
	Path string
	Entry
}

// Walk visits all entries below a tree in pre-order, a directory before what
// it holds. It ends early, without an error, when visit returns false.
func (r *Repository) Walk(tree Hash, visit func(WalkEntry) bool) error {
	_, err := r.walk(tree, "", visit)
	return err
}

func (r *Repository) walk(tree Hash, prefix string, visit func(WalkEntry) bool) (more bool, err error) {
	entries, err := r.Tree(tree)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		path := prefix + e.Name
		if !visit(WalkEntry{path, e}) {
			return false, nil
		}
		if e.Mode != ModeTree {
			continue
		}
		if more, err := r.walk(e.Hash, path+"/", visit); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// Lookup returns the entry at a slash-separated path below a tree. The error
// wraps ErrNotFound when there is none.
func (r *Repository) Lookup(tree Hash, path string) (Entry, error) {
	entry := Entry{Mode: ModeTree, Hash: tree}
	for name := range strings.SplitSeq(path, "/") {
		if entry.Mode != ModeTree {
			return Entry{}, fmt.Errorf("path %q: %w", path, ErrNotFound)
		}
		entries, err := r.Tree(entry.Hash)
		if err != nil {
			return Entry{}, err
		}
		i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
		if i < 0 {
			return Entry{}, fmt.Errorf("path %q: %w", path, ErrNotFound)
		}
		entry = entries[i]
	}
	return entry, nil
}
