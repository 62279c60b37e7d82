package caller

import "errors"

// ErrUnavailable is wrapped by the error for a token whose issuer's keys cannot be
// had: the token may be right, and the same request may succeed later.
var ErrUnavailable = errors.New("the issuer of the token does not answer")

// RefusedError is a token that proves nobody. The reason is fit for the caller.
type RefusedError struct{ Reason string }

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

// ForbiddenError is a token that is valid and is no caller. The reason is fit for
// the caller.
type ForbiddenError struct{ Reason string }

// Error returns the reason.
func (e *ForbiddenError) Error() string { return e.Reason }
