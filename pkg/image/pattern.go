package image

import (
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
)

const (
	// MaxPatternLength is the longest pattern in bytes.
	MaxPatternLength = 255
	// maxPatternSize bounds the instructions of a compiled pattern: a match takes at
	// most that many steps for each byte of a tag. Short patterns such as (a{99}){9}
	// compile to many instructions; patterns of real tags have some dozens.
	maxPatternSize = 300
)

// Pattern is a regular expression over versions, in the syntax of RE2
// (https://github.com/google/re2/wiki/Syntax). It matches anywhere in a version,
// unless ^ and $ anchor it. The zero value matches every version. Patterns are
// compared by String.
type Pattern struct{ expression *regexp.Regexp }

// ParsePattern reads a pattern. The error is a *ParseError with one of ErrEmpty,
// ErrTooLong and ErrInvalid.
func ParsePattern(s string) (Pattern, error) {
	switch {
	case s == "":
		return Pattern{}, refuse(ErrEmpty, "the pattern is empty: give a regular expression such as -alpine$")
	case len(s) > MaxPatternLength:
		return Pattern{}, refuse(ErrTooLong, "the pattern is ", strconv.Itoa(len(s)), " bytes long: at most ", strconv.Itoa(MaxPatternLength), " are allowed")
	case strings.ContainsFunc(s, unicode.IsControl):
		return Pattern{}, refuse(ErrInvalid, "the pattern ", quote(s), " holds a control character")
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return Pattern{}, refuse(ErrInvalid, "the pattern ", quote(s), " is no regular expression of RE2: ", reason)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || len(program.Inst) > maxPatternSize {
		return Pattern{}, refuse(ErrTooLong, "the pattern ", quote(s), " is too complex: write it with fewer repetitions")
	}
	expression, err := regexp.Compile(s)
	if err != nil {
		return Pattern{}, refuse(ErrInvalid, "the pattern ", quote(s), " is no regular expression of RE2")
	}
	return Pattern{expression: expression}, nil
}

// Matches reports whether the pattern matches the version.
func (p Pattern) Matches(version string) bool {
	return p.expression == nil || p.expression.MatchString(version)
}

// String returns the pattern as it was spelled, or "" for the zero value.
func (p Pattern) String() string {
	if p.expression == nil {
		return ""
	}
	return p.expression.String()
}

// IsZero reports whether there is no pattern.
func (p Pattern) IsZero() bool { return p.expression == nil }
