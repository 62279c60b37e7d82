package queue

import (
	"context"
	"errors"
	"maps"
)

// admission stores the entries of one transaction in three steps: readFacts reads
// what the store has about all of them, decide computes in memory what becomes of
// each, and writeDecision writes the result. A group therefore takes a constant number
// of round trips to PostgreSQL, whatever its size.
type admission struct {
	*change
	entries []*entry
	// refused holds the error of each entry that is left out, by the entry's index.
	refused map[int]error
	facts   facts
}

// admit stores entries in one transaction and returns an outcome for each. An entry
// that is refused, or whose values the store rejects, does not affect the others. An
// error means that the store failed and that no entry was stored.
func (q *Queue) admit(entries []*entry) ([]admitted, error) {
	refused := map[int]error{}
	ctx, cancel := context.WithTimeout(context.Background(), q.acceptTimeout())
	defer cancel()
	for {
		outcomes := make([]admitted, len(entries))
		err := q.write(ctx, func(ctx context.Context, c *change) error {
			a := &admission{change: c, entries: entries, refused: maps.Clone(refused)}
			return a.run(ctx, outcomes)
		})
		var one *entryError
		if !errors.As(err, &one) || !q.concernsOne(one.err) {
			return outcomes, err
		}
		refused[one.entry] = one.err
	}
}

// entryError is an error of the store that concerns one entry.
type entryError struct {
	entry int // index
	err   error
}

func (e *entryError) Error() string { return e.err.Error() }

func (e *entryError) Unwrap() error { return e.err }

// run carries the admission out and fills in outcomes.
func (a *admission) run(ctx context.Context, outcomes []admitted) error {
	if err := a.lock(ctx, locks(a.entries)); err != nil {
		return err
	}
	if err := a.readFacts(ctx); err != nil {
		return err
	}
	d := a.decide()
	if err := a.writeDecision(ctx, d); err != nil {
		return err
	}
	for i := range a.entries {
		outcomes[i] = admitted{accepted: d.accepted[i], err: a.refused[i]}
		if a.refused[i] != nil {
			outcomes[i].accepted = nil
		}
	}
	return nil
}

// eachUpdate calls f for each update of the entries that are not refused.
func (a *admission) eachUpdate(f func(at updateAt, u *Update)) {
	for i, e := range a.entries {
		if a.refused[i] != nil {
			continue
		}
		for n := range e.updates {
			f(updateAt{i, n}, &e.updates[n])
		}
	}
}

// decide computes what becomes of each entry, in the order of arrival. When an entry
// is refused, decide starts again without it, so that it has no effect on the others.
func (a *admission) decide() *decision {
	for {
		m := newModel(a)
		failed := false
		for i, e := range a.entries {
			if a.refused[i] != nil {
				continue
			}
			if err := m.addEntry(i, e); err != nil {
				a.refused[i] = err
				failed = true
				break
			}
		}
		if !failed {
			return m.decision
		}
	}
}

// senderName names the sender whose clock PushedAt comes from.
func senderName(u *Update) string {
	if u.Webhook != "" {
		return "webhook/" + u.Webhook
	}
	return "caller/" + u.Caller
}

// hasRoom reports whether the queued updates are within their bounds for a sender: no
// sender holds more than half of Options.MaxWaiting, and callers of the API together
// hold at most three quarters, because a registry may never repeat a refused webhook.
func (q *Queue) hasRoom(s sender, queued map[sender]int) bool {
	most := q.options.MaxWaiting
	all, callers := 0, 0
	for other, n := range queued {
		all += n
		if other.webhook == "" {
			callers += n
		}
	}
	return all <= most && queued[s] <= most-most/2 && (s.webhook != "" || callers <= most-most/4)
}
