package caller

import "errors"

// ErrUnavailable is wrapped by the error for a token whose issuer's keys cannot be
// fetched: the token may be valid, and the same request may succeed later.
var ErrUnavailable = errors.New("the issuer of the token does not answer")

// RefusedError is the refusal of an invalid token. The reason may be shown to the
// caller.
type RefusedError struct{ Reason string }

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

// ForbiddenError is the refusal of a valid token that fits no caller. The reason may
// be shown to the caller.
type ForbiddenError struct{ Reason string }

// Error returns the reason.
func (e *ForbiddenError) Error() string { return e.Reason }
