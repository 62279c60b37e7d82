package update

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// PanicError is a fault of this program that ended an update; nothing was
// written unless a commit was on its way. It is for the log alone.
type PanicError struct {
	Value any
	Stack []byte
}

// Error names the value that was panicked with.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// The bounds of an error's text and stack in a log record, in bytes.
const (
	maxLogError = 1 << 10
	maxLogStack = 16 << 10
)

// ErrorAttrs returns the log attributes of an error: its text, and the stack of a panic.
func ErrorAttrs(err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("error", safetext.Line(err.Error(), maxLogError))}
	var fault *PanicError
	if errors.As(err, &fault) {
		stack := fault.Stack[:min(len(fault.Stack), maxLogStack)]
		attrs = append(attrs, slog.String("stack", string(stack)))
	}
	return attrs
}

// Guard turns a panic in work into a *PanicError. It is for goroutines whose caller does
// not recover.
func Guard(work func() error) error { return guard(work) }

// guard turns a panic in work into a *PanicError. It is for goroutines whose caller does
// not recover.
func guard(work func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return work()
}
