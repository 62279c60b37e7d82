package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxBody bounds a request's body in bytes; the largest update that the
	// description allows is a tenth of it.
	maxBody = 1 << 20
	// DefaultBodies is the default of Options.Bodies, in bytes: room for thirty of the
	// largest bodies, or for thousands of usual ones.
	DefaultBodies = 32 << 20
	// bodyPatience bounds the time in which a body arrives whose sender is not
	// authenticated yet. A registry's arrives within milliseconds.
	bodyPatience = 10 * time.Second
	// maxDrain is how many bytes of a refused body are still read, so that its sender
	// reads the answer before the connection closes (RFC 9112, section 9.6).
	maxDrain = 16 << 20
	// drainPatience bounds the time of that reading.
	drainPatience = 2 * time.Second
	// firstRead is the first buffer for a body of undeclared length, in bytes.
	firstRead = 8 << 10
)

// bodyBudget bounds the memory that the bodies of several requests take together.
// It is safe for concurrent use.
type bodyBudget struct {
	limit int64
	// patience bounds the time in which a body arrives; zero leaves that to the
	// server.
	patience time.Duration

	mu   sync.Mutex
	held int64
}

// take reserves n bytes, and reports whether there is room for them.
func (b *bodyBudget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > b.limit {
		return false
	}
	b.held += n
	return true
}

func (b *bodyBudget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
}

// bodiesError reports that the budget has no room for a body.
type bodiesError struct{}

// Error is a sentence for the caller.
func (*bodiesError) Error() string {
	return "too many request bodies are being read at once; nothing was written, send the request again"
}

// read returns the body of r, which has at most limit bytes, and a function that
// gives its memory back to the budget. The error is an *invalidError or a
// *bodiesError.
func (b *bodyBudget) read(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, release func(), err error) {
	if b.patience > 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(b.patience))
	}
	buffer := &bodyBuffer{budget: b}
	switch {
	case r.ContentLength > limit:
		err = tooLarge(limit)
	case r.ContentLength >= 0:
		err = buffer.readDeclared(r.Body, r.ContentLength)
	default:
		err = buffer.readChunked(r.Body, limit)
	}
	if err != nil {
		buffer.release()
		drain(w, r)
		return nil, func() {}, err
	}
	return buffer.content, buffer.release, nil
}

// bodyBuffer holds one body and what the budget reserved for it.
type bodyBuffer struct {
	budget  *bodyBudget
	content []byte
	held    int64
}

func (b *bodyBuffer) release() {
	b.budget.give(b.held)
	b.held = 0
}

// readDeclared reads a body of a known length into a buffer of that length.
func (b *bodyBuffer) readDeclared(from io.Reader, length int64) error {
	if err := b.grow(length); err != nil {
		return err
	}
	n, err := io.ReadFull(from, b.content)
	if err != nil {
		return unreadable(fmt.Errorf("%w after %d of %d bytes", err, n, length))
	}
	return nil
}

// readChunked reads a body of unknown length into a buffer that doubles.
func (b *bodyBuffer) readChunked(from io.Reader, limit int64) error {
	read := 0
	for {
		if err := b.grow(min(max(firstRead, 2*int64(read)), limit+1)); err != nil {
			return err
		}
		n, err := io.ReadFull(from, b.content[read:])
		read += n
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			b.content = b.content[:read:read]
			return nil
		case err != nil:
			return unreadable(err)
		case int64(read) > limit:
			return tooLarge(limit)
		}
	}
}

// grow moves the content into a buffer of another size. Both count against the
// budget until it is moved.
func (b *bodyBuffer) grow(size int64) error {
	if !b.budget.take(size) {
		return &bodiesError{}
	}
	content := make([]byte, size)
	copy(content, b.content)
	b.budget.give(b.held)
	b.content, b.held = content, size
	return nil
}

func unreadable(err error) error {
	return malformed("the body could not be read: " + brief(err.Error()))
}

func tooLarge(limit int64) error {
	return &invalidError{
		status: http.StatusRequestEntityTooLarge, code: ProblemCodeTooLarge,
		detail: fmt.Sprintf("the body is larger than %d bytes", limit),
	}
}

// drain reads and discards the rest of a refused body, up to maxDrain and
// drainPatience.
func drain(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainPatience))
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
}
