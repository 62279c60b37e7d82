package queue

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
)

const (
	// postgresLookUp bounds the look-up of a commit whose response was lost.
	postgresLookUp = 5 * time.Second
	// markRetention is how long the row of a connection is kept after its last
	// transaction, which is looked up within seconds or never.
	markRetention = time.Hour
)

// mark is what a transaction on PostgreSQL writes into the row of its connection, as far
// as it took a lock: by it a commit whose response was lost is found again. A transaction's
// id does not tell: a server that crashed gives the ids again whose transactions had not
// reached its disk.
type mark struct {
	session string // the connection's name
	token   string // the transaction's; "" while it has left no mark
}

// sessionOf returns the name of a connection, which no other one ever has.
func sessionOf(c *pgx.Conn) string {
	const key = "versions_session"
	data := c.PgConn().CustomData()
	name, ok := data[key].(string)
	if !ok {
		name = rand.Text()
		data[key] = name
	}
	return name
}

// statement leaves the mark. Only one transaction at a time writes the row.
func (m *mark) statement() statement {
	m.token = rand.Text()
	return statement{
		text: `
			INSERT INTO versions_session (name, token, used_at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET token = excluded.token, used_at = excluded.used_at`,
		args: []any{m.session, m.token, micros(time.Now())},
	}
}

// lookUp finds out whether a transaction whose COMMIT got no response was committed, on a
// connection of its own. cause is the error of the COMMIT.
func (s *postgresStore) lookUp(ctx context.Context, m mark, cause error) error {
	if m.token == "" {
		return fmt.Errorf("%w: %w", ErrUnknown, cause)
	}
	ctx, cancel := context.WithTimeout(ctx, postgresLookUp+s.roundTrips(roundTripsOfEntry))
	defer cancel()
	for tries := 1; ; tries++ {
		var token string
		// It writes the row, and so it waits for a transaction that is still under way.
		err := s.pool.QueryRow(ctx, `
			INSERT INTO versions_session (name, token, used_at) VALUES ($1, '', $2)
			ON CONFLICT (name) DO UPDATE SET used_at = excluded.used_at RETURNING token`,
			m.session, micros(time.Now())).Scan(&token)
		if err == nil && token == m.token {
			return nil
		}
		if err == nil {
			return cause
		}
		if backoff.Sleep(ctx, stepWaits.After(tries, 0)) != nil { // the server is away
			return fmt.Errorf("%w: %w", ErrUnknown, cause)
		}
	}
}

// deleteMarks deletes the rows of connections that have not been used for long.
func (q *Queue) deleteMarks(ctx context.Context) error {
	if !q.store.shared() {
		return nil
	}
	return q.write(ctx, func(ctx context.Context, c *change) error {
		_, err := c.exec(ctx, `DELETE FROM versions_session WHERE used_at < $1`, micros(time.Now().Add(-markRetention)))
		return err
	})
}
