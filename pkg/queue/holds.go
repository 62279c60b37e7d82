package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxHolds bounds the holds, all of which are read for each commit. No maker has more
// than half of them.
const MaxHolds = 1_000

// Hold keeps an image in a target from being moved until it is removed. The queue stores
// holds; whoever carries out updates respects them.
type Hold struct {
	ID     string // chosen by the caller, unique: a UUID
	Image  string // normalised name
	Target string // the target's name
	// Version is what the image is held at; "" for a hold of whatever is there.
	Version string
	Reason  string
	By      string    // the maker's name; "" when there are no callers
	At      time.Time // when it was made; AddHold sets it
	Until   time.Time // zero when it has no end
}

// AddHold stores a hold and returns it. One of the same ID that stands gets its version, and
// stays as it is otherwise.
// AddHold returns ErrTooManyHolds when there is no room for another one of this maker.
func (q *Queue) AddHold(ctx context.Context, h Hold) (Hold, error) {
	if h.ID == "" || !plain(h.ID, h.Image, h.Target, h.Version, h.Reason, h.By) {
		return Hold{}, errors.New("queue: a hold has no id, or a text in it is not UTF-8 or has a zero byte")
	}
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		if err := c.lock(ctx, []string{"holds"}); err != nil {
			return err
		}
		if err := c.deleteHolds(ctx); err != nil {
			return err
		}
		standing, err := readHolds(ctx, c, c.now)
		if err != nil {
			return err
		}
		if known := slices.IndexFunc(standing, func(other Hold) bool { return other.ID == h.ID }); known >= 0 {
			version := h.Version
			h = standing[known]
			h.Version = version
			_, err := c.exec(ctx, `UPDATE versions_hold SET version = $1 WHERE id = $2`, version, h.ID)
			return err
		}
		own := 0
		for _, other := range standing {
			if other.By == h.By {
				own++
			}
		}
		if len(standing) >= MaxHolds || own >= MaxHolds/2 {
			return ErrTooManyHolds
		}
		h.At = fromMicros(micros(c.now))
		h.Until = fromMicros(micros(h.Until))
		_, err = c.exec(ctx, `
			INSERT INTO versions_hold (id, image, target, version, reason, maker, made_at, until_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			h.ID, h.Image, h.Target, h.Version, h.Reason, h.By, micros(h.At), micros(h.Until))
		return err
	})
	if err != nil {
		return Hold{}, fmt.Errorf("queue: store a hold: %w", err)
	}
	return h, nil
}

// Holds returns the holds that stand, the oldest first.
func (q *Queue) Holds(ctx context.Context) ([]Hold, error) {
	holds, err := readHolds(ctx, q.store.read(), q.options.Now())
	if err != nil {
		return nil, fmt.Errorf("queue: read the holds: %w", err)
	}
	return holds, nil
}

// RemoveHold removes a hold. It returns ErrNoHold when none that stands has the ID.
func (q *Queue) RemoveHold(ctx context.Context, id string) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		if err := c.deleteHolds(ctx); err != nil {
			return err
		}
		deleted, err := c.exec(ctx, `DELETE FROM versions_hold WHERE id = $1`, id)
		if err == nil && deleted == 0 {
			return ErrNoHold
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: remove the hold %q: %w", id, err)
	}
	return nil
}

func readHolds(ctx context.Context, q querier, now time.Time) ([]Hold, error) {
	var holds []Hold
	err := each(ctx, q, func(scan func(...any) error) error {
		var (
			h         Hold
			at, until int64
		)
		err := scan(&h.ID, &h.Image, &h.Target, &h.Version, &h.Reason, &h.By, &at, &until)
		h.At, h.Until = fromMicros(at), fromMicros(until)
		holds = append(holds, h)
		return err
	}, `SELECT id, image, target, version, reason, maker, made_at, until_at FROM versions_hold
		WHERE until_at = 0 OR until_at > $1 ORDER BY made_at, id`, micros(now))
	return holds, err
}

// deleteHolds deletes the holds that are over.
func (c *change) deleteHolds(ctx context.Context) error {
	_, err := c.exec(ctx, `DELETE FROM versions_hold WHERE until_at > 0 AND until_at <= $1`, micros(c.now))
	return err
}

// takeBack is the statement that removes the hold that came with a task.
func takeBack(hold string) statement {
	return statement{text: `DELETE FROM versions_hold WHERE id = $1`, args: []any{hold}}
}

// CameToNothing reports whether a task of this status has ended and neither wrote its
// version nor found it there: then a hold that came with it is removed.
func (s Status) CameToNothing() bool {
	return s == Failed || s == Held || s == Superseded || s == Absent
}
