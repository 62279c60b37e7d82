package image

import (
	"strconv"
	"strings"
)

// Digest is the digest of an image's manifest; its zero value means none.
type Digest struct{ text string }

// ParseDigest reads a digest in its canonical spelling, sha256: and 64 or
// sha512: and 128 lower-case hexadecimal digits. The error is a *ParseError
// with ErrEmpty or ErrInvalid.
func ParseDigest(s string) (Digest, error) {
	if s == "" {
		return Digest{}, refuse(ErrEmpty, "the digest is empty")
	}
	algorithm, hex, _ := strings.Cut(s, ":")
	var want int
	switch algorithm {
	case "sha256":
		want = 64
	case "sha512":
		want = 128
	default:
		return Digest{}, refuse(ErrInvalid, "the digest ", quote(s), " does not begin with sha256: or sha512:")
	}
	for _, r := range hex {
		if ('0' > r || r > '9') && ('a' > r || r > 'f') {
			return Digest{}, refuse(ErrInvalid, "the digest ", quote(s), " holds ", quoteRune(r), ": after ", algorithm, ": only 0-9 and a-f may stand")
		}
	}
	if len(hex) != want {
		return Digest{}, refuse(ErrInvalid, "the digest ", quote(s), " has ", strconv.Itoa(len(hex)), " hexadecimal digits: ", algorithm, " has ", strconv.Itoa(want))
	}
	return Digest{text: s}, nil
}

// String returns the digest with its algorithm, or "" for the zero value.
func (d Digest) String() string { return d.text }

// IsZero reports whether there is no digest.
func (d Digest) IsZero() bool { return d.text == "" }
