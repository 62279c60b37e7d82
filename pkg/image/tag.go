package image

import "strconv"

// MaxTagLength is the longest tag in bytes, by the OCI distribution specification.
const MaxTagLength = 128

// Tag is the tag of an image, which the HTTP interface calls its version.
type Tag struct{ text string }

// ParseTag reads a tag. The error is a *ParseError with one of ErrEmpty,
// ErrTooLong and ErrInvalid.
func ParseTag(s string) (Tag, error) {
	switch {
	case s == "":
		return Tag{}, refuse(ErrEmpty, "the version is empty: give the image's tag")
	case len(s) > MaxTagLength:
		return Tag{}, refuse(ErrTooLong, "the version is ", strconv.Itoa(len(s)), " bytes long: a tag has at most ", strconv.Itoa(MaxTagLength))
	}
	for i, r := range s {
		switch {
		case isWord(r):
		case r != '.' && r != '-':
			return Tag{}, refuse(ErrInvalid, "the version ", quote(s), " holds ", quoteRune(r), ": a tag is made of letters, digits and . _ -")
		case i == 0:
			return Tag{}, refuse(ErrInvalid, "the version ", quote(s), " begins with ", quoteRune(r), ": a tag begins with a letter, a digit or _")
		}
	}
	return Tag{text: s}, nil
}

func isWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
}

// String returns the tag, or "" for the zero value.
func (t Tag) String() string { return t.text }

// IsZero reports whether there is no tag.
func (t Tag) IsZero() bool { return t.text == "" }
