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

const (
	// maxExamined bounds the updates that one page reads, when Filter.Show hides some.
	maxExamined = 2_000
	// pageBytes bounds what one page reads of the store, unless its first update alone has
	// more.
	pageBytes = 2 << 20
)

// Filter selects updates.
type Filter struct {
	Image  string // normalised, one of the update's; "" is any
	Status Status // "" is any. An update with a failed target is Failed, also while another is queued
	Limit  int    // of a page; 0 means 50, and more than 200 means 200
	Cursor string // Page.Next of the page before; "" is the first page
	// Show returns what of an update is on the list, and reports whether anything is; nil
	// means everything. A page whose updates are mostly hidden, or large, may be short
	// although there is a next one.
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
	budget := int64(pageBytes)
	for examined, size := 0, limit; ; size = maxLimit {
		ids, more, err := q.idsBefore(ctx, f, before, size, &budget)
		if err != nil {
			return Page{}, fmt.Errorf("queue: list updates: %w", err)
		}
		found, err := q.findAll(ctx, ids)
		if err != nil {
			return Page{}, fmt.Errorf("queue: list updates: %w", err)
		}
		if n := p.fill(found, f.Show, limit); n < len(found) {
			before, more = found[n-1].seq, true
		} else if len(ids) > 0 {
			before = ids[len(ids)-1]
		}
		if !more {
			return p, nil
		}
		if examined += len(ids); len(p.Updates) == limit || examined >= maxExamined || budget <= 0 {
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

// listed is what an index is asked for: the updates of a stored status, "" for any, and of
// those, if failed is set, the ones that have a failed task, or that have none.
type listed struct {
	status Status
	failed string // EXISTS or NOT EXISTS
}

// listedAs are the questions for a status of Filter. A stored status does not tell whether a
// task of a queued update has failed.
func listedAs(s Status) []listed {
	switch s {
	case Failed:
		return []listed{{status: Failed}, {status: Queued, failed: `EXISTS`}}
	case Queued:
		return []listed{{status: Queued, failed: `NOT EXISTS`}}
	}
	return []listed{{status: s}}
}

// condition is what is left to be asked of an update whose seq is in a column.
func (l listed) condition(seq string) string {
	if l.failed == "" {
		return ""
	}
	return fmt.Sprintf(` AND %s (SELECT 1 FROM versions_task AS f WHERE f.seq = %s AND f.status = 'failed')`, l.failed, seq)
}

// candidates is a query for the seqs of up to $2 updates before $1 that fit the filter, the
// latest first. Each part of it reads an index in its order and ends early, so that its cost
// does not grow with the history.
func (f Filter) candidates() (query string, args []any) {
	var parts []string
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf(`$%d`, len(args)+2)
	}
	for _, l := range listedAs(f.Status) {
		own, beside := `u.seq < $1`, `t.beside = 1 AND t.seq < $1`
		if f.Image != "" {
			image := arg(f.Image)
			own += ` AND u.image = ` + image
			beside += ` AND t.image = ` + image
		}
		if l.status != "" {
			status := arg(string(l.status))
			own += ` AND u.status = ` + status
			beside += ` AND t.update_status = ` + status
		}
		parts = append(parts, `SELECT u.seq FROM versions_update AS u WHERE `+own+l.condition("u.seq")+` ORDER BY u.seq DESC LIMIT $2`)
		if f.Image != "" {
			parts = append(parts, `SELECT DISTINCT t.seq FROM versions_task AS t WHERE `+beside+l.condition("t.seq")+` ORDER BY t.seq DESC LIMIT $2`)
		}
	}
	if len(parts) == 1 {
		return parts[0], args
	}
	for i, part := range parts {
		parts[i] = fmt.Sprintf(`SELECT seq FROM (%s) AS part_%d`, part, i)
	}
	return `SELECT seq FROM (` + strings.Join(parts, ` UNION `) + `) AS parts ORDER BY seq DESC LIMIT $2`, args
}

// idsBefore returns the seqs of up to limit updates that arrived before seq and fit the
// filter, as far as what is stored of them is within the budget, which it lowers. It reports
// whether there are more.
func (q *Queue) idsBefore(ctx context.Context, f Filter, seq int64, limit int, budget *int64) (ids []int64, more bool, err error) {
	query, args := f.candidates()
	// One more, to find out whether there is a next page.
	args = append([]any{seq, limit + 1}, args...)
	err = each(ctx, q.store.read(), func(scan func(...any) error) error {
		var id, size int64
		if err := scan(&id, &size); err != nil {
			return err
		}
		tooLarge := *budget < size && *budget < pageBytes
		switch {
		case more:
		case len(ids) == limit:
			more = true
		case tooLarge:
			more, *budget = true, 0
		default:
			ids = append(ids, id)
			*budget -= size
		}
		return nil
	}, `SELECT u.seq, CASE WHEN u.bytes > 0 THEN u.bytes ELSE (
			SELECT coalesce(sum(coalesce(length(t.result), 0) + length(t.last_error)), 0) FROM versions_task AS t WHERE t.seq = u.seq) END
		FROM versions_update AS u WHERE u.seq IN (`+query+`) ORDER BY u.seq DESC`, args...)
	return ids, more, err
}

// findAll reads the updates of seqs, the latest first. One that was deleted meanwhile is
// left out.
func (q *Queue) findAll(ctx context.Context, seqs []int64) ([]updateRow, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	return q.find(ctx, `u.seq IN (`+integers(q.store.read(), 1)+`)`, jsonOf(seqs))
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

// The queries of Stats, each of which reads one index alone.
const (
	countFailed  = `SELECT count(*) FROM versions_update WHERE status = 'failed' AND recorded = 0`
	countWaiting = `SELECT count(*), coalesce(min(queued_at), 0) FROM versions_task WHERE status = 'queued'`
)

// Stats returns the current figures.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	var (
		s      Stats
		oldest int64
	)
	err := q.store.read().all(ctx, []statement{
		{text: countWaiting, row: func(scan func(...any) error) error { return scan(&s.Waiting, &oldest) }},
		{text: countFailed, row: func(scan func(...any) error) error { return scan(&s.Failed) }},
	})
	if err != nil {
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
