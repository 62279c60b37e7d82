package queue

import (
	"context"
	"errors"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// writeDecision stores what was decided.
func (a *admission) writeDecision(ctx context.Context, d *decision) error {
	w := &inserts{}
	for i, e := range a.entries {
		if e.key != nil && a.refused[i] == nil {
			w.add(i, a.keepStatement(*e.key, time.Time{}))
		}
	}
	if len(d.superseded) > 0 {
		w.add(noEntry, a.supersedeStatement(d.superseded))
	}
	stored := make([]int64, len(d.updates))
	for i, u := range d.updates {
		a.finishNew(u)
		for _, s := range a.insertStatements(u, &stored[i]) {
			w.add(u.entry, s)
		}
	}
	if err := w.run(ctx, a); err != nil {
		return err
	}
	for i, u := range d.updates {
		if stored[i] == 0 {
			return &entryError{entry: u.entry, err: ErrExists}
		}
	}
	return a.requeueRetried(ctx, d)
}

// supersedeStatement ends tasks that newer ones replace.
func (a *admission) supersedeStatement(tasks []*waitingTask) statement {
	keys := make([][2]int64, len(tasks))
	for i, t := range tasks {
		keys[i] = [2]int64{t.seq, t.n}
		a.noteTask(t.seq, Event{Kind: TaskEnded, Status: Superseded, Target: t.target})
	}
	return statement{
		text: `
			UPDATE versions_task SET status = 'superseded', finished_at = $2 WHERE status = 'queued' AND (seq, n) IN (
				SELECT CAST(value->>0 AS bigint), CAST(value->>1 AS bigint) FROM ` + a.elements(1) + `)`,
		args: []any{jsonOf(keys), micros(a.now)},
	}
}

// inserts are the statements of an admission, each with the index of its entry.
type inserts struct {
	statements []statement
	entries    []int
}

// noEntry stands for a statement that belongs to no entry.
const noEntry = -1

func (w *inserts) add(entry int, s statement) {
	w.statements = append(w.statements, s)
	w.entries = append(w.entries, entry)
}

// run executes the statements. The error of an entry's statement is an *entryError.
func (w *inserts) run(ctx context.Context, q querier) error {
	err := q.all(ctx, w.statements)
	var failed *statementError
	if errors.As(err, &failed) && w.entries[failed.at] != noEntry {
		return &entryError{entry: w.entries[failed.at], err: failed.err}
	}
	return err
}

// finishNew sets the final status of a new update. A later entry of the admission may
// have superseded its tasks, so the status is known only now.
func (a *admission) finishNew(u *newUpdate) {
	if len(u.tasks) > 0 {
		u.Status = aggregate(u.statuses(), u.AbsentAs)
	}
	u.FinishedAt = time.Time{}
	if !u.Status.Ended() {
		return
	}
	u.FinishedAt = a.now
	a.tell(u.ID, Queued, u.Status, nil)
	if !u.record {
		a.end(u.ID, Event{Kind: UpdateEnded, Status: u.Status, Webhook: u.Webhook})
	}
}

// requeueRetried queues the failed updates that were delivered again.
func (a *admission) requeueRetried(ctx context.Context, d *decision) error {
	for _, at := range d.retried {
		known := a.facts.known[at]
		if err := a.lockTasks(ctx, known.seq); err != nil {
			return err
		}
		again, err := a.requeue(ctx, known.seq)
		if err != nil {
			return err
		}
		if !again {
			continue
		}
		statuses, err := a.updateStatuses(ctx, known.seq)
		if err != nil {
			return err
		}
		accepted := &d.accepted[at.entry][at.update]
		accepted.Disposition, accepted.Status = Retried, statuses[known.seq]
	}
	return nil
}

// insertStatements insert an update and its tasks. stored becomes the number of
// inserted updates: 0 when the ID is taken.
func (a *admission) insertStatements(u *newUpdate, stored *int64) []statement {
	request := u.Request
	if u.Status.Ended() && !needsRequest(u.Status, u.statuses()) {
		request = nil
	}
	bytes := int64(len(request)) + rowBytes
	statements := []statement{{
		text: `
			INSERT INTO versions_update (id, image, version, digest, scope, caller, webhook, delivery_id, request,
				pushed_at, absent_as, status, accepted_at, finished_at, recorded, bytes, trace)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
			ON CONFLICT DO NOTHING`,
		done: func(n int64) { *stored = n },
	}}
	for n, t := range u.tasks {
		beside := t.Image != u.Image
		status := Status("")
		if beside {
			status = u.Status
		}
		bytes += int64(len(t.Result)+len(t.LastError)) + rowBytes
		statements = append(statements, statement{
			// When the ID is taken these conflict as well, and the transaction is rolled back.
			text: `
				INSERT INTO versions_task (seq, n, image, scope, pushed_at, target, branch, status, attempts,
					queued_at, next_at, claim, last_error, result, finished_at, sender, told_at, set_at, hold, retriable, beside, version, digest,
					update_status)
				VALUES ((SELECT seq FROM versions_update WHERE id = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '',
					$12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
				ON CONFLICT DO NOTHING`,
			args: []any{
				u.ID, n, t.Image, u.Scope, t.pos, t.Target, t.Branch, string(t.Status), t.Attempts,
				micros(a.now), micros(t.NextAttempt), safetext.Line(t.LastError, errorLength), t.Result, micros(t.FinishedAt),
				t.position.sender, t.pushed, micros(a.now), t.Hold, flag(t.Retriable), flag(beside),
				t.Version, t.Digest, string(status),
			},
		})
	}
	if u.record {
		statements = append(statements, statement{text: `DELETE FROM versions_underway WHERE id = $1`, args: []any{u.ID}})
	}
	statements[0].args = []any{
		u.ID, u.Image, u.Version, u.Digest, u.Scope, u.Caller, u.Webhook, u.DeliveryID, request,
		micros(u.PushedAt), string(u.AbsentAs), string(u.Status), micros(u.AcceptedAt), micros(u.FinishedAt),
		flag(u.record), bytes, u.Trace,
	}
	if u.Status.Ended() {
		a.kept += bytes
	}
	return statements
}

// flag is the stored form of a bool.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
