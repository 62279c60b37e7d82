package queue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// HurryRescue has the jobs of a replica that died taken over after seconds
// instead of minutes.
func HurryRescue(o *Options) {
	o.ApplyTimeout = time.Second
	o.times = times{run: 2 * time.Second, rescue: 3 * time.Second, beat: beatEvery, silence: silence}
}

// HurryHeartbeat has replicas that died noticed after two seconds.
func HurryHeartbeat(o *Options) {
	o.times = times{run: runMinimum, rescue: runMinimum + rescueMargin, beat: 50 * time.Millisecond, silence: 2 * time.Second}
}

// Sweep does at once what the sweeper does each minute.
func (q *Queue) Sweep(ctx context.Context) error { return q.sweep(ctx) }

// FreeLost does at once what is done every few seconds.
func (q *Queue) FreeLost(ctx context.Context) error { return q.freeLost(ctx) }

// ClientID is how River names this process in its jobs.
func (q *Queue) ClientID() string { return q.store.(*postgresStore).client.ID() }

// Wake wakes the branches that have something due.
func (q *Queue) Wake(ctx context.Context) error { return q.sweepBranches(ctx, 0) }

// Exec runs a statement in a transaction of the store.
func (q *Queue) Exec(ctx context.Context, statement string, args ...any) error {
	return q.store.write(ctx, func(ctx context.Context, t tx) error {
		_, err := t.exec(ctx, statement, args...)
		return err
	})
}

// Count is the single figure that a query gives.
func (q *Queue) Count(ctx context.Context, statement string, args ...any) (n int64, err error) {
	_, err = one(ctx, q.store.read(), []any{&n}, statement, args...)
	return n, err
}

// FillDisk lets the file of SQLite grow by no more than some pages; a negative
// number makes room again.
func (q *Queue) FillDisk(ctx context.Context, pages int) error {
	most := 1 << 30
	if pages >= 0 {
		var now int
		if err := q.store.(*sqliteStore).writer.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&now); err != nil {
			return err
		}
		most = now + pages
	}
	return q.setPragma(ctx, "max_page_count", strconv.Itoa(most))
}

// ReadOnly makes every write fail as on a file system that was mounted read-only.
func (q *Queue) ReadOnly(ctx context.Context, on bool) error {
	return q.setPragma(ctx, "query_only", strconv.FormatBool(on))
}

// pragmas are those that setPragma has set.
var pragmas = newPragmaSet()

// pragmaSet holds names and values by the file that they are for.
type pragmaSet struct {
	mu sync.Mutex
	of map[string]map[string]string
}

func newPragmaSet() *pragmaSet {
	p := &pragmaSet{of: make(map[string]map[string]string)}
	sqlite.RegisterConnectionHook(p.apply)
	return p
}

func (p *pragmaSet) add(path, name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[path] == nil {
		p.of[path] = make(map[string]string)
	}
	p.of[path][name] = value
}

// apply is called for each new connection.
func (p *pragmaSet) apply(conn sqlite.ExecQuerierContext, dsn string) error {
	file, err := url.Parse(dsn)
	if err != nil || file.Query().Get("_txlock") == "" { // it only reads
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, value := range p.of[file.Path] {
		if _, err := conn.ExecContext(context.Background(), fmt.Sprintf(`PRAGMA %s = %s`, name, value), nil); err != nil {
			return err
		}
	}
	return nil
}

// setPragma sets it on the connection that writes and on those that come after it:
// River gives up a connection whose transaction was cancelled before it began.
func (q *Queue) setPragma(ctx context.Context, name, value string) error {
	s := q.store.(*sqliteStore)
	pragmas.add(s.path, name, value)
	_, err := s.writer.ExecContext(ctx, fmt.Sprintf(`PRAGMA %s = %s`, name, value))
	return err
}

// GiveUpConnection closes SQLite's connection that writes.
func (q *Queue) GiveUpConnection(ctx context.Context) error {
	c, err := q.store.(*sqliteStore).writer.Conn(ctx)
	if err != nil {
		return err
	}
	if err := c.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("it is not given up: %w", err)
	}
	return nil
}

// Pragma is a setting of SQLite's connection that writes.
func (q *Queue) Pragma(ctx context.Context, name string) (value string, err error) {
	err = q.store.(*sqliteStore).writer.QueryRowContext(ctx, `PRAGMA `+name).Scan(&value)
	return value, err
}

// Writing runs f while a transaction that has written is open.
func (q *Queue) Writing(ctx context.Context, f func()) error {
	return q.store.write(ctx, func(ctx context.Context, t tx) error {
		_, err := t.exec(ctx, `DELETE FROM versions_key`)
		f()
		return err
	})
}

// Draining counts the branches that a job of this process is at.
func (q *Queue) Draining() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.draining)
}

// Setting is a setting of the sessions on PostgreSQL.
func (q *Queue) Setting(ctx context.Context, name string) (value string, err error) {
	_, err = one(ctx, q.store.read(), []any{&value}, `SELECT current_setting($1)`, name)
	return value, err
}

// Locked runs f while a transaction holds the lock of a branch.
func (q *Queue) Locked(ctx context.Context, branch string, f func()) error {
	return q.store.write(ctx, func(ctx context.Context, t tx) error {
		if err := t.lock(ctx, []string{branchLock(branch)}); err != nil {
			return err
		}
		f()
		return nil
	})
}

// Plan is how the store finds the updates that List returns for a filter.
func (q *Queue) Plan(ctx context.Context, f Filter) (plan []string, err error) {
	query, args := f.candidates()
	return q.Explain(ctx, query, append([]any{int64(math.MaxInt64), defaultLimit}, args...)...)
}

// Explain is how the store runs a query.
func (q *Queue) Explain(ctx context.Context, query string, args ...any) (plan []string, err error) {
	if q.store.shared() {
		err = each(ctx, q.store.read(), func(scan func(...any) error) error {
			var line string
			err := scan(&line)
			plan = append(plan, line)
			return err
		}, `EXPLAIN `+query, args...)
		return plan, err
	}
	err = each(ctx, q.store.read(), func(scan func(...any) error) error {
		var id, parent, unused int
		var line string
		err := scan(&id, &parent, &unused, &line)
		plan = append(plan, line)
		return err
	}, `EXPLAIN QUERY PLAN `+query, args...)
	return plan, err
}

// FailedCount is the query for Stats.Failed, and WaitingCount the one for the rest.
const (
	FailedCount  = countFailed
	WaitingCount = countWaiting
)
