package queue

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"
)

// migrationTimeout bounds one migration: to make the indexes of a long history takes some
// seconds, on a slow disk many.
const migrationTimeout = 10 * time.Minute

//go:embed migrations/*.sql
var migrations embed.FS

// migrate runs the migrations that a store has not seen, each in a transaction.
// Their numbers are their places in the folder, from 1. identity is the store's
// type of a key that counts up by itself.
func migrate(ctx context.Context, s store, identity string) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var version int
	err = s.write(ctx, func(ctx context.Context, t tx) error {
		if _, err := t.exec(ctx, `CREATE TABLE IF NOT EXISTS versions_schema (version bigint NOT NULL)`); err != nil {
			return err
		}
		_, err := one(ctx, t, []any{&version}, `SELECT coalesce(max(version), 0) FROM versions_schema`)
		return err
	})
	if err != nil {
		return err
	}
	if version > len(files) {
		return fmt.Errorf("they are of version %d, written by a newer release; this one knows %d", version, len(files))
	}
	for ; version < len(files); version++ {
		text, err := migrations.ReadFile(files[version])
		if err != nil {
			return err
		}
		// The end of ctx does not stop one that has begun: it would begin anew at each start.
		if err := s.writeWithin(context.WithoutCancel(ctx), migrationTimeout, func(ctx context.Context, t tx) error {
			if _, err := t.exec(ctx, strings.ReplaceAll(string(text), "@identity@", identity)); err != nil {
				return err
			}
			_, err := t.exec(ctx, `INSERT INTO versions_schema (version) VALUES ($1)`, version+1)
			return err
		}); err != nil {
			return fmt.Errorf("%s: %w", files[version], err)
		}
	}
	return nil
}

// quiet is for River's migrator, which tells each step; a failure is returned.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
