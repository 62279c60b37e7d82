package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
)

// storeTimeout bounds one transaction, and the wait for a connection before it.
const storeTimeout = racetime.Slower * 10 * time.Second

// rows are a query's result; Close may be called twice.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// querier runs statements with $1, $2… as parameters, in the SQL that SQLite and
// PostgreSQL have in common.
type querier interface {
	exec(ctx context.Context, statement string, args ...any) (affected int64, err error)
	query(ctx context.Context, statement string, args ...any) (rows, error)
	// all runs statements in their order, on the way to PostgreSQL all at once. The
	// error of one of them is a *statementError.
	all(ctx context.Context, statements []statement) error
	// elements is a table for a FROM clause: its column value has the elements of the JSON
	// array that is the n-th parameter. Those of an element are value->>0, value->>1….
	elements(n int) string
}

// integers is a query for the integers of the JSON array that is the n-th parameter.
func integers(q querier, n int) string {
	return `SELECT CAST(CAST(value AS text) AS bigint) FROM ` + q.elements(n)
}

// jsonOf is a parameter for elements.
func jsonOf(values any) string {
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // numbers and texts can be written
	}
	return string(text)
}

// statement is one of several statements that are independent of each other's results.
type statement struct {
	text string
	args []any
	// row is called for each row that it gives. When it is nil, done is called with
	// the number of rows that it changed, unless that is nil too.
	row  func(scan func(...any) error) error
	done func(affected int64)
}

// statementError is the error of one of several statements.
type statementError struct {
	at  int
	err error
}

func (e *statementError) Error() string { return e.err.Error() }
func (e *statementError) Unwrap() error { return e.err }

// tx is a transaction that writes.
type tx interface {
	querier
	jobs
	// lock waits for, and then excludes, other transactions that lock one of the keys.
	lock(ctx context.Context, keys []string) error
	// rowLock is the clause at the end of a SELECT that locks its rows against writers.
	rowLock() string
}

// jobs are River's jobs, as part of a transaction.
type jobs interface {
	// insert adds the jobs of branches, to run at a time; zero is now. For those
	// that have a live one nothing is added, and these are returned.
	insert(ctx context.Context, branches []string, at time.Time) (live []*rivertype.JobRow, err error)
	// runNow makes a job that waits for a later time run now.
	runNow(ctx context.Context, id int64) error
	// complete ends the job that ctx is the context of.
	complete(ctx context.Context, job *river.Job[drainArgs]) error
}

// store is a database together with River on it.
type store interface {
	// write runs f in a transaction that writes, and commits it unless f fails.
	// f may run more than once. ErrUnknown means that it may or may not be committed.
	write(ctx context.Context, f func(context.Context, tx) error) error
	// writeWithin is write for a transaction that may take longer than storeTimeout.
	writeWithin(ctx context.Context, bound time.Duration, f func(context.Context, tx) error) error
	// refusesValue reports whether an error is about the values of a statement: too long,
	// say, or not of its type.
	refusesValue(err error) bool
	// read is for queries outside of a transaction.
	read() querier

	// shared reports whether other processes may use the store at the same time.
	shared() bool
	// name is that of this process among those that share the store.
	name() string
	// roundTrips is about how long a number of round trips to the store take.
	roundTrips(n int) time.Duration
	// present returns an error when the file that the store opened is gone or replaced.
	present() error
	migrate(ctx context.Context) error
	// open readies River; migrate comes first.
	open(config *river.Config) error
	// takeOver frees what an earlier process left, if the store can tell.
	takeOver(ctx context.Context) error
	// freeLost makes the jobs available again that this process has fetched at least
	// lostAge ago and does not run, and returns their number. running are the claims of
	// its runs.
	freeLost(ctx context.Context, running []string) (int64, error)
	// handBack gives some of the space that deleted rows have left back to the system, and
	// reports whether there is more to give.
	handBack(ctx context.Context) (more bool, err error)
	start(ctx context.Context) error
	// stop ends fetching and waits for jobs; with cancel, after ending their contexts.
	stop(ctx context.Context, cancel bool) error
	close() error
}

// checkRiver refuses River's tables when a newer release wrote them. exists is a
// query that counts the tables of the name river_migration.
func checkRiver[T any](ctx context.Context, q querier, exists string, migrator *rivermigrate.Migrator[T]) error {
	var tables, has, knows int
	if _, err := one(ctx, q, []any{&tables}, exists); err != nil || tables == 0 {
		return err
	}
	if _, err := one(ctx, q, []any{&has}, `SELECT coalesce(max(version), 0) FROM river_migration WHERE line = 'main'`); err != nil {
		return fmt.Errorf("read the version of River's tables: %w", err)
	}
	for _, v := range migrator.AllVersions() {
		knows = max(knows, v.Version)
	}
	if has > knows {
		return fmt.Errorf("the tables of River are of version %d, written by a newer release; this one knows %d", has, knows)
	}
	return nil
}

// engine is River on a driver D with transactions of type T.
type engine[D riverdriver.Driver[T], T any] struct {
	client *river.Client[T]
}

func (e *engine[D, T]) open(driver D, config *river.Config) error {
	client, err := river.NewClient(driver, config)
	if err != nil {
		return fmt.Errorf("queue: set up the workers: %w", err)
	}
	e.client = client
	return nil
}

func (e *engine[D, T]) name() string { return e.client.ID() }

func (e *engine[D, T]) start(ctx context.Context) error { return e.client.Start(ctx) }

func (e *engine[D, T]) stop(ctx context.Context, cancel bool) error {
	if cancel {
		return e.client.StopAndCancel(ctx)
	}
	return e.client.Stop(ctx)
}

// jobsOf are the jobs of an engine in the transaction raw.
type jobsOf[D riverdriver.Driver[T], T any] struct {
	engine *engine[D, T]
	raw    T
}

func (j jobsOf[D, T]) insert(ctx context.Context, branches []string, at time.Time) ([]*rivertype.JobRow, error) {
	if len(branches) == 0 {
		return nil, nil
	}
	jobs := make([]river.InsertManyParams, len(branches))
	for i, branch := range branches {
		jobs[i] = river.InsertManyParams{Args: drainArgs{Branch: branch}, InsertOpts: &river.InsertOpts{ScheduledAt: at}}
	}
	results, err := j.engine.client.InsertManyTx(ctx, j.raw, jobs)
	if err != nil {
		return nil, fmt.Errorf("insert the jobs of %d branches: %w", len(branches), err)
	}
	var live []*rivertype.JobRow
	for _, r := range results {
		if r.UniqueSkippedAsDuplicate {
			live = append(live, r.Job)
		}
	}
	return live, nil
}

func (j jobsOf[D, T]) runNow(ctx context.Context, id int64) error {
	if _, err := j.engine.client.JobRetryTx(ctx, j.raw, id); err != nil {
		return fmt.Errorf("run job %d now: %w", id, err)
	}
	return nil
}

func (j jobsOf[D, T]) complete(ctx context.Context, job *river.Job[drainArgs]) error {
	if _, err := river.JobCompleteTx[D](ctx, j.raw, job); err != nil {
		return fmt.Errorf("complete job %d: %w", job.ID, err)
	}
	return nil
}

// each runs a query and calls f for each of its rows, with what scans it.
func each(ctx context.Context, q querier, f func(scan func(...any) error) error, statement string, args ...any) error {
	found, err := q.query(ctx, statement, args...)
	if err != nil {
		return err
	}
	return forEach(found, f)
}

// forEach calls f for each row, and closes them.
func forEach(found rows, f func(scan func(...any) error) error) error {
	defer found.Close()
	for found.Next() {
		if err := f(found.Scan); err != nil {
			return err
		}
	}
	return found.Err()
}

// one scans the first row of a query into dest, and reports whether there was one.
func one(ctx context.Context, q querier, dest []any, statement string, args ...any) (found bool, err error) {
	err = each(ctx, q, func(scan func(...any) error) error {
		if found {
			return nil
		}
		found = true
		return scan(dest...)
	}, statement, args...)
	return found, err
}

// micros is the stored form of a time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(m int64) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(m).UTC()
}

// openStore opens the store of a URL.
func openStore(ctx context.Context, url string) (store, error) {
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		return openSQLite(ctx, strings.TrimPrefix(strings.TrimPrefix(url, "sqlite:"), "//"))
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return openPostgres(ctx, url)
	}
	return nil, fmt.Errorf("queue: the store's URL begins with neither sqlite: nor postgres://")
}
