package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
)

const (
	// enterTimeout bounds how long a synchronous request waits for its position in the
	// order.
	enterTimeout = racetime.Slower * 2 * time.Second
	// sentFor is how long a commit may be on its way to the branch. It exceeds the time
	// for which the update of a ref is followed.
	sentFor = time.Minute
	// announcePatience is how long Announce waits for a newer request's end, and
	// announcePoll how often it looks.
	announcePatience = 5 * time.Second
	announcePoll     = 200 * time.Millisecond
	// underwayRetention is how long the positions of a process that died are kept.
	underwayRetention = time.Hour
)

// errNotOurs is Announce's error for a run whose tasks another run has claimed.
var errNotOurs = errors.New("queue: another run has taken the task")

// underway holds the synchronous requests of this process, which are carried out while
// their callers wait.
type underway struct {
	owner string // this process, among those that share the store

	mu sync.Mutex
	of map[string][]enteredTask // by the update's ID
}

type enteredTask struct {
	imageAt
	pos int64
}

func newUnderway() *underway { return &underway{owner: rand.Text(), of: map[string][]enteredTask{}} }

// Enter gives a synchronous update its position in the order before it is carried out,
// and returns the position as a time: later than everything accepted before, and earlier
// than everything accepted afterwards. The caller ends with Leave, or with Record of the
// same ID. After an error, for an invalid update or an unavailable store, it has no
// position.
func (q *Queue) Enter(ctx context.Context, u Update) (time.Time, error) {
	if err := u.check(); err != nil {
		return time.Time{}, fmt.Errorf("queue: update %q: %w", u.ID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, enterTimeout+q.store.roundTrips(roundTripsOfEntry))
	defer cancel()
	places := make([]imageAt, len(u.Tasks))
	wanted := make(map[imageAt]bool, len(u.Tasks))
	for i, t := range u.Tasks {
		places[i] = imageAt{t.Target, u.imageOf(&t)}
		wanted[places[i]] = true
	}
	pos, err := q.enterStored(ctx, u, places)
	if err != nil {
		return time.Time{}, fmt.Errorf("queue: give update %q its position: %w", u.ID, err)
	}
	q.underway.mu.Lock()
	defer q.underway.mu.Unlock()
	for _, others := range q.underway.of {
		for _, other := range others {
			if wanted[other.imageAt] {
				pos = max(pos, other.pos+1)
			}
		}
	}
	tasks := make([]enteredTask, len(places))
	for i, at := range places {
		tasks[i] = enteredTask{at, pos}
	}
	q.underway.of[u.ID] = tasks
	return fromMicros(pos), nil
}

// enterStored finds the position, which is after all others of each target and image, and
// stores it when other processes share the store.
func (q *Queue) enterStored(ctx context.Context, u Update, places []imageAt) (int64, error) {
	now := micros(q.options.Now())
	pos := now
	newest := []statement{newestStatement(q.store.read(), places, func(_ imageAt, last int64) { pos = max(pos, last+1) })}
	if !q.store.shared() {
		return pos, q.store.read().all(ctx, newest)
	}
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		pos = now
		if err := c.all(ctx, newest); err != nil {
			return err
		}
		_, err := c.exec(ctx, `
			INSERT INTO versions_underway (id, target, image, scope, pushed_at, owner, entered_at, announced_at)
			SELECT CAST($2 AS text), value->>0, value->>1, CAST($3 AS text), CAST($4 AS bigint), CAST($5 AS text), CAST($6 AS bigint), 0
			FROM `+c.elements(1)+` WHERE true ON CONFLICT DO NOTHING`,
			asPlaces(places), u.ID, u.Scope, pos, q.underway.owner, micros(c.now))
		return err
	})
	return pos, err
}

// Leave gives up the position that Enter gave an update. It does nothing after Record of
// the update.
func (q *Queue) Leave(ctx context.Context, id string) error {
	if !q.underway.remove(id) || !q.store.shared() {
		return nil
	}
	err := q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `DELETE FROM versions_underway WHERE id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("queue: give up the position of update %q: %w", id, err)
	}
	return nil
}

func (w *underway) remove(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.of[id]
	delete(w.of, id)
	return ok
}

func (w *underway) has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.of[id]
	return ok
}

// addTo adds the synchronous requests of this process to the facts of an admission.
func (w *underway) addTo(f *facts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, tasks := range w.of {
		for _, t := range tasks {
			if _, ok := f.newest[t.imageAt]; !ok {
				continue
			}
			f.newest[t.imageAt] = max(f.newest[t.imageAt], t.pos)
			if f.entered[id] == nil {
				f.entered[id] = map[string]int64{}
			}
			f.entered[id][t.target] = t.pos
		}
	}
}

// Announce records a commit that is about to be sent to a target's branch, with the IDs
// of the updates that it carries out, so that it can be found again after a crash. It
// returns, by the ID of their update, the images that a newer update has replaced, and
// reports whether a newer one is on its way to the branch in another process and has not
// ended within five seconds. In both cases the commit must not be sent. Of an ID that is
// neither being applied nor entered nothing counts as replaced.
func (q *Queue) Announce(ctx context.Context, target, commit string, ids []string) (replaced map[string][]string, undecided bool, err error) {
	if !q.store.shared() {
		ids = slices.DeleteFunc(slices.Clone(ids), q.underway.has) // the process itself keeps their order
	}
	if len(ids) == 0 {
		return nil, false, nil
	}
	deadline := time.NewTimer(announcePatience)
	defer deadline.Stop()
	for {
		replaced, undecided, err := q.announce(ctx, target, commit, ids)
		if err != nil || !undecided {
			return replaced, undecided, err
		}
		select {
		case <-time.After(announcePoll):
		case <-deadline.C:
			return nil, true, nil
		case <-ctx.Done():
			return nil, true, nil
		}
	}
}

func (q *Queue) announce(ctx context.Context, target, commit string, ids []string) (replaced map[string][]string, undecided bool, err error) {
	err = q.write(ctx, func(ctx context.Context, c *change) error {
		replaced, undecided = map[string][]string{}, false
		var notOurs bool
		var statements []statement
		for _, id := range ids {
			statements = append(statements,
				statement{
					text: `UPDATE versions_underway SET announced_at = $1 WHERE id = $2 AND target = $3`,
					args: []any{micros(c.now), id, target},
				},
				statement{
					text: `UPDATE versions_task SET sent_commit = $1, sent_at = $2
						WHERE seq = (SELECT seq FROM versions_update WHERE id = $3) AND target = $4 AND status = 'queued' AND claim <> ''`,
					args: []any{commit, micros(c.now), id, target},
				},
				c.standingStatement(id, target, func(branch, claim, image string, newer, onItsWay bool) {
					notOurs = notOurs || claim != q.claimOf(branch)
					undecided = undecided || onItsWay
					if newer {
						replaced[id] = append(replaced[id], image)
					}
				}),
				c.underwayStatement(id, target, func(image string, newer, onItsWay bool) {
					undecided = undecided || onItsWay
					if newer {
						replaced[id] = append(replaced[id], image)
					}
				}))
		}
		if err := c.all(ctx, statements); err != nil {
			return err
		}
		if notOurs {
			return errNotOurs
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("queue: announce a commit: %w", err)
	}
	if len(replaced) == 0 {
		return nil, undecided, nil
	}
	return replaced, false, nil
}

// standingStatement finds out whether a newer task replaces one that is being applied.
func (c *change) standingStatement(id, target string, row func(branch, claim, image string, newer, onItsWay bool)) statement {
	return statement{
		text: `
			SELECT t.branch, t.claim, t.image, CASE WHEN EXISTS (
				SELECT 1 FROM versions_task AS n
				WHERE n.target = t.target AND n.image = t.image AND n.scope IN (t.scope, '')
					AND n.status IN ('committed', 'proposed', 'unchanged') AND n.pushed_at > t.pushed_at
			) THEN 1 ELSE 0 END, CASE WHEN EXISTS (
				SELECT 1 FROM versions_underway AS n
				WHERE n.target = t.target AND n.image = t.image AND n.scope IN (t.scope, '')
					AND n.pushed_at > t.pushed_at AND n.announced_at > $1 AND n.owner <> $2
			) THEN 1 ELSE 0 END
			FROM versions_task AS t JOIN versions_update AS u ON u.seq = t.seq
			WHERE u.id = $3 AND t.target = $4 AND t.status = 'queued'`,
		args: []any{micros(c.now.Add(-sentFor)), c.q.underway.owner, id, target},
		row: func(scan func(...any) error) error {
			var (
				branch, claim, image string
				newer, onItsWay      int64
			)
			err := scan(&branch, &claim, &image, &newer, &onItsWay)
			row(branch, claim, image, newer > 0, onItsWay > 0)
			return err
		},
	}
}

// underwayStatement finds out whether a newer task replaces a synchronous request.
func (c *change) underwayStatement(id, target string, row func(image string, newer, onItsWay bool)) statement {
	return statement{
		text: `
			SELECT w.image, CASE WHEN EXISTS (
				SELECT 1 FROM versions_task AS n
				WHERE n.target = w.target AND n.image = w.image AND n.scope IN (w.scope, '')
					AND n.status IN ('committed', 'proposed', 'unchanged') AND n.pushed_at > w.pushed_at
			) THEN 1 ELSE 0 END, CASE WHEN EXISTS (
				SELECT 1 FROM versions_underway AS n
				WHERE n.target = w.target AND n.image = w.image AND n.scope IN (w.scope, '')
					AND n.pushed_at > w.pushed_at AND n.announced_at > $1 AND n.owner <> w.owner
			) OR EXISTS (
				SELECT 1 FROM versions_task AS n
				WHERE n.target = w.target AND n.image = w.image AND n.scope IN (w.scope, '')
					AND n.status = 'queued' AND n.pushed_at > w.pushed_at AND n.sent_at > $1
			) THEN 1 ELSE 0 END
			FROM versions_underway AS w WHERE w.id = $2 AND w.target = $3`,
		args: []any{micros(c.now.Add(-sentFor)), id, target},
		row: func(scan func(...any) error) error {
			var (
				image           string
				newer, onItsWay int64
			)
			err := scan(&image, &newer, &onItsWay)
			row(image, newer > 0, onItsWay > 0)
			return err
		},
	}
}
