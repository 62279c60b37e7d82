package queuetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// SQLite makes a database without updates in a file, and returns its URL. Its tables
// are there already: Open takes much longer to make them than a test takes to use
// them.
func SQLite(t testing.TB, path string) string {
	t.Helper()
	content, err := withTables()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o750)
	}
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatalf("make the database %s: %v", path, err)
	}
	return "sqlite:" + path
}

// withTables is the content of a file that Open has made the tables in.
var withTables = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "queuetest")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "queue.db")
	q, err := queue.Open(context.Background(), queue.Options{URL: "sqlite:" + path})
	if err != nil {
		return nil, err
	}
	if err := q.Close(); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return os.ReadFile(path) //nolint:gosec // in a folder of its own
})
