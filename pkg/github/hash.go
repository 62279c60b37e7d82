package github

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // git names its objects by SHA-1
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
)

// newObjectHash returns the hash of a git object to which its content is still
// to be written.
func newObjectHash(kind string, size int64) hash.Hash {
	h := sha1.New() //nolint:gosec // git names its objects by SHA-1
	_, _ = io.WriteString(h, kind+" "+strconv.FormatInt(size, 10)+"\x00")
	return h
}

func sum(h hash.Hash) SHA { return SHA(hex.EncodeToString(h.Sum(nil))) }

// blobSHA is the name that git gives to the content.
func blobSHA(content []byte) SHA {
	h := newObjectHash("blob", int64(len(content)))
	_, _ = h.Write(content) // a hash never fails
	return sum(h)
}

// child is one line of a tree object.
type child struct {
	name string
	mode Mode
	sha  SHA
}

// treeSHA is the name that git gives to a tree of these children, which it puts
// in git's order. It is empty when one of them has no name.
func treeSHA(children []child) SHA {
	if !slices.IsSortedFunc(children, child.compare) {
		slices.SortFunc(children, child.compare)
	}
	size := 0
	for i := range children {
		c := &children[i]
		size += len(c.writtenMode()) + len(" ") + len(c.name) + 1 + sha1.Size
	}
	h := newObjectHash("tree", int64(size))
	line := make([]byte, 0, 4<<10)
	for i := range children {
		c := &children[i]
		line = append(line, c.writtenMode()...)
		line = append(line, ' ')
		line = append(line, c.name...)
		line = append(line, 0)
		var ok bool
		if line, ok = appendRaw(line, c.sha); !ok {
			return ""
		}
		if len(line) > cap(line)/2 {
			_, _ = h.Write(line) // a hash never fails
			line = line[:0]
		}
	}
	_, _ = h.Write(line)
	return sum(h)
}

// appendRaw appends the bytes of a name, unless it is none.
func appendRaw(to []byte, sha SHA) ([]byte, bool) {
	if len(sha) != 2*sha1.Size {
		return to, false
	}
	var digits [2 * sha1.Size]byte
	copy(digits[:], sha)
	to, err := hex.AppendDecode(to, digits[:])
	return to, err == nil
}

// writtenMode is the mode as git writes it into a tree.
func (c *child) writtenMode() string { return strings.TrimPrefix(string(c.mode), "0") }

// compare puts children into git's order, in which a directory's name ends in a slash.
func (c child) compare(other child) int {
	n := min(len(c.name), len(other.name))
	if order := strings.Compare(c.name[:n], other.name[:n]); order != 0 {
		return order
	}
	return cmp.Compare(c.after(n), other.after(n))
}

// after is what follows the first n bytes of the name in git's order; -1 for its end.
func (c child) after(n int) int {
	switch {
	case n < len(c.name):
		return int(c.name[n])
	case c.mode == modeTree:
		return '/'
	}
	return -1
}
