package queue

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The bounds of Filter.Limit.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// Filter selects updates.
type Filter struct {
	Image  string // normalised; "" is any
	Status Status // "" is any
	Limit  int    // of a page; 0 means 50, and more than 200 means 200
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
	Oldest  time.Duration // the age of the oldest queued task; 0 when there is none
	Failed  int           // failed updates in the history, except those of Record, whose callers received the error
}

// Get returns an update, or ErrNotFound.
func (q *Queue) Get(ctx context.Context, id string) (Update, error) {
	found, err := q.find(ctx, `u.id = $1`, id)
	if err != nil {
		return Update{}, fmt.Errorf("queue: read update %q: %w", id, err)
	}
	if len(found) == 0 {
		return Update{}, ErrNotFound
	}
	return found[0].Update, nil
}

// List returns updates, the latest arrival first. Pages do not shift when updates arrive
// between two calls. It returns ErrCursor for a cursor that List did not return.
func (q *Queue) List(ctx context.Context, f Filter) (Page, error) {
	var (
		conditions []string
		args       []any
	)
	where := func(condition string, arg any) {
		args = append(args, arg)
		conditions = append(conditions, condition+" $"+strconv.Itoa(len(args)))
	}
	if f.Cursor != "" {
		seq, err := parseCursor(f.Cursor)
		if err != nil {
			return Page{}, err
		}
		where("seq <", seq)
	}
	if f.Image != "" {
		where("image =", f.Image)
	}
	if f.Status != "" {
		where("status =", string(f.Status))
	}
	limit := min(f.Limit, maxLimit)
	if limit <= 0 {
		limit = defaultLimit
	}
	args = append(args, limit+1) // one more, to find out whether there is a next page
	some := ""
	if len(conditions) > 0 {
		some = " WHERE " + strings.Join(conditions, " AND ")
	}
	found, err := q.find(ctx, fmt.Sprintf(
		`u.seq IN (SELECT seq FROM versions_update%s ORDER BY seq DESC LIMIT $%d)`, some, len(args)), args...)
	if err != nil {
		return Page{}, fmt.Errorf("queue: list updates: %w", err)
	}
	var p Page
	if len(found) > limit {
		found = found[:limit]
		p.Next = cursor(found[limit-1].seq)
	}
	for _, u := range found {
		p.Updates = append(p.Updates, u.Update)
	}
	return p, nil
}

// find reads updates with their tasks, the latest first. It is one statement, so that the
// result is consistent.
func (q *Queue) find(ctx context.Context, condition string, args ...any) ([]updateRow, error) {
	var found []updateRow
	err := each(ctx, q.store.read(), func(scan func(...any) error) error {
		var (
			u updateRow
			t taskRow
		)
		if err := scan(append(u.dest(), t.dest()...)...); err != nil {
			return err
		}
		if len(found) == 0 || found[len(found)-1].seq != u.seq {
			u.Update = u.value()
			found = append(found, u)
		}
		if t.n >= 0 {
			last := &found[len(found)-1]
			last.Tasks = append(last.Tasks, t.value())
		}
		return nil
	}, `SELECT `+updateColumns+`, `+taskColumns+`
		FROM versions_update AS u LEFT JOIN versions_task AS t ON t.seq = u.seq
		WHERE `+condition+` ORDER BY u.seq DESC, t.n`, args...)
	return found, err
}

const cursorPrefix = "after:"

func cursor(seq int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorPrefix + strconv.FormatInt(seq, 10)))
}

func parseCursor(s string) (int64, error) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return 0, ErrCursor
	}
	digits, ok := strings.CutPrefix(string(text), cursorPrefix)
	seq, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || seq < 1 {
		return 0, ErrCursor
	}
	return seq, nil
}

// Stats returns the current figures.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	var (
		s      Stats
		oldest int64
	)
	if _, err := one(ctx, q.store.read(), []any{&s.Waiting, &oldest, &s.Failed}, `
		SELECT count(*), coalesce(min(queued_at), 0), (SELECT count(*) FROM versions_update WHERE status = 'failed' AND recorded = 0)
		FROM versions_task WHERE status = 'queued'`); err != nil {
		return Stats{}, fmt.Errorf("queue: count: %w", err)
	}
	if oldest > 0 {
		s.Oldest = max(0, q.options.Now().Sub(fromMicros(oldest)))
	}
	return s, nil
}

// WaitingFor returns the number of queued tasks of each target that has any.
func (q *Queue) WaitingFor(ctx context.Context) (map[string]int, error) {
	waiting := map[string]int{}
	err := each(ctx, q.store.read(), func(scan func(...any) error) error {
		var target string
		var n int
		err := scan(&target, &n)
		waiting[target] = n
		return err
	}, `SELECT target, count(*) FROM versions_task WHERE status = 'queued' GROUP BY target`)
	if err != nil {
		return nil, fmt.Errorf("queue: count by target: %w", err)
	}
	return waiting, nil
}
