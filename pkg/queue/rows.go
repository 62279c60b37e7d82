package queue

// updateColumns are what an updateRow holds, of versions_update AS u.
const updateColumns = `u.seq, u.id, u.image, u.version, u.digest, u.scope, u.caller, u.webhook, u.delivery_id,
	u.request, u.pushed_at, u.absent_as, u.status, u.accepted_at, u.finished_at, u.trace`

// updateRow takes an update out of a query.
type updateRow struct {
	Update
	seq                        int64
	pushed, accepted, finished int64
}

func (r *updateRow) dest() []any {
	return []any{
		&r.seq, &r.ID, &r.Image, &r.Version, &r.Digest, &r.Scope, &r.Caller, &r.Webhook, &r.DeliveryID,
		&r.Request, &r.pushed, &r.AbsentAs, &r.Status, &r.accepted, &r.finished, &r.Trace,
	}
}

func (r *updateRow) value() Update {
	u := r.Update
	u.PushedAt, u.AcceptedAt, u.FinishedAt = fromMicros(r.pushed), fromMicros(r.accepted), fromMicros(r.finished)
	return u
}

// taskColumns are what a taskRow holds, of versions_task AS t. They stand a row
// that an outer join found no task for.
const taskColumns = `coalesce(t.n, -1), coalesce(t.target, ''), coalesce(t.branch, ''), coalesce(t.status, ''),
	coalesce(t.attempts, 0), coalesce(t.next_at, 0), coalesce(t.last_error, ''), t.result, coalesce(t.finished_at, 0), coalesce(t.hold, ''),
	coalesce(t.retriable, 0), coalesce(t.image, ''),
	coalesce(t.version, ''), coalesce(t.digest, '')`

// taskRow takes a task out of a query; n is negative when there was none.
type taskRow struct {
	Task
	n              int64
	next, finished int64
	retriable      int64
}

func (r *taskRow) dest() []any {
	return []any{
		&r.n, &r.Target, &r.Branch, &r.Status,
		&r.Attempts, &r.next, &r.LastError, &r.Result, &r.finished, &r.Hold, &r.retriable, &r.Image, &r.Version, &r.Digest,
	}
}

func (r *taskRow) value() Task {
	t := r.Task
	t.NextAttempt, t.FinishedAt, t.Retriable = fromMicros(r.next), fromMicros(r.finished), r.retriable > 0
	return t
}
