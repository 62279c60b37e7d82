package queue

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The bounds of Filter.Limit.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// maxExamined bounds the updates that one page reads, when Filter.Show hides some.
const maxExamined = 2_000

// Filter selects updates.
type Filter struct {
	Image  string // normalised, one of the update's; "" is any
	Status Status // "" is any. An update with a failed target is Failed, also while another is queued
	Limit  int    // of a page; 0 means 50, and more than 200 means 200
	Cursor string // Page.Next of the page before; "" is the first page
	// Show returns what of an update is on the list, and reports whether anything is; nil
	// means everything. A page whose updates are mostly hidden may be short although there
	// is a next one.
	Show func(Update) (Update, bool)
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
	before := int64(math.MaxInt64)
	if f.Cursor != "" {
		var err error
		if before, err = parseCursor(f.Cursor); err != nil {
			return Page{}, err
		}
	}
	limit := min(f.Limit, maxLimit)
	if limit <= 0 {
		limit = defaultLimit
	}
	var p Page
	for examined, size := 0, limit; ; size = maxLimit {
		found, err := q.findBefore(ctx, f, before, size+1) // one more, to find out whether there is a next page
		if err != nil {
			return Page{}, fmt.Errorf("queue: list updates: %w", err)
		}
		n := p.fill(found[:min(size, len(found))], f.Show, limit)
		if n == len(found) {
			return p, nil
		}
		before = found[n-1].seq
		if examined += n; len(p.Updates) == limit || examined >= maxExamined {
			p.Next = cursor(before)
			return p, nil
		}
	}
}

// fill adds what is shown of the updates until there are limit of them, and returns how
// many it has looked at.
func (p *Page) fill(found []updateRow, show func(Update) (Update, bool), limit int) int {
	for i, u := range found {
		shown, ok := u.Update, true
		if show != nil {
			shown, ok = show(u.Update)
		}
		if ok {
			p.Updates = append(p.Updates, shown)
		}
		if len(p.Updates) == limit {
			return i + 1
		}
	}
	return len(found)
}

// statusConditions are, on versions_update AS u, for statuses that the stored one does
// not tell.
var statusConditions = map[Status]string{
	Failed: `(u.status = 'failed' OR u.status = 'queued' AND EXISTS (SELECT 1 FROM versions_task AS f WHERE f.seq = u.seq AND f.status = 'failed'))`,
	Queued: `u.status = 'queued' AND NOT EXISTS (SELECT 1 FROM versions_task AS f WHERE f.seq = u.seq AND f.status = 'failed')`,
}

// findBefore returns up to limit updates that arrived before seq and fit the filter.
func (q *Queue) findBefore(ctx context.Context, f Filter, seq int64, limit int) ([]updateRow, error) {
	args := []any{seq, limit}
	conditions := `u.seq < $1`
	if f.Status != "" {
		condition, ok := statusConditions[f.Status]
		if !ok {
			args = append(args, string(f.Status))
			condition = fmt.Sprintf(`u.status = $%d`, len(args))
		}
		conditions += ` AND ` + condition
	}
	if f.Image == "" {
		return q.find(ctx, `u.seq IN (SELECT u.seq FROM versions_update AS u WHERE `+conditions+` ORDER BY u.seq DESC LIMIT $2)`, args...)
	}
	args = append(args, f.Image)
	image := fmt.Sprintf(`$%d`, len(args))
	return q.find(ctx, `u.seq IN (SELECT seq FROM (
			SELECT seq FROM (
				SELECT u.seq FROM versions_update AS u WHERE u.image = `+image+` AND `+conditions+` ORDER BY u.seq DESC LIMIT $2) AS own
			UNION SELECT seq FROM (
				SELECT DISTINCT u.seq FROM versions_task AS t JOIN versions_update AS u ON u.seq = t.seq
				WHERE t.image = `+image+` AND t.beside = 1 AND `+conditions+` ORDER BY u.seq DESC LIMIT $2) AS beside
		) AS all_of_it ORDER BY seq DESC LIMIT $2)`, args...)
}

// find reads updates with their tasks, the latest first. It is one statement, so that the
// result is consistent.
func (q *Queue) find(ctx context.Context, condition string, args ...any) ([]updateRow, error) {
	var found []updateRow
	s := findStatement(&found, condition, args...)
	err := each(ctx, q.store.read(), s.row, s.text, s.args...)
	return found, err
}

// findStatement is the statement of find.
func findStatement(found *[]updateRow, condition string, args ...any) statement {
	return statement{
		text: `SELECT ` + updateColumns + `, ` + taskColumns + `
			FROM versions_update AS u LEFT JOIN versions_task AS t ON t.seq = u.seq
			WHERE ` + condition + ` ORDER BY u.seq DESC, t.n`,
		args: args,
		row: func(scan func(...any) error) error {
			var (
				u updateRow
				t taskRow
			)
			if err := scan(append(u.dest(), t.dest()...)...); err != nil {
				return err
			}
			if len(*found) == 0 || (*found)[len(*found)-1].seq != u.seq {
				u.Update = u.value()
				*found = append(*found, u)
			}
			if t.n >= 0 {
				last := &(*found)[len(*found)-1]
				last.Tasks = append(last.Tasks, t.value())
			}
			return nil
		},
	}
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
