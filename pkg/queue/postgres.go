package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	// postgresConnections bounds the pool unless the URL does (pool_max_conns):
	// River listens on one, the rest is shared by accepting and draining.
	postgresConnections = 12
	// postgresConnect bounds one connection attempt unless the URL does (connect_timeout).
	postgresConnect = 5 * time.Second
	// postgresTries bounds the attempts at a transaction that PostgreSQL asks to repeat.
	postgresTries = 3
	// postgresKeepAlive is how soon a connection that died is noticed, on both ends:
	// after three probes without an answer.
	postgresKeepAlive = 5 * time.Second
)

// postgresSession are the settings of every connection: a session that vanished, or
// is stuck, must not keep its locks from the others for longer than a transaction
// may take. Those that the URL sets are left alone.
var postgresSession = map[string]string{
	"idle_in_transaction_session_timeout": "15s",
	"lock_timeout":                        "8s",
	"tcp_keepalives_idle":                 "5",
	"tcp_keepalives_interval":             "5",
	"tcp_keepalives_count":                "3",
}

type postgresStore struct {
	engine[*riverpgxv5.Driver, pgx.Tx]
	pool *pgxpool.Pool
	// trip is the round trip to the server, smoothed, in nanoseconds.
	trip atomic.Int64
}

func openPostgres(ctx context.Context, text string) (*postgresStore, error) {
	// pgx quotes a URL that it cannot read; only one that is read has a known password.
	parsed, err := url.Parse(text)
	if err != nil || strings.Count(authority(text), "@") > 1 {
		return nil, errors.New("queue: the PostgreSQL URL cannot be read; a password in it must be percent-encoded")
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, without(secrets(parsed), fmt.Errorf("queue: the PostgreSQL URL is wrong: %w", err))
	}
	if !parsed.Query().Has("pool_max_conns") {
		config.MaxConns = postgresConnections
	}
	if !parsed.Query().Has("connect_timeout") {
		config.ConnConfig.ConnectTimeout = postgresConnect
	}
	config.ConnConfig.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: postgresKeepAlive, Interval: postgresKeepAlive, Count: 3,
	}}).DialContext
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { return configure(ctx, c, parsed.Query()) }
	hidden := secrets(parsed)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, without(hidden, fmt.Errorf("queue: set up PostgreSQL: %w", err))
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, without(hidden, fmt.Errorf("queue: reach PostgreSQL at %s: %w", parsed.Host, err))
	}
	s := &postgresStore{pool: pool}
	return s, without(hidden, s.measure(ctx))
}

// configure makes the settings of a new connection.
func configure(ctx context.Context, c *pgx.Conn, inURL url.Values) error {
	var batch pgx.Batch
	for name, value := range postgresSession {
		if !inURL.Has(name) {
			batch.Queue(`SELECT set_config($1, $2, false)`, name, value)
		}
	}
	return c.SendBatch(ctx, &batch).Close()
}

// measure records the time of a round trip.
func (s *postgresStore) measure(ctx context.Context) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("queue: reach PostgreSQL: %w", err)
	}
	defer c.Release()
	start := time.Now()
	if err := c.Ping(ctx); err != nil {
		return fmt.Errorf("queue: reach PostgreSQL: %w", err)
	}
	s.took(time.Since(start))
	return nil
}

// took adds one round trip to the average, with a weight of an eighth.
func (s *postgresStore) took(d time.Duration) {
	if before := s.trip.Load(); before > 0 {
		d = (7*time.Duration(before) + d) / 8
	}
	s.trip.Store(int64(d))
}

func (s *postgresStore) shared() bool { return true }

func (s *postgresStore) roundTrips(n int) time.Duration {
	return time.Duration(n) * time.Duration(s.trip.Load())
}

func (s *postgresStore) open(config *river.Config) error {
	return s.engine.open(riverpgxv5.New(s.pool), config)
}

// migrate lets one replica at a time in. The lock is held by a transaction that
// does nothing else, so River may use transactions of its own.
func (s *postgresStore) migrate(ctx context.Context) error {
	gate, err := s.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("queue: bring the tables up to date: %w", err)
	}
	defer func() { _ = gate.Rollback(context.WithoutCancel(ctx)) }()
	// It waits for as long as another replica's migration takes, and is idle during its own.
	if _, err := gate.Exec(ctx, `SELECT set_config('lock_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)`); err != nil {
		return fmt.Errorf("queue: bring the tables up to date: %w", err)
	}
	if err := (postgresQuerier{gate}).all(ctx, []statement{lockStatement([]string{"versions/migrate"})}); err != nil {
		return fmt.Errorf("queue: wait for another replica to bring the tables up to date: %w", err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(s.pool), &rivermigrate.Config{Logger: quiet()})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if err := checkRiver(ctx, s.read(), `SELECT count(to_regclass('river_migration'))`, migrator); err != nil {
		return fmt.Errorf("queue: open the tables: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("queue: bring River's tables up to date: %w", err)
	}
	if err := migrate(ctx, s, "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"); err != nil {
		return fmt.Errorf("queue: bring the tables up to date: %w", err)
	}
	return nil
}

// takeOver leaves running jobs alone: another replica may run them. Those of one that died
// are taken over while the queue runs, see beatLoop.
func (s *postgresStore) takeOver(context.Context) error { return nil }

// freeLost finds the jobs of a fetch that was committed and whose answer did not arrive,
// because the server was restarted then.
func (s *postgresStore) freeLost(ctx context.Context, running []string) (freed int64, err error) {
	err = s.write(ctx, func(ctx context.Context, t tx) (err error) {
		freed, err = t.exec(ctx, `
			UPDATE river_job SET state = 'available', scheduled_at = now()
			WHERE kind = $1 AND state = 'running' AND attempted_by[cardinality(attempted_by)] = $2
				AND attempted_at < now() - make_interval(secs => $3) AND id || '.' || attempt <> ALL ($4::text[])`,
			drainArgs{}.Kind(), s.client.ID(), lostAge.Seconds(), running)
		return err
	})
	return freed, err
}

func (s *postgresStore) write(ctx context.Context, f func(context.Context, tx) error) error {
	return s.writeWithin(ctx, storeTimeout+s.roundTrips(roundTripsOfEntry), f)
}

func (s *postgresStore) writeWithin(ctx context.Context, bound time.Duration, f func(context.Context, tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for try := 1; ; try++ {
		broke, err := s.try(ctx, f)
		var refused *pgconn.PgError
		asked := errors.As(err, &refused) && (refused.Code == "40001" || refused.Code == "40P01")
		// A connection of the pool may have died with a server that is back since.
		if again := asked || broke && ctx.Err() == nil; !again || try == postgresTries {
			return err
		}
	}
}

// try runs one transaction. broke reports whether the connection failed before COMMIT was
// sent, so that nothing was changed.
func (s *postgresStore) try(ctx context.Context, f func(context.Context, tx) error) (broke bool, err error) {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return true, err
	}
	defer c.Release()
	start := time.Now()
	raw, err := c.Begin(ctx)
	if err != nil {
		return true, err
	}
	s.took(time.Since(start))
	defer func() { _ = raw.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	t := postgresTx{
		postgresQuerier: postgresQuerier{raw}, jobsOf: jobsOf[*riverpgxv5.Driver, pgx.Tx]{&s.engine, raw},
		mark: &mark{session: sessionOf(c.Conn())},
	}
	if err := f(ctx, t); err != nil {
		return c.Conn().IsClosed(), err
	}
	err = raw.Commit(ctx)
	var refused *pgconn.PgError
	if err == nil || errors.As(err, &refused) && refused.SeverityUnlocalized != "FATAL" || errors.Is(err, pgx.ErrTxCommitRollback) {
		return false, err
	}
	return false, s.lookUp(context.WithoutCancel(ctx), *t.mark, err)
}

// refusesValue knows the classes 22 (data exception), 23 (integrity constraint
// violation) and 54 (program limit exceeded) of PostgreSQL's appendix A.
func (s *postgresStore) refusesValue(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && slices.Contains([]string{"22", "23", "54"}, refused.Code[:min(2, len(refused.Code))])
}

// handBack leaves that to the server's autovacuum.
func (s *postgresStore) handBack(context.Context) (bool, error) { return false, nil }

func (s *postgresStore) present() error { return nil }

func (s *postgresStore) read() querier { return postgresQuerier{s.pool} }

func (s *postgresStore) close() error {
	s.pool.Close()
	return nil
}

type postgresTx struct {
	postgresQuerier
	jobsOf[*riverpgxv5.Driver, pgx.Tx]
	mark *mark
}

// lock takes advisory locks in one order everywhere, so that no two transactions
// wait for each other.
func (t postgresTx) lock(ctx context.Context, keys []string) error {
	return t.all(ctx, []statement{t.mark.statement(), lockStatement(keys)})
}

// lockStatement takes the locks of this schema: advisory locks are the database's, which
// others may share. In the schema public their names are those of earlier releases, whose
// replicas may still run.
func lockStatement(keys []string) statement {
	return statement{
		text: `SELECT pg_advisory_xact_lock(h) FROM (
			SELECT DISTINCT hashtextextended(coalesce(nullif(current_schema(), 'public') || ' ', '') || k, 0) AS h
			FROM unnest($1::text[]) AS k ORDER BY h) AS hashes`,
		args: []any{keys},
	}
}

func (postgresTx) rowLock() string { return " FOR UPDATE" }

type postgresQuerier struct {
	of interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
		SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	}
}

func (q postgresQuerier) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	tag, err := q.of.Exec(ctx, statement, args...)
	return tag.RowsAffected(), err
}

func (q postgresQuerier) query(ctx context.Context, statement string, args ...any) (rows, error) {
	return q.of.Query(ctx, statement, args...)
}

func (q postgresQuerier) elements(n int) string {
	return fmt.Sprintf(`json_array_elements(CAST(CAST($%d AS text) AS json)) AS elements (value)`, n)
}

func (q postgresQuerier) all(ctx context.Context, statements []statement) (err error) {
	if len(statements) == 0 {
		return nil
	}
	var batch pgx.Batch
	for _, s := range statements {
		batch.Queue(s.text, s.args...)
	}
	results := q.of.SendBatch(ctx, &batch)
	defer func() {
		if closed := results.Close(); err == nil {
			err = closed
		}
	}()
	for i, s := range statements {
		if s.row != nil {
			found, err := results.Query()
			if err == nil {
				err = forEach(found, s.row)
			}
			if err != nil {
				return &statementError{i, err}
			}
			continue
		}
		tag, err := results.Exec()
		if err != nil {
			return &statementError{i, err}
		}
		if s.done != nil {
			s.done(tag.RowsAffected())
		}
	}
	return nil
}
