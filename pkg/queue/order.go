package queue

import "context"

// This file is the store's part of "the newest push wins"; the whole rule is in the
// documentation of pkg/update.

// position is where a task stands in the order of its target and image.
type position struct {
	target string
	pos    int64  // the order of arrival
	pushed int64  // when the image was pushed, as the sender reports; 0 when it does not
	sender string // see senderName
}

// replaces reports whether a task at p supersedes an older one: it arrived later, and
// their common sender, if they have one, does not report an earlier push.
func (p position) replaces(older position) bool {
	if p.sender == older.sender && p.pushed > 0 && p.pushed < older.pushed {
		return false
	}
	return p.pos > older.pos
}

// newerExists is a condition on versions_task AS t: a task that replaces t is committed, proposed,
// unchanged and not Retriable or, unless t came with a hold, queued. A task replaces those of its own scope; one of the scope "",
// which is everything, replaces those of every scope. $1 is now: a told_at after it was
// set by a clock that has been put back since.
const newerExists = `(EXISTS (
		SELECT 1 FROM versions_task AS newer
		WHERE newer.target = t.target AND newer.image = t.image AND newer.scope IN (t.scope, '')
			AND (newer.status IN ('committed', 'proposed', 'unchanged') AND newer.retriable = 0 OR newer.status = 'queued' AND t.hold = '')
			AND newer.pushed_at >= t.pushed_at AND (newer.pushed_at > t.pushed_at OR newer.seq > t.seq)
			AND NOT (newer.sender = t.sender AND newer.told_at > 0 AND newer.told_at < t.told_at)
	) OR t.told_at > 0 AND t.told_at < $1 AND EXISTS (
		SELECT 1 FROM versions_task AS newer
		WHERE newer.target = t.target AND newer.image = t.image AND newer.scope IN (t.scope, '')
			AND newer.sender = t.sender AND newer.told_at > t.told_at
			AND (newer.status IN ('committed', 'proposed', 'unchanged') AND newer.retriable = 0 OR newer.status = 'queued' AND t.hold = '')
	))`

// newestStatement finds the last position of each of some targets and images.
func newestStatement(q querier, places []imageAt, row func(at imageAt, pos int64)) statement {
	return statement{
		text: `
			SELECT value->>0, value->>1,
				coalesce((SELECT max(pushed_at) FROM versions_task WHERE target = value->>0 AND image = value->>1), 0),
				coalesce((SELECT max(pushed_at) FROM versions_underway WHERE target = value->>0 AND image = value->>1), 0)
			FROM ` + q.elements(1),
		args: []any{asPlaces(places)},
		row: func(scan func(...any) error) error {
			var at imageAt
			var stored, underway int64
			err := scan(&at.target, &at.image, &stored, &underway)
			row(at, max(stored, underway))
			return err
		},
	}
}

// supersedeReplaced ends the queued tasks of a branch that a newer task replaces,
// except those whose announced commit may be on the branch: Apply looks that up first.
// The caller ensures that no task of the branch is being applied.
func (c *change) supersedeReplaced(ctx context.Context, branch string) error {
	return each(ctx, c, func(scan func(...any) error) error {
		var (
			seq    int64
			target string
		)
		if err := scan(&seq, &target); err != nil {
			return err
		}
		c.noteTask(seq, Event{Kind: TaskEnded, Status: Superseded, Target: target})
		return nil
	}, `
		UPDATE versions_task AS t SET status = 'superseded', finished_at = $1, claim = ''
		WHERE t.branch = $2 AND t.status = 'queued' AND t.sent_commit = '' AND `+newerExists+`
		RETURNING seq, target`, micros(c.now), branch)
}
