package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// maxProposal bounds Proposal.Data, in bytes.
	maxProposal = 1 << 20
	// proposalLease is how long a proposal that DueProposals returned is left to its
	// caller.
	proposalLease = 2 * time.Minute
)

// Proposal is what is remembered of the branch of a pull request. It is a hint: GitHub
// has the truth.
type Proposal struct {
	Target string // the target's name
	Name   string // the branch
	// Data is what the caller remembers. The queue does not read it.
	Data []byte
	// LookAt is when it is looked at next.
	LookAt time.Time
}

// KeepProposal stores a proposal in place of the one of its target and name. One that was
// hinted at meanwhile is looked at now, whatever LookAt says: the caller may have looked
// before what the hint is about.
func (q *Queue) KeepProposal(ctx context.Context, p Proposal) error {
	if p.Target == "" || p.Name == "" || !plain(p.Target, p.Name) || len(p.Data) > maxProposal {
		return errors.New("queue: a proposal has no target or name, or too much data")
	}
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `
			INSERT INTO versions_proposal (target, name, data, look_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (target, name) DO UPDATE SET data = excluded.data,
				look_at = CASE WHEN versions_proposal.look_at <= 0 THEN versions_proposal.look_at ELSE excluded.look_at END`,
			p.Target, p.Name, p.Data, micros(p.LookAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: store a proposal: %w", err)
	}
	return nil
}

// FindProposal returns the proposal of a target and name, and reports whether there is one.
func (q *Queue) FindProposal(ctx context.Context, target, name string) (Proposal, bool, error) {
	p := Proposal{Target: target, Name: name}
	var at int64
	found, err := one(ctx, q.store.read(), []any{&p.Data, &at}, `
		SELECT data, look_at FROM versions_proposal WHERE target = $1 AND name = $2`, target, name)
	if err != nil {
		return Proposal{}, false, fmt.Errorf("queue: read a proposal: %w", err)
	}
	p.LookAt = fromMicros(max(at, -at))
	return p, found, nil
}

// DropProposal deletes the proposal of a target and name, if there is one.
func (q *Queue) DropProposal(ctx context.Context, target, name string) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `DELETE FROM versions_proposal WHERE target = $1 AND name = $2`, target, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: delete a proposal: %w", err)
	}
	return nil
}

// DueProposals returns up to limit proposals that are to be looked at now, those that are
// due the longest, and leaves them to the caller for two minutes: no other process gets
// them meanwhile.
func (q *Queue) DueProposals(ctx context.Context, limit int) ([]Proposal, error) {
	now := q.options.Now()
	var due int
	if _, err := one(ctx, q.store.read(), []any{&due}, `SELECT count(*) FROM versions_proposal WHERE look_at <= $1`, micros(now)); err != nil {
		return nil, fmt.Errorf("queue: look for proposals: %w", err)
	}
	if due == 0 { // the usual case, without a transaction
		return nil, nil
	}
	var found []Proposal
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		found = nil
		return each(ctx, c, func(scan func(...any) error) error {
			var p Proposal
			var at int64
			err := scan(&p.Target, &p.Name, &p.Data, &at)
			p.LookAt = fromMicros(at)
			found = append(found, p)
			return err
		}, `
			UPDATE versions_proposal SET look_at = $1 WHERE (target, name) IN (
				SELECT target, name FROM versions_proposal WHERE look_at <= $2 ORDER BY abs(look_at) LIMIT $3)
			AND look_at <= $2
			RETURNING target, name, data, look_at`, micros(c.now.Add(proposalLease)), micros(c.now), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("queue: take due proposals: %w", err)
	}
	return found, nil
}

// hint keeps the place of what is due already: else hints that go on and on would have
// the same ones looked at for ever. Below zero look_at says both since when a proposal is
// due, and that KeepProposal leaves it so.
const hint = `
	UPDATE versions_proposal SET look_at = CASE WHEN look_at < $1 THEN -look_at ELSE -$1 END
	WHERE look_at > 0 AND target = $2`

// HintProposals has the proposals of targets looked at now, after those that are due
// already. Without names it is all of a target, else those.
func (q *Queue) HintProposals(ctx context.Context, targets []string, names ...string) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		for _, target := range targets {
			if len(names) == 0 {
				if _, err := c.exec(ctx, hint, micros(c.now), target); err != nil {
					return err
				}
			}
			for _, name := range names {
				if _, err := c.exec(ctx, hint+` AND name = $3`, micros(c.now), target, name); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue: hint at proposals: %w", err)
	}
	return nil
}

// EndProposed gives the task of an update for an image on a target the outcome of its pull
// request, when it is Proposed. Any other is left as it is.
func (q *Queue) EndProposed(ctx context.Context, target, id, image string, o Outcome) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		return each(ctx, c, func(scan func(...any) error) error {
			var seq int64
			if err := scan(&seq); err != nil {
				return err
			}
			c.noteTask(seq, Event{Kind: TaskEnded, Status: o.Status, Target: target})
			return nil
		}, `
			UPDATE versions_task SET status = $1, last_error = $2, result = coalesce($3, result), finished_at = $4, retriable = $5
			WHERE seq = (SELECT seq FROM versions_update WHERE id = $6) AND target = $7 AND ($8 = '' OR image = $8) AND status = 'proposed'
			RETURNING seq`,
			string(o.Status), safetext.Line(o.Error, errorLength), o.Result, micros(c.now), flag(o.Retriable), id, target, image)
	})
	if err != nil {
		return fmt.Errorf("queue: end a proposed update: %w", err)
	}
	return nil
}

// NoteProposed replaces the result of the task of an update for an image on a target while
// it is Proposed.
func (q *Queue) NoteProposed(ctx context.Context, target, id, image string, result []byte) error {
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		return each(ctx, c, func(scan func(...any) error) error {
			var seq int64
			err := scan(&seq)
			c.noteTask(seq)
			return err
		}, `
			UPDATE versions_task SET result = $1
			WHERE seq = (SELECT seq FROM versions_update WHERE id = $2) AND target = $3 AND ($4 = '' OR image = $4) AND status = 'proposed'
			RETURNING seq`, result, id, target, image)
	})
	if err != nil {
		return fmt.Errorf("queue: note of a proposed update: %w", err)
	}
	return nil
}

// Replaced returns, of those of the updates that have a task on the target, the images for
// which a newer update has another version committed, proposed or found there. An update of
// which nothing is replaced has no images.
func (q *Queue) Replaced(ctx context.Context, target string, ids []string) (map[string][]string, error) {
	places := make([]imageAt, len(ids))
	for i, id := range ids {
		places[i].target = id
	}
	found := map[string][]string{}
	read := q.store.read()
	err := each(ctx, read, func(scan func(...any) error) error {
		var id, image string
		var replaced int64
		err := scan(&id, &image, &replaced)
		if found[id] = append(found[id], image); replaced == 0 {
			found[id] = found[id][:len(found[id])-1]
		}
		return err
	}, `
		SELECT u.id, t.image, CASE WHEN EXISTS (
			SELECT 1 FROM versions_task AS n JOIN versions_update AS nu ON nu.seq = n.seq
			WHERE n.target = t.target AND n.image = t.image AND n.scope IN (t.scope, '')
				AND n.status IN ('committed', 'proposed', 'unchanged') AND n.retriable = 0 AND n.pushed_at > t.pushed_at
				AND coalesce(nullif(n.version, ''), nu.version) <> coalesce(nullif(t.version, ''), u.version)
		) THEN 1 ELSE 0 END
		FROM `+read.elements(1)+` JOIN versions_update AS u ON u.id = value->>0 JOIN versions_task AS t ON t.seq = u.seq
		WHERE t.target = $2`, asPlaces(places), target)
	if err != nil {
		return nil, fmt.Errorf("queue: look for newer updates: %w", err)
	}
	return found, nil
}
