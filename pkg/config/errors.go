package config

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooLarge is returned by Parse for a file of more than MaxSize bytes.
var ErrTooLarge = errors.New("too large")

// Error is one thing that is wrong with a file.
type Error struct {
	// File is the name that Parse was given.
	File string
	// Line counts from one; zero for the file as a whole.
	Line int
	// Key leads to the value, as in webhooks[0].tags.regexp; empty for the file itself.
	Key string
	// Detail is one line that says what is wrong and, where there is one, the fix.
	// It holds no secret.
	Detail string
	// Err is the cause, or nil.
	Err error
}

// Error returns file, line, key and detail in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": ")
		b.WriteString(e.Key)
	}
	return b.String() + ": " + e.Detail
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Errors are the errors of a file, in the order of its lines: at least one, and at
// most MaxErrors. If there are more, the last one counts them.
type Errors []*Error

// Error returns one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each error.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, one := range e {
		errs[i] = one
	}
	return errs
}
