package queue

import "context"

// position is where a task stands among those of its target and image: by the
// push, then by arrival. Those of one scope replace each other, and one of the
// scope "", which is everything, also older ones of every other scope.
type position struct {
	target, image, scope string
	pushed, seq          int64
}

// enter says whether a task at p comes too late, because a newer one waits, was
// committed or found nothing to do. If not, those that wait and are older than it
// are superseded. One that is being applied goes on; if it comes back, it is
// superseded then.
func (c *change) enter(ctx context.Context, p position) (late bool, err error) {
	var newer, older int64
	if _, err := one(ctx, c, []any{&newer, &older}, `
		SELECT CASE WHEN EXISTS (
			SELECT 1 FROM versions_task
			WHERE target = $1 AND image = $2 AND scope IN ($3, '') AND status IN ('queued', 'committed', 'unchanged')
				AND (pushed_at, seq) > ($4, $5)
		) THEN 1 ELSE 0 END, CASE WHEN EXISTS (
			SELECT 1 FROM versions_task
			WHERE target = $1 AND image = $2 AND $3 IN (scope, '') AND status = 'queued' AND claim = ''
				AND (pushed_at, seq) < ($4, $5)
		) THEN 1 ELSE 0 END`, p.target, p.image, p.scope, p.pushed, p.seq); err != nil {
		return false, err
	}
	if newer == 0 && older > 0 {
		return false, c.displace(ctx, p)
	}
	return newer > 0, nil
}

// displace supersedes the tasks that wait and are older than the one at p.
func (c *change) displace(ctx context.Context, p position) error {
	return each(ctx, c, func(scan func(...any) error) error {
		var seq int64
		if err := scan(&seq); err != nil {
			return err
		}
		c.waiting--
		c.touch(seq, Event{Kind: TaskEnded, Status: Superseded, Target: p.target})
		return nil
	}, `
		UPDATE versions_task SET status = 'superseded', finished_at = $6
		WHERE target = $1 AND image = $2 AND $3 IN (scope, '') AND status = 'queued' AND claim = ''
			AND (pushed_at, seq) < ($4, $5)
		RETURNING seq`, p.target, p.image, p.scope, p.pushed, p.seq, micros(c.now))
}

// prune supersedes all tasks of a branch that wait although a newer one is known.
// Nothing of the branch is being applied.
func (c *change) prune(ctx context.Context, branch string) error {
	return each(ctx, c, func(scan func(...any) error) error {
		var (
			seq    int64
			target string
		)
		if err := scan(&seq, &target); err != nil {
			return err
		}
		c.touch(seq, Event{Kind: TaskEnded, Status: Superseded, Target: target})
		return nil
	}, `
		UPDATE versions_task SET status = 'superseded', finished_at = $2, claim = ''
		WHERE branch = $1 AND status = 'queued' AND EXISTS (
			SELECT 1 FROM versions_task AS newer
			WHERE newer.target = versions_task.target AND newer.image = versions_task.image
				AND newer.scope IN (versions_task.scope, '') AND newer.status IN ('queued', 'committed', 'unchanged')
				AND (newer.pushed_at, newer.seq) > (versions_task.pushed_at, versions_task.seq))
		RETURNING seq, target`, branch, micros(c.now))
}
