package acceptance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/pages"
)

// notifySecret signs the notifications of the tests.
const notifySecret = "whsec_bm90aWZpY2F0aW9ucy1hcmUtc2lnbmVkLWJ5LXRoaXM="

// message is a notification as it arrived.
type message struct {
	ID   string
	Body string
	Type string `json:"type"`
	Data struct {
		Text      string           `json:"text"`
		Link      string           `json:"link"`
		Shortened bool             `json:"shortened"`
		Update    api.UpdateRecord `json:"update"`
	} `json:"data"`
}

// inbox receives notifications whose signature is right.
type inbox struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	messages []message
	// answer is asked what to answer; nil answers 204.
	answer func(n int) int
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	b := &inbox{t: t}
	verifier, err := standardwebhooks.NewWebhook(notifySecret)
	if err != nil {
		t.Fatal(err)
	}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m := message{ID: r.Header.Get("webhook-id"), Body: string(body)}
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Errorf("a notification: %v", err)
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		b.mu.Lock()
		b.messages = append(b.messages, m)
		n, answer := len(b.messages), b.answer
		b.mu.Unlock()
		status := http.StatusNoContent
		if answer != nil {
			status = answer(n)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) all() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// of waits for a message of that type about an update.
func (b *inbox) of(kind, id string) message {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		for _, m := range b.all() {
			if m.Type == kind && m.Data.Update.Id == id {
				return m
			}
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no %s of %s in %+v", kind, id, b.all())
		}
	}
}

const notifiedTargets = `
targets:
  - {name: staging, repository: refty-yapi/refty-infra-test}
  - {name: production, repository: octo-org/infra, mode: pull_request}
notify:
`

func toInbox(name, url, more string) string {
	return fmt.Sprintf("  - {name: %s, http: {url: %q, secrets: [{value: %s}], private: true, insecure: true}%s}\n", name, url, notifySecret, more)
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	all, failures, later := newInbox(t), newInbox(t), newInbox(t)
	v := newVolume(t, map[string]string{"config.yaml": notifiedTargets +
		toInbox("all", all.URL+"/path-that-is-secret", ", link: 'https://versions.example.com/'") + toInbox("failures", failures.URL, ", on: [failed], targets: [staging]")})
	w := prepare(t, withRepository("octo-org/infra", map[string]string{"web.yaml": deployment(worker + ":1")}), withEnv("GITHUB_REPOSITORY", ""),
		withEnv("CONFIG_FILE", v.path("config.yaml")))
	w.watchEvery = 5 * time.Millisecond
	w.run()

	committed := w.post(mission)
	m := all.of("update.committed", committed.update.Id)
	if got := committed.update.Targets[0].Commit.Url; m.Data.Link != got || len(m.Data.Update.Targets[0].Files) != 2 {
		t.Errorf("link %s, want %s; %s", m.Data.Link, got, m.Body)
	}
	if want := node + ":05-06-42a252 committed: staging (2 files)"; m.Data.Text != want {
		t.Errorf("text %q, want %q", m.Data.Text, want)
	}
	record := w.get("/v1/updates/" + committed.update.Id).record
	if got, want := encoded(t, m.Data.Update), encoded(t, record); got != want {
		t.Errorf("the update is told as %s, and shown as %s", got, want)
	}
	if r := w.post(mission); r.update.Status != api.StatusUnchanged {
		t.Errorf("again: %s", r.body)
	}

	proposed := w.post(`{"image": "` + worker + `", "version": "09-06-abc", "repository": "octo-org/infra"}`)
	if m := all.of("update.proposed", proposed.update.Id); m.Data.Link != proposed.update.Targets[0].PullRequest.Url || !strings.Contains(m.Data.Text, "production (pull request #1)") {
		t.Errorf("proposed: %s", m.Body)
	}

	w.holdImage("", `{"image": "`+node+`", "target": "staging", "reason": "an incident"}`)
	held := w.post(`{"image": "` + node + `", "version": "v2"}`)
	if m := all.of("update.held", held.update.Id); m.Data.Link != "https://versions.example.com/#/updates/"+held.update.Id {
		t.Errorf("held: %s", m.Body)
	}

	failed := w.post(`{"image": "`+worker+`", "version": "v3", "repository": "refty-yapi/refty-infra-test", "paths": ["none/**"]}`, "Prefer", "respond-async")
	first := failures.of("update.failed", failed.update.Id)
	if second := all.of("update.failed", failed.update.Id); first.ID != second.ID || second.Data.Update.LastError == nil {
		t.Errorf("failed: %s", second.Body)
	}
	if n := len(failures.all()); n != 1 {
		t.Errorf("who is told of failures alone got %+v", failures.all())
	}

	v.swap(map[string]string{"config.yaml": notifiedTargets + toInbox("all", later.URL, "")})
	w.reloads("applied", 1)
	again := w.post(`{"image": "` + worker + `", "version": "v4", "repository": "refty-yapi/refty-infra-test"}`)
	later.of("update.committed", again.update.Id)
	w.reaches(`versions_service_notifications_total{endpoint="all",outcome="delivered"}`, 5)
	for _, m := range all.all() {
		if m.Data.Update.Id == again.update.Id || m.Data.Update.Status == api.StatusUnchanged {
			t.Errorf("it was told of %s", m.Body)
		}
	}
	for _, secret := range []string{notifySecret, "path-that-is-secret"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNotificationsSurviveCrashes kills the program right after each answer, and while a
// notification is under way: each outcome is told of at least once, and a repetition has
// the id and the body of before.
func TestNotificationsSurviveCrashes(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	arrived, killed := make(chan struct{}), make(chan struct{})
	b.answer = func(n int) int {
		if n == 1 {
			close(arrived)
			<-killed
		}
		return http.StatusNoContent
	}
	t.Cleanup(func() {
		select {
		case <-killed:
		default:
			close(killed)
		}
	})
	w := prepare(t, withData(), withConfig("targets:\n  - {repository: refty-yapi/refty-infra-test}\nnotify:\n"+toInbox("all", b.URL, "")))
	var ids []string
	for k := range 3 {
		p := w.spawn()
		r := p.post(fmt.Sprintf(`{"image": %q, "version": "v%d"}`, node, k))
		if r.status != http.StatusCreated {
			t.Fatalf("%d: %s", r.status, r.body)
		}
		ids = append(ids, r.update.Id)
		if k == 0 {
			<-arrived
		}
		p.kill()
		if k == 0 {
			close(killed)
		}
	}
	p := w.spawn()
	bodies := map[string]string{}
	for _, id := range ids {
		b.of("update.committed", id)
	}
	times := map[string]int{}
	for _, m := range b.all() {
		if before, ok := bodies[m.ID]; ok && before != m.Body {
			t.Errorf("%s first was\n%s\nand then\n%s", m.ID, before, m.Body)
		}
		bodies[m.ID] = m.Body
		times[m.Data.Update.Id]++
	}
	if times[ids[0]] < 2 || len(bodies) != len(ids) {
		t.Errorf("%d ids of %d outcomes; the one that was under way came %d times", len(bodies), len(ids), times[ids[0]])
	}
	p.terminate(patience)
}

// TestChatRelay serves the relay of the page on configuration, and has it turn a
// notification into a message of a chat.
func TestChatRelay(t *testing.T) {
	t.Parallel()
	page, err := pages.Read("../../..", "pkg/config/README.md")
	if err != nil {
		t.Fatal(err)
	}
	section, _ := page.Section("notifications")
	at := slices.IndexFunc(section.Blocks, func(b pages.Block) bool {
		return b.Language == "sh" && strings.Contains(b.Text, "chat-relay <<'RELAY'")
	})
	if at < 0 {
		t.Fatal("the page has no relay")
	}
	_, script, _ := strings.Cut(section.Blocks[at].Text, "<<'RELAY'\n")
	script, _, _ = strings.Cut(script, "RELAY\n")
	path := filepath.Join(t.TempDir(), "chat-relay")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	posts := make(chan string, 10)
	chat := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posts <- string(body)
	}))
	t.Cleanup(chat.Close)
	relay := httptest.NewServer(&cgi.Handler{Path: path, Env: []string{
		"NOTIFY_SECRET=" + notifySecret, "CHAT_URL=" + chat.URL, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(),
	}})
	t.Cleanup(relay.Close)
	w := start(t, withConfig("targets:\n  - {name: staging, repository: refty-yapi/refty-infra-test}\nnotify:\n"+toInbox("chat", relay.URL, "")))
	r := w.post(mission)
	var said struct{ Text string }
	select {
	case text := <-posts:
		w.must(json.Unmarshal([]byte(text), &said))
	case <-time.After(patience):
		t.Fatalf("the chat got nothing:\n%s", w.logs)
	}
	if want := node + ":05-06-42a252 committed: staging (2 files) " + r.update.Targets[0].Commit.Url; said.Text != want {
		t.Errorf("the chat got %q, want %q", said.Text, want)
	}
	forged, err := http.NewRequestWithContext(t.Context(), http.MethodPost, relay.URL, strings.NewReader(`{"data": {"text": "forged"}}`))
	w.must(err)
	for name, value := range map[string]string{"webhook-id": "msg_1", "webhook-timestamp": fmt.Sprint(time.Now().Unix()), "webhook-signature": "v1,AAAA"} {
		forged.Header.Set(name, value)
	}
	answer, err := (&http.Client{}).Do(forged)
	w.must(err)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized || len(posts) > 0 {
		t.Errorf("a forged one is answered %d", answer.StatusCode)
	}
}
