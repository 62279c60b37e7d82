package queue_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
)

func TestStopWaitsForWhatIsApplied(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.hold()
		first := w.stored(update("app", "1"))
		w.worker.running(t)
		second := w.stored(update("web", "1"))
		stopped := make(chan error, 1)
		go func() { stopped <- w.Stop(context.Background()) }()
		select {
		case err := <-stopped:
			t.Fatalf("Stop did not wait: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		w.worker.release()
		if err := <-stopped; err != nil {
			t.Fatalf("Stop: %v", err)
		}
		w.ends(first, queue.Committed)
		if got := w.get(second); got.Status != queue.Queued {
			t.Errorf("work was begun after Stop: %+v", got)
		}
		third := w.stored(update("web", "2")) // accepting goes on
		if err := w.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		next := start(t, storeURL)
		next.ends(third, queue.Committed)
		next.ends(second, queue.Superseded)
	})
}

func TestStopHandsBack(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		w.worker.hold()
		id := w.stored(update("app", "1"))
		w.worker.running(t)
		impatient := errors.New("impatient")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(impatient)
		if err := w.Stop(ctx); !errors.Is(err, impatient) {
			t.Errorf("Stop: %v, want ctx's cause", err)
		}
		got := w.get(id).Tasks[0]
		if got.Status != queue.Queued || got.Attempts != 0 || got.LastError != "" || !got.NextAttempt.Equal(w.clock.now()) {
			t.Errorf("it was not handed back as it was: %+v", got)
		}
		if n, err := w.Count(t.Context(), `SELECT count(*) FROM river_job WHERE state = 'available'`); err != nil || n != 1 {
			t.Errorf("%d jobs are ready for another replica, %v; want 1", n, err)
		}
		if err := w.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		start(t, storeURL).ends(id, queue.Committed)
	})
}

func TestStartOnce(t *testing.T) {
	t.Parallel()
	w := start(t, "sqlite:"+filepath.Join(t.TempDir(), "data", "queue.db")) // neither folder nor file is there yet
	if err := w.Start(t.Context(), w.worker.apply); err == nil {
		t.Error("it started twice")
	}
	reader := open(t, sqliteURL(t))
	reader.stored(update("app", "1"))
}

func TestOneProcessPerFile(t *testing.T) {
	t.Parallel()
	storeURL := sqliteURL(t)
	w := open(t, storeURL)
	options := queue.Options{URL: storeURL}
	if _, err := queue.Open(t.Context(), options); !errors.Is(err, queue.ErrInUse) ||
		!strings.Contains(err.Error(), strings.TrimPrefix(storeURL, "sqlite:")) {
		t.Fatalf("a second opener: %v, want ErrInUse with the path", err)
	}
	opened := make(chan error, 1)
	go func() {
		q, err := queue.Open(context.Background(), options)
		if err == nil {
			err = q.Close()
		}
		opened <- err
	}()
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := <-opened; err != nil {
		t.Errorf("an opener that waited: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no database, but long enough to be taken for one"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "s3cr/t p@ss"
	tests := []struct {
		name    string
		options queue.Options
		want    string
	}{
		{"no URL", queue.Options{}, "sqlite: nor postgres://"},
		{"another database", queue.Options{URL: "mysql://u:s3cr%2Ft%20p%40ss@db/x"}, "sqlite: nor postgres://"},
		{"no path", queue.Options{URL: "sqlite:"}, "names no file"},
		{"folder that is a file", queue.Options{URL: "sqlite:" + file + "/queue.db"}, file},
		{"path that is a folder", queue.Options{URL: "sqlite:" + filepath.Dir(file)}, filepath.Dir(file)},
		{"file of something else", queue.Options{URL: "sqlite:" + file}, file},
		{"nobody listens", queue.Options{URL: "postgres://u:s3cr%2Ft%20p%40ss@127.0.0.1:1/db"}, "127.0.0.1:1"},
		{"password not encoded", queue.Options{URL: "postgres://u:" + secret + "%zz@127.0.0.1:1/db"}, "percent-encoded"},
		{"at sign not encoded", queue.Options{URL: "postgres://u:" + secret + "@ss@127.0.0.1:1/db"}, "percent-encoded"},
		{"wrong setting", queue.Options{URL: "postgres://u:s3cr%2Ft%20p%40ss@127.0.0.1:1/db?sslmode=perhaps"}, "sslmode"},
		{"password as a setting", queue.Options{URL: "postgres://127.0.0.1:1/db?password=s3cr%2Ft+p%40ss&sslmode=perhaps"}, "sslmode"},
		{"patience", queue.Options{URL: "sqlite:" + file, ApplyTimeout: time.Hour}, "ApplyTimeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			q, err := queue.Open(t.Context(), test.options)
			if err == nil {
				t.Fatalf("it opened; Close: %v", q.Close())
			}
			for _, form := range []string{secret, "s3cr%2Ft", "s3cr/t", "p%40ss"} {
				if strings.Contains(err.Error(), form) {
					t.Errorf("the password is in the error: %v", err)
				}
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to say %q", err, test.want)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := start(t, sqliteURL(t))
	w.worker.becomes(func(i queue.Item) queue.Outcome {
		return queue.Outcome{Status: queue.Committed, Result: i.Update.Request}
	})
	w.worker.hold()
	running := w.stored(update("running", "1", func(u *queue.Update) { u.Request = make([]byte, 100_000) }))
	w.worker.running(t)
	if err := w.FillDisk(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	w.worker.release() // its result has no room

	large := func(n int) queue.Update {
		return update(fmt.Sprintf("app-%d", n), "1", func(u *queue.Update) { u.Request = make([]byte, 20_000) })
	}
	var kept []string
	var refused queue.Update
	for n := 0; refused.ID == ""; n++ {
		u := large(n)
		_, err := w.Accept(t.Context(), []queue.Update{u}, nil)
		switch {
		case err != nil:
			refused = u
		case n == 100:
			t.Fatal("the disk does not become full")
		default:
			kept = append(kept, u.ID)
		}
	}
	if _, err := w.Get(t.Context(), refused.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
	if err := w.FillDisk(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	w.stored(refused)
	all := slices.Concat(kept, []string{running, refused.ID})
	for _, id := range all {
		w.ends(id, queue.Committed)
	}
	if applied := slices.Concat(w.worker.seen()...); len(applied) != len(all) {
		t.Errorf("%d were applied, want each of %d once", len(applied), len(all))
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	w := start(t, sqliteURL(t))
	if err := w.ReadOnly(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	u := update("app", "1")
	if _, err := w.Accept(t.Context(), []queue.Update{u}, nil); err == nil || errors.Is(err, queue.ErrFull) {
		t.Fatalf("Accept: %v, want the store's refusal", err)
	}
	if _, err := w.Get(t.Context(), u.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
	if err := w.ReadOnly(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.ends(w.stored(u), queue.Committed)
}

func TestMigrateSideBySide(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			q, err := queue.Open(t.Context(), queue.Options{URL: storeURL})
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			if err := q.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			if err := q.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	all.Wait()
	start(t, storeURL).ends(start(t, storeURL).stored(update("app", "1")), queue.Committed)
}

// Installations that share a database, each in its schema, do not wait for each other.
func TestMigrateBesideAnotherSchema(t *testing.T) {
	t.Parallel()
	storeURL := postgresURL(t)
	connection, err := pgx.Connect(t.Context(), os.Getenv(databaseVariable))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(context.Background()) })
	if _, err := connection.Exec(t.Context(), `BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('versions/migrate', 0))`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), racetime.Slower*10*time.Second)
	defer cancel()
	q, err := queue.Open(ctx, queue.Options{URL: storeURL})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestTablesOfANewerRelease(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		if err := w.Exec(t.Context(), `INSERT INTO versions_schema (version) VALUES (99)`); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		q, err := queue.Open(t.Context(), queue.Options{URL: storeURL})
		if err == nil || !strings.Contains(err.Error(), "newer release") {
			t.Errorf("Open: %v, %v", q, err)
		}
	})
}

// What Accept returned survives a loss of power, not only of the process. That holds for a
// connection that takes the place of one that was given up, too.
func TestSQLiteWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	w := start(t, sqliteURL(t))
	for _, version := range []string{"1", "2"} {
		for name, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "auto_vacuum": "2", "temp_store": "2", "journal_size_limit": "67108864", // FULL, incremental, MEMORY
		} {
			if got, err := w.Pragma(t.Context(), name); err != nil || got != want {
				t.Errorf("%s is %q, %v; want %q", name, got, err, want)
			}
		}
		w.ends(w.stored(update("app", version)), queue.Committed)
		if err := w.GiveUpConnection(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
