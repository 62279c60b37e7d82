package update

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a fault of this program that ended an update; nothing was
// written unless a commit was on its way. It is for the log alone.
type PanicError struct {
	Value any
	Stack []byte
}

// Error names the value that was panicked with.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// guard makes an error of a panic in work, which runs in goroutines that nobody
// above looks after.
func guard(work func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return work()
}
