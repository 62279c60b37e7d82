package image

import (
	"errors"
	"strconv"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// The reasons for which a Parse function refuses its input. Each is wrapped in a
// *ParseError, whose text is a sentence for the sender of the input.
var (
	// ErrEmpty means that there was no text.
	ErrEmpty = errors.New("empty")
	// ErrTooLong means that the text is over the limit of its grammar.
	ErrTooLong = errors.New("too long")
	// ErrUpperCase means that a repository has an upper-case letter in its host or path.
	ErrUpperCase = errors.New("upper case")
	// ErrHasTag means that a repository was expected and the text has a tag.
	ErrHasTag = errors.New("has a tag")
	// ErrHasDigest means that a repository was expected and the text has a digest.
	ErrHasDigest = errors.New("has a digest")
	// ErrInvalid means that the text does not follow the grammar.
	ErrInvalid = errors.New("invalid")
)

// ParseError is the refusal of a text. It unwraps to one of the sentinel errors of this
// package.
type ParseError struct {
	// Kind is the sentinel error.
	Kind error
	// Detail is one sentence without a full stop that names what is wrong and,
	// where there is one, the fix. It quotes at most a short escaped piece of the
	// input and may be shown to whoever sent it.
	Detail string
}

// Error returns the detail.
func (e *ParseError) Error() string { return e.Detail }

// Unwrap returns the sentinel error.
func (e *ParseError) Unwrap() error { return e.Kind }

func refuse(kind error, parts ...string) error {
	return &ParseError{Kind: kind, Detail: strings.Join(parts, "")}
}

// maxQuoted is how many bytes of a refused input an error repeats.
const maxQuoted = 64

// quote returns the beginning of s as an escaped, quoted piece of ASCII.
func quote(s string) string { return safetext.Quote(s, maxQuoted) }

func quoteRune(r rune) string { return strconv.QuoteRuneToASCII(r) }
