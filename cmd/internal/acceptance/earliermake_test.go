package acceptance_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

var earlierWrite = flag.String("earlier.write", "", "a folder for stores as this release leaves them; see testdata/earlier/README.md")

// The releases, by their number of migrations, since which a store has these.
const (
	earlierUnderway = 2
	earlierHolds    = 3
	earlierPulls    = 4
	earlierSets     = 5
	earlierFreezes  = 6
	earlierNotices  = 9
)

// earlierSchema is the schema of the tables in a dump of PostgreSQL.
const earlierSchema = "earlier_release"

// earlierLeft is what a release showed of its store before it was killed.
type earlierLeft struct {
	Updates  map[string]json.RawMessage `json:"updates"` // by a word of the test's for each
	Answered json.RawMessage            `json:"answered"`
	Holds    json.RawMessage            `json:"holds,omitempty"`
}

// earlierWorld is a GitHub and the settings for a store of that many migrations.
func earlierWorld(t *testing.T, store string, migrations int, freeze, inbox string) *world {
	t.Helper()
	config := "targets:\n  - {name: staging, repository: refty-yapi/refty-infra-test, branch: main}\n" +
		"  - {name: production, repository: octo-org/infra, branch: main}\n"
	options := []option{withRepository("octo-org/infra", earlierFiles("committed", "running", "synchronous"))}
	if migrations >= earlierPulls {
		config += "  - {name: reviewed, repository: octo-org/reviewed, branch: main, mode: pull_request}\n"
		options = append(options, withRepository("octo-org/reviewed", earlierFiles("reviewed")))
	}
	if migrations >= earlierFreezes {
		config += "  - {name: moving, repository: octo-org/moving, branch: main" + freeze + "}\n"
		options = append(options, withRepository("octo-org/moving", earlierFiles("parked")))
	}
	if migrations >= earlierNotices {
		config += fmt.Sprintf("notify:\n  - {name: all, http: {url: %q, secrets: [{value: %s}], private: true, insecure: true}}\n", inbox, notifySecret)
	}
	config += "webhooks:\n  - {name: ghcr, kind: ghcr, secrets: [{value: " + hookSecret + "}]}\n"
	return prepare(t, append(options, withConfig(config), withEnv("DATABASE_URL", store),
		withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken), withEnv("LOG_LEVEL", "info"),
		withFiles(earlierFiles("committed", "delivered", "waiting", "overtaken", "one", "two", "held")))...)
}

// earlierFiles has a file for each image.
func earlierFiles(images ...string) map[string]string {
	files := map[string]string{}
	for _, image := range images {
		files[image+".yaml"] = deployment(earlierImage(image) + ":1")
	}
	return files
}

func earlierImage(name string) string { return "ghcr.io/octo-org/" + name }

// earlierUpdate is a request's body; without a repository it is for all targets.
func earlierUpdate(image, version, repository string) string {
	if repository == "" {
		return setTo(earlierImage(image), version)
	}
	return fmt.Sprintf(`{"image": %q, "version": %q, "repository": %q}`, earlierImage(image), version, repository)
}

// earlierPush is a registry's event.
func earlierPush(image, version string) string {
	return fmt.Sprintf(`{"action": "published", "registry_package": {"name": %[1]q, "namespace": "octo-org",
		"ecosystem": "CONTAINER", "package_type": "CONTAINER", "owner": {"login": "octo-org"},
		"package_version": {"package_url": "%[2]s:%[3]s", "container_metadata": {"tag": {"name": %[3]q}}}}}`, image, earlierImage(image), version)
}

// earlierSend posts as the caller ci.
func (w *world) earlierSend(path, body string, headers ...string) reply {
	w.t.Helper()
	headers = append([]string{"Content-Type", "application/json", "Authorization", "Bearer " + callerToken}, headers...)
	r, err := w.try(http.MethodPost, path, strings.NewReader(body), headers...)
	w.must(err)
	return r
}

// TestMakeEarlierStores writes the stores that TestStoreOfAnEarlierRelease opens, as this
// release leaves them when it is killed.
func TestMakeEarlierStores(t *testing.T) {
	if *earlierWrite == "" {
		t.Skip("there is no -earlier.write")
	}
	files, err := filepath.Glob("../../../pkg/queue/migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for kind, store := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "queue.db"), "postgres": postgresURL(t)} {
		m := &earlierMaker{migrations: len(files), left: earlierLeft{Updates: map[string]json.RawMessage{}}}
		m.world = earlierWorld(t, store, m.migrations, `, frozen: "a move"`, "http://127.0.0.1:1/")
		m.fill()
		name := filepath.Join(*earlierWrite, fmt.Sprintf("%02d-%s", m.migrations, kind))
		left, err := json.MarshalIndent(m.left, "", "  ")
		m.must(err)
		m.must(os.WriteFile(name+".json", append(left, '\n'), 0o600))
		m.must(os.WriteFile(name+".sql", earlierDump(t, store), 0o600))
	}
}

// earlierMaker fills a store.
type earlierMaker struct {
	*world
	migrations int
	left       earlierLeft
}

// fill leaves a store with something of everything.
func (m *earlierMaker) fill() {
	p := m.spawn()
	m.url = p.url
	m.left.Answered = json.RawMessage(m.update("committed", earlierUpdate("committed", "2", ""), "Idempotency-Key", "answered").body)
	m.update("unchanged", earlierUpdate("committed", "2", repoName))
	m.earlierSend("/v1/updates", earlierUpdate("nobody", "2", repoName))
	m.deliver1("delivered", "2", "d1")
	m.end("delivered")
	if m.migrations >= earlierHolds {
		m.earlierSend("/v1/holds", `{"image": "`+earlierImage("held")+`", "target": "staging", "reason": "an incident"}`)
		m.update("held", earlierUpdate("held", "2", repoName))
	}
	if m.migrations >= earlierPulls {
		m.update("proposed", earlierUpdate("reviewed", "2", "octo-org/reviewed"))
	}
	if m.migrations >= earlierFreezes {
		m.update("parked", earlierUpdate("parked", "2", "octo-org/moving"), "Prefer", "respond-async")
	}

	refused := sandbox.Refuse(http.StatusBadGateway, "fault").On(http.MethodPost, "git/trees")
	refused.Repository = repoName
	m.hub.Inject(refused)
	m.update("waiting", earlierUpdate("waiting", "2", repoName), "Prefer", "respond-async", "Idempotency-Key", "waiting")
	m.until("waiting", `"last_error"`)
	m.update("overtaken", earlierUpdate("overtaken", "2", repoName), "Prefer", "respond-async")
	m.update("overtaking", earlierUpdate("overtaken", "3", repoName), "Prefer", "respond-async")
	m.deliver1("pushed", "3", "d2")
	if m.migrations >= earlierSets {
		m.update("set", fmt.Sprintf(`{"images": [{"image": %q, "version": "2"}, {"image": %q, "version": "3"}], "repository": %q}`,
			earlierImage("one"), earlierImage("two"), repoName),
			"Prefer", "respond-async")
	}

	reached := make(chan struct{})
	moves := sandbox.Call(func() { close(reached); <-m.t.Context().Done() }).On(http.MethodPatch, "git/refs").Once()
	moves.Repository = "octo-org/infra"
	m.hub.Inject(moves)
	m.update("running", earlierUpdate("running", "2", "octo-org/infra"), "Prefer", "respond-async")
	<-reached
	if m.migrations >= earlierUnderway {
		go func() {
			_, _ = m.tryPost(earlierUpdate("synchronous", "2", "octo-org/infra"), "Authorization", "Bearer "+callerToken)
		}()
		m.waitFor(1)
	}
	m.show()
	p.kill()
}

// update sends an update that is told of by a word.
func (m *earlierMaker) update(word, body string, headers ...string) reply {
	m.t.Helper()
	r := m.earlierSend("/v1/updates", body, headers...)
	if r.update.Id == "" {
		m.t.Fatalf("%s: status %d: %s", word, r.status, r.body)
	}
	m.left.Updates[word], _ = json.Marshal(r.update.Id)
	return r
}

// deliver1 sends a registry's event of the image delivered.
func (m *earlierMaker) deliver1(word, version, delivery string) {
	m.t.Helper()
	body := earlierPush("delivered", version)
	r := m.deliver("ghcr", body, signed(body, delivery)...)
	if r.receipt.Id == nil {
		m.t.Fatalf("%s: status %d: %s", word, r.status, r.body)
	}
	m.left.Updates[word], _ = json.Marshal(*r.receipt.Id)
}

func (m *earlierMaker) record(word string) reply {
	m.t.Helper()
	var id string
	m.must(json.Unmarshal(m.left.Updates[word], &id))
	return m.get("/v1/updates/"+id, "Authorization", "Bearer "+callerToken)
}

func (m *earlierMaker) end(word string) { m.t.Helper(); m.until(word, `"finished_at"`) }

// until waits until a record has a field.
func (m *earlierMaker) until(word, field string) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(m.record(word).body, field); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: never %s: %s", word, field, m.record(word).body)
		}
	}
}

// show takes down what is shown of the store.
func (m *earlierMaker) show() {
	m.t.Helper()
	records := map[string]json.RawMessage{}
	for word := range m.left.Updates {
		records[word] = json.RawMessage(m.record(word).body)
	}
	m.left.Updates = records
	if m.migrations >= earlierHolds {
		m.left.Holds = json.RawMessage(m.get("/v1/holds", "Authorization", "Bearer "+callerToken).body)
	}
}

// earlierDump is the store as statements.
func earlierDump(t *testing.T, store string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sqlite3", strings.TrimPrefix(store, "sqlite:"), ".dump")
	schema := ""
	if strings.HasPrefix(store, "postgres") {
		parsed, err := url.Parse(store)
		if err != nil {
			t.Fatal(err)
		}
		schema = parsed.Query().Get("search_path")
		command = exec.CommandContext(t.Context(), "pg_dump", "--schema="+schema, "--inserts", "--no-owner", "--no-privileges", "--no-comments",
			os.Getenv(databaseVariable))
	}
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if schema != "" {
		out = bytes.ReplaceAll(out, []byte(schema), []byte(earlierSchema))
	}
	var kept []byte
	for line := range bytes.Lines(out) {
		bare := bytes.TrimSpace(line)
		if len(bare) == 0 || bytes.HasPrefix(bare, []byte("--")) || bytes.HasPrefix(line, []byte(`\`)) || bytes.HasPrefix(line, []byte("SET ")) ||
			bytes.HasPrefix(line, []byte("SELECT pg_catalog.set_config")) || bytes.HasPrefix(line, []byte("CREATE SCHEMA ")) {
			continue
		}
		kept = append(kept, line...)
	}
	return kept
}
