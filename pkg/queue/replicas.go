package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// beatEvery is how often a replica tells the others that it lives, and silence how long
	// the others see nothing of it before they take its branches over: within half a minute
	// of its death, and long before River presumes its jobs stuck.
	beatEvery = 3 * time.Second
	silence   = 15 * time.Second
	// replicaRetention is how long a replica that ended is remembered.
	replicaRetention = time.Hour
)

// heartbeat counts up for as long as a replica lives.
type heartbeat struct {
	beats int64
	since time.Time // when this process saw it first
}

// replicas are the others that run jobs, by their names, as this process sees them. A time
// in which the store could not be asked is no silence of theirs.
type replicas map[string]heartbeat

// beatLoop tells the other replicas that this one lives until ended is closed, which is
// when it runs no more jobs, and takes over the branches of those that died.
func (q *Queue) beatLoop(ended <-chan struct{}) {
	if !q.store.shared() {
		return
	}
	tick := time.NewTicker(q.options.times.beat)
	defer tick.Stop()
	others := replicas{}
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if err := q.watch(context.Background(), others); err != nil {
			clear(others)
			if !q.isStopping() {
				q.options.Logger.Error("watching the other replicas failed", slog.Any("error", err))
			}
		}
	}
}

// watch is one beat, and one look at the others.
func (q *Queue) watch(ctx context.Context, others replicas) error {
	running, err := q.beat(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for name := range others {
		if _, ok := running[name]; !ok {
			delete(others, name)
		}
	}
	for name, beats := range running {
		known, ok := others[name]
		if !ok || known.beats != beats {
			others[name] = heartbeat{beats, now}
			continue
		}
		if now.Sub(known.since) < q.options.times.silence {
			continue
		}
		if err := q.takeBranches(ctx, name, beats); err != nil {
			return err
		}
	}
	return nil
}

// beat tells the other replicas that this one lives, and returns the beats of those that
// run jobs. A replica of a release without heartbeats is left to River.
func (q *Queue) beat(ctx context.Context) (running map[string]int64, err error) {
	if !q.store.shared() {
		return nil, nil
	}
	err = q.write(ctx, func(ctx context.Context, c *change) error {
		running = map[string]int64{}
		return c.all(ctx, []statement{{
			text: `
				INSERT INTO versions_replica (name, beats, seen_at) VALUES ($1, 1, $2)
				ON CONFLICT (name) DO UPDATE SET beats = versions_replica.beats + 1, seen_at = excluded.seen_at`,
			args: []any{q.store.name(), micros(time.Now())},
		}, {
			text: `
				SELECT r.name, r.beats FROM versions_replica AS r WHERE r.name <> $1 AND EXISTS (
					SELECT 1 FROM river_job AS j
					WHERE j.kind = $2 AND j.state = 'running' AND j.attempted_by[cardinality(j.attempted_by)] = r.name)`,
			args: []any{q.store.name(), drainArgs{}.Kind()},
			row: func(scan func(...any) error) error {
				var name string
				var beats int64
				err := scan(&name, &beats)
				running[name] = beats
				return err
			},
		}})
	})
	if err != nil {
		return nil, fmt.Errorf("queue: tell the other replicas of this one: %w", err)
	}
	return running, nil
}

// takeBranches ends the jobs that a replica ran when it died, after so many beats, and has
// others do their work. They are new jobs: should it live after all, its runs change
// nothing of them.
func (q *Queue) takeBranches(ctx context.Context, replica string, beats int64) error {
	var branches []string
	if err := each(ctx, q.store.read(), func(scan func(...any) error) error {
		var branch string
		err := scan(&branch)
		branches = append(branches, branch)
		return err
	}, `SELECT args->>'branch' FROM river_job WHERE kind = $1 AND state = 'running' AND attempted_by[cardinality(attempted_by)] = $2`,
		drainArgs{}.Kind(), replica); err != nil {
		return fmt.Errorf("look for the branches of a replica that died: %w", err)
	}
	for _, branch := range branches {
		if err := q.write(ctx, func(ctx context.Context, c *change) error {
			if err := c.lock(ctx, []string{branchLock(branch)}); err != nil {
				return err
			}
			ended, err := c.exec(ctx, `
				UPDATE river_job SET state = 'discarded', finalized_at = now()
				WHERE kind = $1 AND state = 'running' AND attempted_by[cardinality(attempted_by)] = $2 AND args->>'branch' = $3
					AND EXISTS (SELECT 1 FROM versions_replica WHERE name = $2 AND beats = $4)`,
				drainArgs{}.Kind(), replica, branch, beats)
			if ended > 0 {
				c.wakes[branch] = true
			}
			return err
		}); err != nil {
			return fmt.Errorf("take over %s: %w", branch, err)
		}
	}
	q.options.Logger.Warn("a replica died, and others do its work", slog.String("replica", replica), slog.Int("branches", len(branches)))
	return nil
}

// deleteReplicas deletes those that ended.
func (q *Queue) deleteReplicas(ctx context.Context) error {
	if !q.store.shared() {
		return nil
	}
	return q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `DELETE FROM versions_replica WHERE seen_at < $1`, micros(time.Now().Add(-replicaRetention)))
		return err
	})
}
