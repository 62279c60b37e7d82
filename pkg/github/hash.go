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
	slices.SortFunc(children, func(a, b child) int { return cmp.Compare(a.sortName(), b.sortName()) })
	var body []byte
	for _, c := range children {
		raw, err := hex.DecodeString(string(c.sha))
		if err != nil || len(raw) != sha1.Size {
			return ""
		}
		body = append(body, strings.TrimPrefix(string(c.mode), "0")...)
		body = append(body, ' ')
		body = append(body, c.name...)
		body = append(body, 0)
		body = append(body, raw...)
	}
	h := newObjectHash("tree", int64(len(body)))
	_, _ = h.Write(body) // a hash never fails
	return sum(h)
}

// sortName is what git sorts by: a directory's name ends in a slash.
func (c child) sortName() string {
	if c.mode == modeTree {
		return c.name + "/"
	}
	return c.name
}
