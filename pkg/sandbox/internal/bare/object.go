package bare

import (
	"crypto/sha1" //nolint:gosec // git names its objects by SHA-1
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

// Facts about objects.
var (
	// ErrNotFound: the repository has no object of that name.
	ErrNotFound = errors.New("object not found")
	// ErrWrongKind: the object is there and is not of the kind asked for.
	ErrWrongKind = errors.New("object is of another kind")
	// ErrMalformed: bytes are not what their kind of object must look like.
	ErrMalformed = errors.New("malformed object")
)

// Hash is the name of an object. The zero value names none.
type Hash [sha1.Size]byte

// ParseHash reads 40 lower-case hexadecimal digits; ok is false for anything
// else.
func ParseHash(s string) (h Hash, ok bool) {
	if len(s) != hex.EncodedLen(len(h)) {
		return Hash{}, false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Hash{}, false
		}
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

// String returns the 40 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h names no object.
func (h Hash) IsZero() bool { return h == Hash{} }

// Kind is the kind of an object, numbered as in a pack.
type Kind byte

// The kinds of objects.
const (
	KindCommit Kind = 1
	KindTree   Kind = 2
	KindBlob   Kind = 3
	KindTag    Kind = 4
)

// String returns git's word for the kind.
func (k Kind) String() string {
	switch k {
	case KindCommit:
		return "commit"
	case KindTree:
		return "tree"
	case KindBlob:
		return "blob"
	case KindTag:
		return "tag"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

func parseKind(s string) (Kind, error) {
	for k := KindCommit; k <= KindTag; k++ {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%w: kind %.20q", ErrMalformed, s)
}

// Object is the content of an object. It is shared and must not be changed.
type Object struct {
	Kind    Kind
	Content []byte
}

// HashOf returns the name of an object without storing it.
func HashOf(kind Kind, content []byte) Hash {
	d := sha1.New() //nolint:gosec // git names its objects by SHA-1
	d.Write(objectHeader(kind, len(content)))
	d.Write(content)
	return Hash(d.Sum(nil))
}

func objectHeader(kind Kind, size int) []byte {
	b := make([]byte, 0, 24)
	b = append(b, kind.String()...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(size), 10)
	return append(b, 0)
}
