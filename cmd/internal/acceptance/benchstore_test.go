package acceptance_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// withStore opens the SQLite file of a program, of whatever release: nothing is known of its
// tables but their names, and a few columns.
func (f *farm) withStore(dir string, do func(db *sql.DB) error) {
	f.b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "versions-service.db")+"?_pragma=busy_timeout(10000)")
	f.must(err)
	f.must(errors.Join(do(db), db.Close()))
}

// texts reads a query's one column.
func texts(db *sql.DB, query string, args ...any) (all []string, err error) {
	rows, err := db.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// columns are those of a table.
func columns(db *sql.DB, table string) ([]string, error) {
	return texts(db, `SELECT name FROM pragma_table_info(?)`, table)
}

// stored is how many bytes the values of the service's own tables have together.
func (f *farm) stored(dir string) (sum int) {
	f.b.Helper()
	f.withStore(dir, func(db *sql.DB) error {
		tables, err := texts(db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'versions\_%' ESCAPE '\'`)
		if err != nil {
			return err
		}
		for _, table := range tables {
			names, err := columns(db, table)
			if err != nil {
				return err
			}
			for _, name := range names {
				var bytes int
				query := fmt.Sprintf(`SELECT coalesce(sum(length(CAST(%q AS blob))), 0) FROM %q`, name, table)
				if err := db.QueryRow(query).Scan(&bytes); err != nil {
					return err
				}
				sum += bytes
			}
		}
		return nil
	})
	return sum
}

// remember stores n copies of the one update that a program has stored, of seven images, of
// which one always fails.
func (f *farm) remember(dir string, n int) {
	f.b.Helper()
	f.withStore(dir, func(db *sql.DB) error {
		updates, err := columns(db, "versions_update")
		if err != nil {
			return err
		}
		tasks, err := columns(db, "versions_task")
		if err != nil {
			return err
		}
		_, err = db.Exec(copies("versions_update", updates, map[string]string{
			"id": `'copy-' || i`, "image": `image || '-' || (i % 7)`,
			"status":      `CASE WHEN i % 7 = 0 THEN 'failed' ELSE status END`,
			"accepted_at": `accepted_at + i`, "finished_at": `finished_at + i`, "bytes": `1024`,
		}, `versions_update, many WHERE seq = (SELECT min(seq) FROM versions_update)`, n))
		if err != nil {
			return err
		}
		_, err = db.Exec(copies("versions_task", tasks, map[string]string{
			"seq": `u.seq`, "image": `u.image`, "status": `u.status`, "pushed_at": `u.accepted_at`, "finished_at": `u.finished_at`, "sent_commit": `''`,
		}, `versions_task AS t, versions_update AS u WHERE t.seq = (SELECT min(seq) FROM versions_update) AND u.seq > t.seq`, n))
		return err
	})
}

// copies is a statement that copies rows, with other values in some columns. An update gets
// its seq from the store.
func copies(table string, columns []string, other map[string]string, from string, n int) string {
	if _, ok := other["seq"]; !ok {
		columns = slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == "seq" })
	}
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = c
		if table == "versions_task" {
			values[i] = "t." + c
		}
		if v, ok := other[c]; ok {
			values[i] = v
		}
	}
	return fmt.Sprintf(`WITH RECURSIVE many(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM many WHERE i < %d)
		INSERT INTO %s (%s) SELECT %s FROM %s`, n, table, strings.Join(columns, ", "), strings.Join(values, ", "), from)
}
