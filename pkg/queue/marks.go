package queue

import (
	"context"
	"errors"
	"fmt"
)

// Mark is a notice that a branch may have moved. There is at most one for each branch.
type Mark struct {
	Branch string
	// Number is later than that of every mark that was set before.
	Number int64
}

// MarkBranches sets the marks of branches, all with one new number.
func (q *Queue) MarkBranches(ctx context.Context, branches []string) error {
	for _, branch := range branches {
		if branch == "" || !plain(branch) {
			return errors.New("queue: a branch has no name, or one that is not UTF-8 or has a zero byte")
		}
	}
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		// Under the lock the numbers become visible in their order, so that Marks misses none.
		if err := c.lock(ctx, []string{"marks"}); err != nil {
			return err
		}
		var last int64
		if _, err := one(ctx, c, []any{&last}, `SELECT coalesce(max(number), 0) FROM versions_mark`); err != nil {
			return err
		}
		marks := make([]statement, len(branches))
		for i, branch := range branches {
			marks[i] = statement{
				text: `INSERT INTO versions_mark (branch, number) VALUES ($1, $2) ON CONFLICT (branch) DO UPDATE SET number = excluded.number`,
				args: []any{branch, last + 1},
			}
		}
		return c.all(ctx, marks)
	})
	if err != nil {
		return fmt.Errorf("queue: mark branches: %w", err)
	}
	return nil
}

// Marks returns the marks with numbers after the given one, in the order of their numbers.
func (q *Queue) Marks(ctx context.Context, after int64) ([]Mark, error) {
	var marks []Mark
	err := each(ctx, q.store.read(), func(scan func(...any) error) error {
		var m Mark
		err := scan(&m.Branch, &m.Number)
		marks = append(marks, m)
		return err
	}, `SELECT branch, number FROM versions_mark WHERE number > $1 ORDER BY number, branch`, after)
	if err != nil {
		return nil, fmt.Errorf("queue: read the marks: %w", err)
	}
	return marks, nil
}
