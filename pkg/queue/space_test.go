package queue_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// pages is how many pages the file has.
func (w *world) pages() int {
	w.t.Helper()
	text, err := w.Pragma(w.t.Context(), "page_count")
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// A file gives the space of updates that left the history back to the system.
func TestFileHandsSpaceBack(t *testing.T) {
	t.Parallel()
	w := open(t, sqliteURL(t))
	empty := w.pages()
	for n := range 100 {
		u := update(fmt.Sprint("app-", n), "1", func(u *queue.Update) {
			u.Tasks[0].Status, u.Tasks[0].Result = queue.Committed, make([]byte, 100<<10)
		})
		if err := w.Record(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	full := w.pages()
	w.clock.advance(40 * 24 * time.Hour)
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := w.pages(); full < empty+2_000 || left > empty+500 {
		t.Errorf("%d pages at first, %d with the history, %d when it has gone", empty, full, left)
	}
}

// So does the file of a release that did not.
func TestFileOfEarlierReleaseHandsSpaceBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err == nil {
		_, err = db.Exec(`PRAGMA journal_mode = WAL; CREATE TABLE versions_schema (version bigint NOT NULL)`)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, "sqlite:"+path)
	if mode, err := w.Pragma(t.Context(), "auto_vacuum"); err != nil || mode != "2" {
		t.Errorf("auto_vacuum is %s, %v; want 2, which is incremental", mode, err)
	}
	w.stored(update("app", "1"))
}
