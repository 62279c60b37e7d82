package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// A copy of a store that is open and at work is a whole store: what was accepted before is
// in it, and is carried out by whoever opens it.
func TestBackup(t *testing.T) {
	t.Parallel()
	source := sqliteURL(t)
	w := start(t, source)
	w.ends(w.stored(update("app", "1", as(keptCommitted))), queue.Committed)
	w.worker.hold()
	w.stored(update("app", "2", as(keptWaiting)))
	w.worker.running(t)
	w.addHold(hold("h1", "ops"))

	var content bytes.Buffer
	w.must(queue.Backup(t.Context(), source, &content))
	folder := filepath.Dir(strings.TrimPrefix(source, "sqlite:"))
	left, err := filepath.Glob(filepath.Join(folder, ".backup-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	path := filepath.Join(t.TempDir(), "restored.db")
	w.must(os.WriteFile(path, content.Bytes(), 0o600))
	restored := start(t, "sqlite:"+path)
	if u := restored.get(keptCommitted); u.Status != queue.Committed {
		t.Errorf("the committed update: %+v", u)
	}
	restored.ends(keptWaiting, queue.Committed)
	diff(t, "holds", []string{"h1"}, restored.holds())

	w.worker.release()
	w.ends(keptWaiting, queue.Committed) // the source goes on as well
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	for storeURL, want := range map[string]string{
		"postgres://versions@127.0.0.1/versions":             "pg_dump",
		"sqlite:" + filepath.Join(t.TempDir(), "missing.db"): "there is no store",
	} {
		var content bytes.Buffer
		if err := queue.Backup(t.Context(), storeURL, &content); err == nil || !strings.Contains(err.Error(), want) || content.Len() > 0 {
			t.Errorf("%s: %v, want %q", storeURL, err, want)
		}
	}
}

// What k8s/README.md says of PostgreSQL: a dump of a database that is in use fills an empty
// one, and the service goes on there.
func TestDumpOfPostgreSQL(t *testing.T) {
	t.Parallel()
	source, target := database(t), database(t)
	fill(t, source)
	w := open(t, source) // in use
	commands := exec.CommandContext(t.Context(), "bash", "-euc", `pg_dump --format=custom "$SOURCE" > queue.dump
pg_restore --no-owner --exit-on-error --dbname "$TARGET" queue.dump`)
	commands.Dir = t.TempDir()
	commands.Env = append(os.Environ(), "SOURCE="+source, "TARGET="+target)
	if out, err := commands.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if u := w.get(keptWaiting); u.Status != queue.Queued {
		t.Errorf("the source: %+v", u)
	}
	goesOn(t, target)
}

// database makes an empty database on the server of the tests, which goes with the test.
func database(t *testing.T) string {
	t.Helper()
	server := os.Getenv(databaseVariable)
	if server == "" {
		t.Skip(leftOut)
	}
	run := func(statement string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		connection, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close(ctx) }()
		if _, err := connection.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	name := fmt.Sprintf("test_%d", rand.Uint64())
	run("CREATE DATABASE " + name)
	t.Cleanup(func() { run("DROP DATABASE " + name + " WITH (FORCE)") })
	parsed, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Path = "/" + name
	return parsed.String()
}

// What fill stores.
const (
	keptCommitted = "0198f0c4-0000-7000-8000-000000000001"
	keptFailed    = "0198f0c4-0000-7000-8000-000000000002"
	keptWaiting   = "0198f0c4-0000-7000-8000-000000000003"
	keptSet       = "0198f0c4-0000-7000-8000-000000000004"
)

func as(id string) func(*queue.Update) { return func(u *queue.Update) { u.ID = id } }

// fill stores one of everything: updates that ended and that wait, a hold, a proposal, a key.
func fill(t *testing.T, storeURL string) {
	t.Helper()
	t.Run("ended", func(t *testing.T) {
		w := start(t, storeURL)
		w.worker.becomes(func(i queue.Item) queue.Outcome {
			if i.Update.Image == "web" {
				return queue.Outcome{Status: queue.Failed, Error: "the branch is protected"}
			}
			return queue.Outcome{Status: queue.Committed, Result: []byte(`{"sha":"1"}`)}
		})
		w.ends(w.stored(update("app", "1", as(keptCommitted))), queue.Committed)
		w.ends(w.stored(update("web", "1", as(keptFailed))), queue.Failed)
	})
	t.Run("waiting", func(t *testing.T) {
		w := open(t, storeURL)
		w.stored(update("db", "2", as(keptWaiting), from("ghcr", "d-1"), pushed(w.clock.now())))
		w.stored(update("", "3", as(keptSet), to("infra", "apps"), images("a", "b")))
		w.addHold(hold("h1", "ops"))
		w.must(w.KeepProposal(t.Context(), queue.Proposal{Target: "infra", Name: "versions/app", Data: []byte(`{}`), LookAt: w.clock.now().Add(time.Hour)}))
		k := key("k", 1)
		w.reserves(k, queue.KeyNew)
		w.must(w.Keep(t.Context(), k))
	})
}

// goesOn expects a store that was filled to go on where it was.
func goesOn(t *testing.T, storeURL string) {
	t.Helper()
	w := start(t, storeURL)
	if u := w.get(keptCommitted); u.Status != queue.Committed || u.Version != "1" || string(u.Tasks[0].Result) != `{"sha":"1"}` {
		t.Errorf("the committed update: %+v", u)
	}
	if u := w.get(keptFailed); u.Status != queue.Failed || u.Tasks[0].LastError != "the branch is protected" {
		t.Errorf("the failed update: %+v", u)
	}
	if u := w.ends(keptWaiting, queue.Committed); u.Webhook != "ghcr" || u.DeliveryID != "d-1" || !u.PushedAt.Equal(w.clock.now()) {
		t.Errorf("the update that waited: %+v", u)
	}
	if u := w.ends(keptSet, queue.Committed); len(u.Tasks) != 4 {
		t.Errorf("the set that waited: %+v", u)
	}
	diff(t, "holds", []string{"h1"}, w.holds())
	w.reserves(key("k", 1), queue.KeyDone)
	w.clock.advance(time.Hour)
	diff(t, "proposals", []string{"versions/app={}"}, w.due())
	if a := w.accept(update("db", "2", from("ghcr", "d-1")))[0]; a.ID != keptWaiting {
		t.Errorf("the same delivery again: %+v", a)
	}
	if _, err := w.Retry(t.Context(), keptFailed); err != nil {
		t.Errorf("Retry: %v", err)
	}
	w.ends(keptFailed, queue.Committed)
}
