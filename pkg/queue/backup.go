package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Backup writes a copy of a store on SQLite to w, while another process may have the store
// open: what is in the copy was in the store at one moment after the call began. For as
// long as it takes, the copy is also a file in the store's folder. A store on PostgreSQL is
// refused, because pg_dump copies it.
func Backup(ctx context.Context, storeURL string, w io.Writer) (err error) {
	path, ok := strings.CutPrefix(storeURL, "sqlite:")
	if !ok {
		return errors.New("queue: the store is not on SQLite; pg_dump copies one on PostgreSQL")
	}
	path, err = filepath.Abs(strings.TrimPrefix(path, "//"))
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("queue: there is no store to copy: %w", err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".backup-")
	if err != nil {
		return fmt.Errorf("queue: a copy needs room beside the store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	whole := filepath.Join(dir, "copy.db")
	if err := vacuumInto(ctx, path, whole); err != nil {
		return fmt.Errorf("queue: copy %s: %w", path, err)
	}
	file, err := os.Open(whole) //nolint:gosec // in a folder of its own
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := io.Copy(w, file); err != nil {
		return fmt.Errorf("queue: write the copy: %w", err)
	}
	return nil
}

// vacuumInto makes the file to of what one transaction reads from a database.
func vacuumInto(ctx context.Context, from, to string) error {
	db, err := sqlitePool(from, 1, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)", "temp_store(MEMORY)"}})
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, to)
	return errors.Join(err, db.Close())
}
