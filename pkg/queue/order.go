package queue

import "context"

// This file is the store's part of "the newest push wins"; the whole rule is in the
// documentation of pkg/update.

// place is where a task stands among those of its target and image. pos is the
// order of arrival. told is when the image was pushed, as the sender says; 0 when
// it does not.
type place struct {
	target    string
	pos, told int64
	sender    string
}

// replaces reports whether a task at p takes the place of an older one: it arrived
// later, and not with a push that their common sender says is the earlier one.
func (p place) replaces(older place) bool {
	if p.sender == older.sender && p.told > 0 && p.told < older.told {
		return false
	}
	return p.pos > older.pos
}

// newerExists is a condition on versions_task AS t: a task that replaces it waits,
// was committed or found nothing to do. Those of one scope replace each other, and
// one of the scope "", which is everything, also those of every other scope. $1 is
// now: a told time ahead of it comes from a clock that was set back since.
const newerExists = `(EXISTS (
		SELECT 1 FROM versions_task AS newer
		WHERE newer.target = t.target AND newer.image = t.image AND newer.scope IN (t.scope, '')
			AND newer.status IN ('queued', 'committed', 'unchanged')
			AND newer.pushed_at >= t.pushed_at AND (newer.pushed_at > t.pushed_at OR newer.seq > t.seq)
			AND NOT (newer.sender = t.sender AND newer.told_at > 0 AND newer.told_at < t.told_at)
	) OR t.told_at > 0 AND t.told_at < $1 AND EXISTS (
		SELECT 1 FROM versions_task AS newer
		WHERE newer.target = t.target AND newer.image = t.image AND newer.scope IN (t.scope, '')
			AND newer.sender = t.sender AND newer.told_at > t.told_at
			AND newer.status IN ('queued', 'committed', 'unchanged')
	))`

// newestStatement finds the last place in the order of a target and image.
func newestStatement(at imageAt, row func(pos int64)) statement {
	return statement{
		text: `
			SELECT coalesce(max(pushed_at), 0) FROM (
				SELECT max(pushed_at) AS pushed_at FROM versions_task WHERE target = $1 AND image = $2
				UNION ALL SELECT max(pushed_at) FROM versions_underway WHERE target = $1 AND image = $2) AS places`,
		args: []any{at.target, at.image},
		row: func(scan func(...any) error) error {
			var pos int64
			err := scan(&pos)
			row(pos)
			return err
		},
	}
}

// supersedeReplaced ends all tasks of a branch that wait although a newer one is
// known, but for those whose commit may be on the branch: that is looked up first.
// Nothing of the branch is being applied.
func (c *change) supersedeReplaced(ctx context.Context, branch string) error {
	return each(ctx, c, func(scan func(...any) error) error {
		var (
			seq    int64
			target string
		)
		if err := scan(&seq, &target); err != nil {
			return err
		}
		c.tell(seq, Event{Kind: TaskEnded, Status: Superseded, Target: target})
		return nil
	}, `
		UPDATE versions_task AS t SET status = 'superseded', finished_at = $1, claim = ''
		WHERE t.branch = $2 AND t.status = 'queued' AND t.sent_commit = '' AND `+newerExists+`
		RETURNING seq, target`, micros(c.now), branch)
}
