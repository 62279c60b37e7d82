// Package queuetest gives tests of the queue, and of what stands on it, a store: a
// place on a PostgreSQL server, or a file of SQLite. Only tests import it.
package queuetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// patience bounds each statement.
	patience = time.Minute
	// betweenTries is how long a server that does not answer is left alone.
	betweenTries = 100 * time.Millisecond
)

// Schema makes an empty schema in the database that the postgres:// URL server
// names, and returns the URL with which all tables go there. The schema goes with
// the test, and the test fails when the server cannot be reached.
func Schema(t testing.TB, server string) string {
	t.Helper()
	run := func(statement string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		connection, err := pgx.Connect(ctx, server)
		for ; err != nil; connection, err = pgx.Connect(ctx, server) { // another test may restart it
			select {
			case <-ctx.Done():
				t.Fatalf("connect to PostgreSQL: %v", err)
			case <-time.After(betweenTries):
			}
		}
		defer func() { _ = connection.Close(ctx) }()
		if _, err := connection.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	schema := fmt.Sprintf("test_%d", rand.Uint64()) //nolint:gosec // a name that nobody else has, and no secret
	run("CREATE SCHEMA " + schema)
	t.Cleanup(func() { run("DROP SCHEMA " + schema + " CASCADE") })
	parsed, err := url.Parse(server)
	if err != nil {
		t.Fatalf("the server's URL: %v", err)
	}
	query := parsed.Query()
	query.Set("search_path", schema)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}
