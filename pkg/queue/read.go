package queue

import (
	"context"
	"errors"
	"time"
)

// The bounds of Filter.Limit.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Filter selects updates.
type Filter struct {
	Image  string // normalised; "" is any
	Status Status // "" is any
	Limit  int    // of a page; 0 is DefaultLimit, more than MaxLimit is MaxLimit
	Cursor string // Page.Next of the page before; "" is the first page
}

// Page is a part of a list.
type Page struct {
	Updates []Update
	Next    string // the cursor of the next page, "" when this is the last
}

// Stats are figures of the queue.
type Stats struct {
	Waiting int           // queued tasks
	Oldest  time.Duration // how long the oldest of them waits; 0 when none does
	Failed  int           // failed updates in the history
}

// Get returns an update. ErrNotFound.
func (q *Queue) Get(ctx context.Context, id string) (Update, error) {
	return Update{}, errors.ErrUnsupported
}

// Wait returns an update once it ended. When ctx ends before, it returns the
// update as it is then together with ctx's cause. ErrNotFound.
func (q *Queue) Wait(ctx context.Context, id string) (Update, error) {
	return Update{}, errors.ErrUnsupported
}

// List returns updates, the latest arrival first. Pages do not shift when updates
// arrive meanwhile. ErrCursor.
func (q *Queue) List(ctx context.Context, f Filter) (Page, error) {
	return Page{}, errors.ErrUnsupported
}

// Stats counts.
func (q *Queue) Stats(ctx context.Context) (Stats, error) { return Stats{}, errors.ErrUnsupported }
