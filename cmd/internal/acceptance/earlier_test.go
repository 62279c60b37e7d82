package acceptance_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // for the dumps

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The store that an earlier release left when it was killed opens: what it showed of its
// past is shown as it was, keys and deliveries are known, holds hold, and what waited or was
// under way is carried out.
func TestStoreOfAnEarlierRelease(t *testing.T) {
	t.Parallel()
	dumps, err := filepath.Glob("testdata/earlier/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	migrations, err := filepath.Glob("../../../pkg/queue/migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	newest := 0
	var all sideBySide
	for _, dump := range dumps {
		name := strings.TrimSuffix(filepath.Base(dump), ".sql")
		number, kind, _ := strings.Cut(name, "-")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		newest = max(newest, n)
		all.run(t, name, func(t *testing.T) { openEarlier(t, strings.TrimSuffix(dump, ".sql"), kind, n) })
	}
	if newest < len(migrations)-1 {
		t.Errorf("there are %d migrations, and the newest store is of %d: make one of the release before, as testdata/earlier/README.md says", len(migrations), newest)
	}
	all.Wait()
}

// earlierAway is how long nothing ran: all that waits is due then.
const earlierAway = time.Hour

// earlierStore is a store of that many migrations, and what its release showed of it.
type earlierStore struct {
	*world
	migrations int
	left       earlierLeft
	records    map[string]api.UpdateRecord
	inbox      *inbox
}

func openEarlier(t *testing.T, files, kind string, migrations int) {
	t.Helper()
	e := &earlierStore{migrations: migrations, records: map[string]api.UpdateRecord{}, inbox: newInbox(t)}
	var store string
	if kind == "postgres" {
		store = postgresURL(t)
	} else {
		store = "sqlite:" + filepath.Join(t.TempDir(), "queue.db")
	}
	e.world = earlierWorld(t, store, migrations, "", e.inbox.URL)
	e.load(files, store)
	last := time.Time{}
	for _, r := range e.records {
		last = later(last, r.CreatedAt, r.FinishedAt)
	}
	began := time.Now()
	e.now = func() time.Time { return last.Add(earlierAway + time.Since(began)) }
	e.propose()
	e.run()

	e.checkPast()
	e.checkWaiting()
	e.checkKnown()
}

func later(t, u time.Time, v *time.Time) time.Time {
	if v != nil && v.After(u) {
		u = *v
	}
	if u.After(t) {
		return u
	}
	return t
}

// load fills the store.
func (e *earlierStore) load(files, store string) {
	e.t.Helper()
	content, err := os.ReadFile(files + ".json")
	e.must(err)
	e.must(json.Unmarshal(content, &e.left))
	for word, record := range e.left.Updates {
		var r api.UpdateRecord
		e.must(json.Unmarshal(record, &r))
		e.records[word] = r
	}
	statements, err := os.ReadFile(files + ".sql")
	e.must(err)
	if path, ok := strings.CutPrefix(store, "sqlite:"); ok {
		db, err := sql.Open("sqlite", path)
		e.must(err)
		_, err = db.ExecContext(e.t.Context(), string(statements))
		e.must(errors.Join(err, db.Close()))
		return
	}
	connection, err := pgx.Connect(e.t.Context(), store)
	e.must(err)
	var schema string
	e.must(connection.QueryRow(e.t.Context(), `SELECT current_schema()`).Scan(&schema))
	_, err = connection.Exec(e.t.Context(), strings.ReplaceAll(string(statements), earlierSchema, schema))
	e.must(errors.Join(err, connection.Close(e.t.Context())))
}

// propose opens the pull request that is on GitHub already.
func (e *earlierStore) propose() {
	e.t.Helper()
	proposed, ok := e.records["proposed"]
	if !ok {
		return
	}
	pull := proposed.Targets[0].PullRequest
	_, err := e.others["octo-org/reviewed"].Commit(pull.Branch, sandbox.Files{"reviewed.yaml": {Content: []byte(deployment(earlierImage("reviewed") + ":2"))}}, "propose")
	e.must(err)
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.env["GITHUB_API_URL"]+"/repos/octo-org/reviewed/pulls",
		strings.NewReader(fmt.Sprintf(`{"title": "2", "head": %q, "base": "main"}`, pull.Branch)))
	e.must(err)
	request.Header.Set("Authorization", "Bearer "+githubToken)
	response, err := http.DefaultClient.Do(request)
	e.must(err)
	e.must(response.Body.Close())
	if response.StatusCode != http.StatusCreated {
		e.t.Fatalf("open the pull request: status %d", response.StatusCode)
	}
	e.must(e.others["octo-org/reviewed"].MergePullRequest(pull.Number, "merge"))
}

// checkPast compares what has ended with what was shown of it.
func (e *earlierStore) checkPast() {
	e.t.Helper()
	for word, r := range e.records {
		if r.Status == api.StatusQueued || r.Status == api.StatusProposed {
			continue
		}
		if missing := earlierMissing(e.left.Updates[word], e.show("/v1/updates/"+r.Id)); missing != "" {
			e.t.Errorf("%s was shown as\n%s\nand now %s", word, e.left.Updates[word], missing)
		}
	}
	if e.migrations >= earlierHolds {
		if missing := earlierMissing(e.left.Holds, e.show("/v1/holds")); missing != "" {
			e.t.Errorf("holds were shown as %s, and now %s", e.left.Holds, missing)
		}
	}
	failed := e.page("?status=failed")
	if len(failed) != 1 || *failed[0].Image != earlierImage("nobody") || failed[0].Targets[0].Problem.Code != api.ProblemCodeImageNotReferenced {
		e.t.Errorf("failed: %+v", failed)
	}
}

func (e *earlierStore) show(path string) json.RawMessage {
	e.t.Helper()
	return json.RawMessage(e.get(path, "Authorization", "Bearer "+callerToken).body)
}

func (e *earlierStore) page(query string) []api.UpdateRecord {
	e.t.Helper()
	r := e.get("/v1/updates"+query, "Authorization", "Bearer "+callerToken)
	if r.status != http.StatusOK {
		e.t.Fatalf("%s: status %d: %s", query, r.status, r.body)
	}
	return r.page.Updates
}

// checkWaiting waits for the end of what had not ended.
func (e *earlierStore) checkWaiting() {
	e.t.Helper()
	waited := 0
	for word, r := range e.records {
		if r.Status != api.StatusQueued && r.Status != api.StatusProposed {
			continue
		}
		waited++
		want := api.StatusCommitted
		if word == "overtaken" { // the first release ended it when it came to it
			want = api.StatusSuperseded
		}
		if now := e.finished(r.Id); now.Status != want {
			e.t.Errorf("%s: %+v", word, now)
		}
	}
	if waited < 4 {
		e.t.Errorf("%d updates waited", waited)
	}
	for path, want := range map[string]string{"waiting.yaml": "waiting:2", "overtaken.yaml": "overtaken:3", "delivered.yaml": "delivered:3"} {
		if content := e.file(path); !strings.Contains(content, want) {
			e.t.Errorf("%s, want %s:\n%s", path, want, content)
		}
	}
	if r, ok := e.records["held"]; ok && e.migrations >= earlierNotices {
		e.inbox.of("update.held", r.Id)
	}
}

// finished waits until an update is neither queued nor proposed.
func (e *earlierStore) finished(id string) api.UpdateRecord {
	e.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r := e.get("/v1/updates/"+id, "Authorization", "Bearer "+callerToken).record
		if r.Status != api.StatusQueued && r.Status != api.StatusProposed {
			return r
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("update %s does not end: %+v\n%s", id, r, e.logs)
		}
	}
}

// checkKnown sends again what the earlier release was sent.
func (e *earlierStore) checkKnown() {
	e.t.Helper()
	again := e.earlierSend("/v1/updates", earlierUpdate("committed", "2", ""), "Idempotency-Key", "answered")
	if missing := earlierMissing(e.left.Answered, json.RawMessage(again.body)); again.status != http.StatusCreated || missing != "" {
		e.t.Errorf("a key that was answered %s is answered %d, and %s", e.left.Answered, again.status, missing)
	}
	if r := e.earlierSend("/v1/updates", earlierUpdate("waiting", "2", repoName), "Idempotency-Key", "waiting", "Prefer", "respond-async"); r.update.Id != e.records["waiting"].Id {
		e.t.Errorf("the key of what waited: status %d: %s", r.status, r.body)
	}
	for word, push := range map[string][2]string{"delivered": {"2", "d1"}, "pushed": {"3", "d2"}} {
		body := earlierPush("delivered", push[0])
		if r := e.deliver("ghcr", body, signed(body, push[1])...); r.status != http.StatusOK || r.receipt.Id == nil || *r.receipt.Id != e.records[word].Id {
			e.t.Errorf("the delivery %s once more: status %d: %s", word, r.status, r.body)
		}
	}
	if e.migrations >= earlierHolds {
		r := e.earlierSend("/v1/updates", earlierUpdate("held", "3", repoName))
		if r.update.Status != api.StatusHeld || e.file("held.yaml") != deployment(earlierImage("held")+":1") {
			e.t.Errorf("an image that is held: status %d: %s", r.status, r.body)
		}
	}
}

// madeUpHost is the embedded GitHub's, which is another one in each run.
var madeUpHost = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// earlierMissing says where now has less than before, or something else, in JSON.
func earlierMissing(before, now json.RawMessage) string {
	var values [2]any
	for i, text := range []json.RawMessage{before, now} {
		decoder := json.NewDecoder(bytes.NewReader(madeUpHost.ReplaceAll(text, []byte("github.example.com"))))
		decoder.UseNumber()
		if err := decoder.Decode(&values[i]); err != nil {
			return err.Error()
		}
	}
	return missingIn("", values[0], values[1])
}

func missingIn(at string, before, now any) string {
	switch before := before.(type) {
	case map[string]any:
		fields, _ := now.(map[string]any)
		for name, value := range before {
			if missing := missingIn(at+"/"+name, value, fields[name]); missing != "" {
				return missing
			}
		}
		return ""
	case []any:
		elements, _ := now.([]any)
		if len(elements) != len(before) {
			return fmt.Sprintf("%s has %d elements", at, len(elements))
		}
		for i, value := range before {
			if missing := missingIn(fmt.Sprintf("%s/%d", at, i), value, elements[i]); missing != "" {
				return missing
			}
		}
		return ""
	}
	if reflect.DeepEqual(before, now) {
		return ""
	}
	return fmt.Sprintf("%s is %v", at, now)
}
