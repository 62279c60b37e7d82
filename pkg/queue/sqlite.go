package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// sqliteTakeover is how long Open waits for another process to let go of the file.
	sqliteTakeover = 5 * time.Second
	// sqliteReaders bounds the connections that only read.
	sqliteReaders = 4
)

// sqliteStore is one file. Its one writing connection is shared with River,
// because SQLite knows a single writer; see the package's model for the others.
type sqliteStore struct {
	engine[*riversqlite.Driver, *sql.Tx]
	path    string
	owner   *sql.DB // holds the lock file
	hold    *sql.Tx // the lock
	writer  *sql.DB
	readers *sql.DB
	// prepared are the statements of the writer's connection.
	prepared prepared
	// files are those that were opened: the database, and its log once it is there.
	files []openedFile
}

// openedFile is a file as it was when it was opened.
type openedFile struct {
	path string
	info os.FileInfo
}

func openSQLite(ctx context.Context, path string) (_ *sqliteStore, err error) {
	if path == "" {
		return nil, errors.New("queue: the URL sqlite: names no file")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	if err := touch(absolute); err != nil {
		return nil, fmt.Errorf("queue: the file of the store must be writable, and so must its folder: %w", err)
	}
	s := &sqliteStore{path: absolute}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	if err := s.own(ctx); err != nil {
		return nil, err
	}
	if s.writer, err = s.pool(1, url.Values{
		"_txlock": {"immediate"},
		// No other process locks the file for long. Without temp_store a query may need a
		// temporary directory, which may not exist.
		"_pragma": {
			"busy_timeout(1000)", "auto_vacuum(incremental)", "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)", "temp_store(MEMORY)",
		},
	}); err != nil {
		return nil, err
	}
	if err := s.writer.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("queue: open %s: %w", absolute, err)
	}
	s.readers, err = s.pool(sqliteReaders, url.Values{"_pragma": {"busy_timeout(1000)", "query_only(1)", "temp_store(MEMORY)"}})
	return s, err
}

// remember records which files are open.
func (s *sqliteStore) remember() error {
	for _, path := range []string{s.path, s.path + "-wal"} {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("queue: look at the file of the store: %w", err)
		}
		s.files = append(s.files, openedFile{path, info})
	}
	return nil
}

// touch creates a file with its folder, readable for its owner only, and finds
// out whether it can be written.
func touch(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	return file.Close()
}

func (s *sqliteStore) pool(connections int, query url.Values) (*sql.DB, error) {
	return sqlitePool(s.path, connections, query)
}

func sqlitePool(path string, connections int, query url.Values) (*sql.DB, error) {
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	if filepath.VolumeName(path) != "" {
		name.Path = "/" + name.Path
	}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("queue: open %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// own keeps other processes out, until close or the end of the process. SQLite
// itself locks the lock file: it does so on every system it runs on.
func (s *sqliteStore) own(ctx context.Context) (err error) {
	lock := s.path + ".lock"
	if err := touch(lock); err != nil {
		return fmt.Errorf("queue: the lock file of the store must be writable: %w", err)
	}
	s.owner, err = sqlitePool(lock, 1, url.Values{
		"_txlock": {"exclusive"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", sqliteTakeover.Milliseconds())},
	})
	if err != nil {
		return err
	}
	// The transaction outlives ctx.
	s.hold, err = s.owner.BeginTx(context.WithoutCancel(ctx), nil)
	var refused *sqlite.Error
	if errors.As(err, &refused) && refused.Code()&0xff == sqlite3.SQLITE_BUSY {
		return fmt.Errorf("%w: %s", ErrInUse, s.path)
	}
	if err != nil {
		return fmt.Errorf("queue: lock %s: %w", lock, err)
	}
	return nil
}

func (s *sqliteStore) open(config *river.Config) error {
	return s.engine.open(riversqlite.New(s.writer), config)
}

func (s *sqliteStore) migrate(ctx context.Context) error {
	if err := s.readyToShrink(ctx); err != nil {
		return fmt.Errorf("queue: prepare %s to hand back space: %w", s.path, err)
	}
	migrator, err := rivermigrate.New(riversqlite.New(s.writer), &rivermigrate.Config{Logger: quiet()})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if err := checkRiver(ctx, s.read(), `SELECT count(*) FROM sqlite_master WHERE name = 'river_migration'`, migrator); err != nil {
		return fmt.Errorf("queue: open %s: %w", s.path, err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("queue: bring River's tables in %s up to date: %w", s.path, err)
	}
	if err := migrate(ctx, s, "integer PRIMARY KEY AUTOINCREMENT"); err != nil {
		return fmt.Errorf("queue: bring the tables in %s up to date: %w", s.path, err)
	}
	return s.remember()
}

// takeOver frees the jobs, the leadership and the leases of the previous process, which
// has ended because it no longer holds the lock file.
func (s *sqliteStore) takeOver(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		if _, err := t.exec(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running'`); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM river_leader`); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM versions_key WHERE lease_until > 0`); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM versions_underway`); err != nil {
			return err
		}
		// A restart often removes the cause of a wait, so all tasks and notices become due.
		// Zero is due by every clock.
		if _, err := t.exec(ctx, `UPDATE versions_notice SET next_at = 0`); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE versions_task SET next_at = 0 WHERE status = 'queued'`)
		return err
	})
}

// freeLost does nothing: no answer of a file is lost.
func (s *sqliteStore) freeLost(context.Context, []string) (int64, error) { return 0, nil }

func (s *sqliteStore) write(ctx context.Context, f func(context.Context, tx) error) error {
	return s.writeWithin(ctx, storeTimeout, f)
}

func (s *sqliteStore) writeWithin(ctx context.Context, bound time.Duration, f func(context.Context, tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if len(s.files) > 0 { // the tables are there
		s.prepared.prepare(ctx, s.writer)
	}
	raw, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Rollback() }() // after a commit it does nothing
	t := sqliteTx{sqliteQuerier{preparedTx{raw, &s.prepared}}, jobsOf[*riversqlite.Driver, *sql.Tx]{&s.engine, raw}}
	if err := f(ctx, t); err != nil {
		return err
	}
	if err := raw.Commit(); err != nil {
		return err
	}
	return s.present() // what is written to a file that is gone is lost
}

func (s *sqliteStore) shared() bool { return false }

func (s *sqliteStore) roundTrips(int) time.Duration { return 0 }

func (s *sqliteStore) refusesValue(err error) bool {
	var refused *sqlite.Error
	return errors.As(err, &refused) &&
		slices.Contains([]int{sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}, refused.Code()&0xff)
}

// present returns an error when a file was removed or replaced: SQLite would go on writing
// to the one that it opened.
func (s *sqliteStore) present() error {
	for _, opened := range s.files {
		now, err := os.Stat(opened.path)
		if err != nil {
			return err
		}
		if !os.SameFile(opened.info, now) {
			return fmt.Errorf("%s was replaced while it was open; restart the service", opened.path)
		}
	}
	return nil
}

func (s *sqliteStore) read() querier { return sqliteQuerier{s.readers} }

func (s *sqliteStore) close() error {
	var errs []error
	for _, db := range []*sql.DB{s.readers, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.hold != nil {
		_ = s.hold.Rollback()
	}
	if s.owner != nil {
		errs = append(errs, s.owner.Close())
	}
	return errors.Join(errs...)
}

// sqliteTx takes no locks, because it is the only transaction that writes.
type sqliteTx struct {
	sqliteQuerier
	jobsOf[*riversqlite.Driver, *sql.Tx]
}

func (sqliteTx) lock(context.Context, []string) error { return nil }

func (sqliteTx) rowLock() string { return "" }

type sqliteQuerier struct {
	of interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (q sqliteQuerier) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := q.of.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (q sqliteQuerier) query(ctx context.Context, statement string, args ...any) (rows, error) {
	found, err := q.of.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return sqliteRows{found}, nil
}

func (q sqliteQuerier) elements(n int) string { return fmt.Sprintf(`json_each($%d) AS elements`, n) }

func (q sqliteQuerier) all(ctx context.Context, statements []statement) error {
	for i, s := range statements {
		if s.row != nil {
			if err := each(ctx, q, s.row, s.text, s.args...); err != nil {
				return &statementError{i, err}
			}
			continue
		}
		affected, err := q.exec(ctx, s.text, s.args...)
		if err != nil {
			return &statementError{i, err}
		}
		if s.done != nil {
			s.done(affected)
		}
	}
	return nil
}

type sqliteRows struct{ *sql.Rows }

// Close drops the error, which Err has already returned.
func (r sqliteRows) Close() { _ = r.Rows.Close() }
