package webhook

import (
	"errors"
	"fmt"
)

var (
	// ErrUnauthenticated means that the request is not proven to be the source's.
	// The text gives the reason, for the log, and never holds a secret or what was
	// sent in place of one.
	ErrUnauthenticated = errors.New("webhook: unauthenticated")
	// ErrMalformed means that an authentic body is not JSON. It comes as a
	// *MalformedError.
	ErrMalformed = errors.New("webhook: malformed body")
	// ErrUnavailable means that authenticity cannot be decided now, because the keys
	// are unavailable; the sender should try again.
	ErrUnavailable = errors.New("webhook: keys unavailable")
	// ErrNoPreflight means that the source's kind has no preflight handshake.
	ErrNoPreflight = errors.New("webhook: no preflight for this kind")
)

// MalformedError is an authentic body that is not JSON. It unwraps to
// ErrMalformed.
type MalformedError struct {
	// Cause is a short clause that may be shown to the sender.
	Cause string
}

// Error returns the cause.
func (e *MalformedError) Error() string { return ErrMalformed.Error() + ": " + e.Cause }

// Unwrap returns ErrMalformed.
func (e *MalformedError) Unwrap() error { return ErrMalformed }

// OptionError is one option that New refuses.
type OptionError struct {
	// Source is the name of the source.
	Source string
	// Option is the option's name in a configuration file, such as registry or
	// generic.image.
	Option string
	// Detail is the mistake and its fix, without a full stop.
	Detail string
}

// Error names the source, the option and the fix.
func (e *OptionError) Error() string {
	return fmt.Sprintf("webhook source %q: %s: %s", e.Source, e.Option, e.Detail)
}

func unauthenticated(why string) error {
	return fmt.Errorf("%w: %s", ErrUnauthenticated, why)
}
