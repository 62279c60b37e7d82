package queue

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

const (
	// MaxNotices bounds the notices that wait for one endpoint. Further ones are dropped.
	MaxNotices = 10_000
	// MaxNotice bounds a notice's body in bytes.
	MaxNotice = 64 << 10
	// NoticeLife is how long a notice may wait to be delivered.
	NoticeLife = 24 * time.Hour
	// noticeLease is how long a notice that DueNotices returned is left to its caller.
	noticeLease = 2 * time.Minute
	// noticeSlack is how much longer a notice stays for which nobody asks any more: its
	// endpoint is gone.
	noticeSlack = time.Hour
)

// Notice is a message that tells an endpoint how an update ended.
type Notice struct {
	Endpoint string // the endpoint's name
	// ID is unique for each endpoint and end, and the same at every attempt. The queue
	// makes it.
	ID       string
	Body     []byte
	MadeAt   time.Time
	Attempts int // that failed
}

// Notices makes the notices of updates. Its methods are called within transactions, so
// they must be quick; they may be called more than once for one end. They are safe for
// concurrent use.
type Notices interface {
	// Wanted reports whether somebody is told of updates that end so.
	Wanted(Status) bool
	// Of returns the notices of an update that ended, each with an endpoint and a body.
	Of(Update) []Notice
}

// tell notes an update so that its notices are stored, if it ended, in another way than
// before or on another target. events are those of its tasks.
func (c *change) tell(id string, before, now Status, events []Event) {
	n := c.q.options.Notices
	if n == nil || !now.Ended() || !n.Wanted(now) {
		return
	}
	if now != before || slices.ContainsFunc(events, func(e Event) bool { return e.Kind == TaskEnded }) {
		c.told = append(c.told, id)
	}
}

// storeNotices stores the notices of the updates that ended in the transaction.
func (c *change) storeNotices(ctx context.Context) error {
	if len(c.told) == 0 {
		return nil
	}
	var found []updateRow
	reads := make([]statement, len(c.told))
	for i, id := range c.told {
		reads[i] = findStatement(&found, `u.id = $1`, id)
	}
	if err := c.all(ctx, reads); err != nil {
		return fmt.Errorf("read the updates that ended: %w", err)
	}
	var writes []statement
	for _, u := range found {
		for _, n := range c.noticesOf(u.Update) {
			writes = append(writes, c.noticeStatement(n))
		}
	}
	if err := c.all(ctx, writes); err != nil {
		return fmt.Errorf("store the notices: %w", err)
	}
	return nil
}

// noticesOf returns the notices of an update. Whatever becomes of them, the update has
// ended and is stored.
func (c *change) noticesOf(u Update) (notices []Notice) {
	defer func() {
		if p := recover(); p != nil {
			c.q.options.Logger.Error("making a notice panicked", slog.String("update", u.ID), slog.Any("panic", p))
			notices = nil
		}
	}()
	id := fmt.Sprintf("msg_%s_%d", strings.ReplaceAll(u.ID, ".", "_"), micros(c.now))
	for _, n := range c.q.options.Notices.Of(u) {
		if n.Endpoint == "" || !plain(n.Endpoint) || len(n.Body) > MaxNotice {
			c.events = append(c.events, Event{Kind: NoticeDropped, Endpoint: n.Endpoint})
			continue
		}
		n.ID, n.MadeAt = id, c.now
		notices = append(notices, n)
	}
	return notices
}

func (c *change) noticeStatement(n Notice) statement {
	return statement{
		text: `
			INSERT INTO versions_notice (endpoint, id, body, made_at, next_at, attempts)
			SELECT $1, $2, $3, $4, $4, 0 WHERE (SELECT count(*) FROM versions_notice WHERE endpoint = $1) < $5
			ON CONFLICT (endpoint, id) DO NOTHING`,
		args: []any{n.Endpoint, n.ID, n.Body, micros(n.MadeAt), MaxNotices},
		done: func(affected int64) {
			kind := NoticeStored
			if affected == 0 {
				kind = NoticeDropped
			}
			c.events = append(c.events, Event{Kind: kind, Endpoint: n.Endpoint})
		},
	}
}

// DueNotices returns up to limit notices of an endpoint whose turn it is, the oldest
// first, and leaves them to the caller for two minutes: no other process gets them
// meanwhile, and after that anybody, unless EndNotice or RetryNotice was called.
func (q *Queue) DueNotices(ctx context.Context, endpoint string, limit int) ([]Notice, error) {
	now := q.options.Now()
	var due int
	if _, err := one(ctx, q.store.read(), []any{&due}, `
		SELECT count(*) FROM versions_notice WHERE endpoint = $1 AND (next_at <= $2 OR next_at > $3)`,
		endpoint, micros(now), micros(now.Add(NoticeLife))); err != nil {
		return nil, fmt.Errorf("queue: look for notices: %w", err)
	}
	if due == 0 { // the usual case, without a transaction
		return nil, nil
	}
	var found []Notice
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		found = nil
		return each(ctx, c, func(scan func(...any) error) error {
			n := Notice{Endpoint: endpoint}
			var made int64
			err := scan(&n.ID, &n.Body, &made, &n.Attempts)
			n.MadeAt = fromMicros(made)
			found = append(found, n)
			return err
		}, `
			UPDATE versions_notice SET next_at = $1 WHERE endpoint = $2 AND id IN (
				SELECT id FROM versions_notice WHERE endpoint = $2 AND (next_at <= $3 OR next_at > $4) ORDER BY made_at, id LIMIT $5)
			AND (next_at <= $3 OR next_at > $4)
			RETURNING id, body, made_at, attempts`,
			micros(c.now.Add(noticeLease)), endpoint, micros(c.now), micros(c.now.Add(NoticeLife)), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("queue: take due notices: %w", err)
	}
	slices.SortFunc(found, func(a, b Notice) int { return cmp.Or(a.MadeAt.Compare(b.MadeAt), cmp.Compare(a.ID, b.ID)) })
	return found, nil
}

// EndNotice removes a notice that was delivered or given up.
func (q *Queue) EndNotice(ctx context.Context, n Notice) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `DELETE FROM versions_notice WHERE endpoint = $1 AND id = $2`, n.Endpoint, n.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: end a notice: %w", err)
	}
	return nil
}

// RetryNotice has a notice tried again after a time, with the attempts that it has.
func (q *Queue) RetryNotice(ctx context.Context, n Notice, after time.Duration) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `UPDATE versions_notice SET next_at = $1, attempts = $2 WHERE endpoint = $3 AND id = $4`,
			micros(c.now.Add(min(after, NoticeLife))), n.Attempts, n.Endpoint, n.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: postpone a notice: %w", err)
	}
	return nil
}

// WaitingNotices returns the number of notices that are not delivered yet, by endpoint.
func (q *Queue) WaitingNotices(ctx context.Context) (map[string]int, error) {
	waiting := map[string]int{}
	err := each(ctx, q.store.read(), func(scan func(...any) error) error {
		var endpoint string
		var n int
		err := scan(&endpoint, &n)
		waiting[endpoint] = n
		return err
	}, `SELECT endpoint, count(*) FROM versions_notice GROUP BY endpoint`)
	if err != nil {
		return nil, fmt.Errorf("queue: count the notices: %w", err)
	}
	return waiting, nil
}

// deleteNotices deletes the notices that were made before a time.
func (q *Queue) deleteNotices(ctx context.Context, before time.Time) error {
	var old int
	if _, err := one(ctx, q.store.read(), []any{&old}, `SELECT count(*) FROM versions_notice WHERE made_at < $1`, micros(before)); err != nil || old == 0 {
		return err
	}
	return q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `DELETE FROM versions_notice WHERE made_at < $1`, micros(before))
		return err
	})
}
