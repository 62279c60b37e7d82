package acceptance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const hookSecret = "secret-of-a-webhook-that-nobody-may-see"

// pushed is GitHub's event of a tag that was pushed to the mission's image.
func pushed(tag string) string {
	return fmt.Sprintf(`{"action": "published", "registry_package": {"name": "refty-node/refty-node", "namespace": "refty-yapi/refty-node/refty-node",
		"ecosystem": "CONTAINER", "package_type": "CONTAINER", "package_version": {"version": "sha256:%[2]s", "package_url": "ghcr.io/refty-yapi/refty-node/refty-node:%[1]s",
		"container_metadata": {"tag": {"name": "%[1]s", "digest": "sha256:%[2]s"}}}}}`, tag, strings.Repeat("a", 64))
}

// deliver posts to a webhook source.
func (w *world) deliver(path, body string, headers ...string) reply {
	w.t.Helper()
	r, err := w.try(http.MethodPost, "/v1/webhooks/"+path, strings.NewReader(body), headers...)
	w.must(err)
	return r
}

// signed are the headers of a delivery from GitHub.
func signed(body, delivery string) []string {
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	return []string{
		"Content-Type", "application/json", "X-GitHub-Event", "registry_package", "X-GitHub-Delivery", delivery,
		"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	}
}

// ended waits for the end of a stored update.
func (w *world) ended(id string, headers ...string) api.UpdateRecord {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r := w.get("/v1/updates/"+id, headers...)
		if r.status != http.StatusOK || r.record.Status != api.StatusQueued {
			return r.record
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("update %s does not end: %s", id, r.body)
		}
	}
}

func wantReceipt[S ~string](t *testing.T, r reply, status int, want S) {
	t.Helper()
	if r.status != status || string(r.receipt.Status) != string(want) {
		t.Errorf("status %d %s, want %d %s\n%s", r.status, r.receipt.Status, status, want, r.body)
	}
}

func TestWebhookMovesTheManifests(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken))
	body := pushed("v1")
	r := w.deliver("ghcr", body, signed(body, "d1")...)
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
	id := *r.receipt.Id
	if location := r.header.Get("Location"); location != "/v1/updates/"+id {
		t.Errorf("Location %q", location)
	}
	if r := w.get("/v1/updates/" + id); r.status != http.StatusUnauthorized {
		t.Errorf("the history without a token: %d", r.status)
	}
	var got api.UpdateRecord
	for deadline := time.Now().Add(patience); got.Status != api.StatusCommitted && time.Now().Before(deadline); <-time.After(betweenLooks) {
		got = w.get("/v1/updates/"+id, "Authorization", "Bearer "+callerToken).record
	}
	if got.Webhook == nil || *got.Webhook != "ghcr" || got.Status != api.StatusCommitted || got.Attempts != 1 || got.FinishedAt == nil {
		t.Errorf("record: %+v", got)
	}
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":v1") {
		t.Errorf("parser.yaml:\n%s", content)
	}
	if message := w.log()[0].Message; !strings.Contains(message, "Requested-By: webhook/ghcr\n") || !strings.Contains(message, "Update-Id: "+id) {
		t.Errorf("message: %s", message)
	}

	other := pushed("v2") // under the id of the first
	again := w.deliver("ghcr", other, signed(other, "d1")...)
	wantReceipt(t, again, http.StatusOK, api.IdleReceiptStatusDuplicate)
	if *again.receipt.Id != id || again.receipt.Updates[0].Version != "v1" || len(w.log()) != 2 {
		t.Errorf("a redelivery: %s, %d commits", again.body, len(w.log()))
	}
	if strings.Contains(w.logs.String(), hookSecret) {
		t.Error("the secret stands in the log")
	}
}

func TestWebhookThatIsNotAuthentic(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("WEBHOOK_DOCKERHUB_SECRET", hookSecret))
	body := pushed("v1")
	tests := map[string]struct {
		path, body string
		headers    []string
		status     int
		code       api.ProblemCode
	}{
		"no signature":     {"ghcr", body, []string{"X-GitHub-Event", "registry_package"}, 401, api.ProblemCodeUnauthenticated},
		"another body":     {"ghcr", body + " ", signed(body, "d"), 401, api.ProblemCodeUnauthenticated},
		"no JSON unsigned": {"ghcr", "{", signed(body, "d"), 401, api.ProblemCodeUnauthenticated},
		"no JSON":          {"ghcr", "{", signed("{", "d"), 400, api.ProblemCodeInvalidRequest},
		"no token":         {"dockerhub", "{}", nil, 401, api.ProblemCodeUnauthenticated},
		"wrong token":      {"dockerhub?token=guess", "{}", nil, 401, api.ProblemCodeUnauthenticated},
		"no such source":   {"quay?token=" + hookSecret, "{}", nil, 404, api.ProblemCodeNotFound},
		"a form":           {"dockerhub?token=" + hookSecret, "payload=1", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, api.ProblemCodeUnsupportedMediaType},
		"packed":           {"dockerhub?token=" + hookSecret, "x", []string{"Content-Encoding", "gzip"}, 415, api.ProblemCodeUnsupportedMediaType},
		"too large":        {"dockerhub?token=" + hookSecret, `"` + strings.Repeat("a", 1<<20) + `"`, nil, 413, api.ProblemCodeTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.deliver(tt.path, tt.body, tt.headers...)
			wantProblem(t, r, tt.status, tt.code)
			if tt.status == http.StatusUnauthorized && r.problem.Detail != "the delivery is not authentic" {
				t.Errorf("a word too much: %s", r.problem.Detail)
			}
		})
	}
	t.Cleanup(func() {
		if log := w.logs.String(); strings.Contains(log, hookSecret) || strings.Contains(log, "token=") {
			t.Error("a token stands in the log")
		}
		if page := w.get("/v1/updates"); len(page.page.Updates) != 0 {
			t.Errorf("stored: %s", page.body)
		}
	})
}

func TestWebhookThatIsIgnored(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(trap.Close)
	w := start(t, withEnv("WEBHOOK_DOCKERHUB_SECRET", hookSecret), withEnv("WEBHOOK_QUAY_SECRET", hookSecret), withEnv("WEBHOOK_ACR_SECRET", hookSecret))
	hub := "dockerhub?token=" + hookSecret
	push := func(repo, tag string) string {
		return fmt.Sprintf(`{"callback_url": %q, "push_data": {"pushed_at": %d.0e+0, "tag": %q}, "repository": {"repo_name": %q}}`, trap.URL, time.Now().Unix(), tag, repo)
	}
	for name, body := range map[string]string{
		"an event without tags":  `{"docker_url": "quay.io/octo-org/app"}`,
		"no push at all":         `[]`,
		"another shape entirely": `{"push_data": [1, 2], "repository": "x"}`,
	} {
		wantReceipt(t, w.deliver(hub, body), http.StatusOK, api.IdleReceiptStatusIgnored)
		t.Log(name, w.deliver(hub, body).body)
	}
	// A push that cannot be read is seen as failed.
	for name, body := range map[string]string{
		"an injected tag":    push("octo-org/app", "1.0\n- image: evil"),
		"a path that climbs": push("../x", "1"),
	} {
		r := w.deliver(hub, body)
		wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusFailed)
		if record := w.ended(*r.receipt.Id); record.Status != api.StatusFailed || record.LastError == nil || strings.Contains(*record.Version, "\n") {
			t.Errorf("%s: %+v", name, record)
		}
	}
	wantReceipt(t, w.deliver("quay?token="+hookSecret, `{"name": "build", "docker_url": "quay.io/octo-org/app"}`), http.StatusOK, api.IdleReceiptStatusIgnored)

	r := w.deliver(hub, push("octo-org/nobody-names-it", "1"))
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
	if record := w.ended(*r.receipt.Id); record.Status != api.StatusUnchanged || *record.Targets[0].Problem != (api.TargetProblem{
		Status: 404, Code: api.ProblemCodeImageNotReferenced, Detail: record.Targets[0].Problem.Detail,
	}) {
		t.Errorf("an image that nobody names: %+v", record)
	}
	if fetched.Load() != 0 {
		t.Error("the callback URL was fetched")
	}

	// Once a manifest names it, it can be tried again.
	w.push(map[string]string{"late.yaml": deployment("octo-org/nobody-names-it:0")})
	if again := w.retry(*r.receipt.Id); again.status != http.StatusAccepted {
		t.Errorf("retry: %d %s", again.status, again.body)
	}
	if record := w.ended(*r.receipt.Id); record.Status != api.StatusCommitted || record.Targets[0].Problem != nil {
		t.Errorf("after the retry: %+v", record)
	}

	handshake := w.deliver("acr?token="+hookSecret, `[{"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "512d"}}]`,
		"aeg-event-type", "SubscriptionValidation")
	if handshake.status != http.StatusOK || strings.TrimSpace(handshake.body) != `{"validationResponse":"512d"}` {
		t.Errorf("Event Grid's handshake: %d %s", handshake.status, handshake.body)
	}
	leave, err := w.try(http.MethodOptions, "/v1/webhooks/acr?token="+hookSecret, nil, "WebHook-Request-Origin", "eventgrid.azure.net")
	w.must(err)
	if leave.status != http.StatusOK || leave.header.Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" {
		t.Errorf("CloudEvents' handshake: %d %v", leave.status, leave.header)
	}
	if r, err := w.try(http.MethodOptions, "/v1/webhooks/quay?token="+hookSecret, nil); err != nil || r.status != http.StatusMethodNotAllowed {
		t.Errorf("OPTIONS of another kind: %d %v", r.status, err)
	}
	if metrics := w.get("/metrics").body; !strings.Contains(metrics, `versions_service_webhook_deliveries_total{source="dockerhub",verdict="ignored"} 6`) {
		t.Error("the ignored ones are not counted")
	}
}

// Docker Hub calls once for each platform, and has no id: one update, one commit.
func TestWebhookThatComesSixTimes(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_DOCKERHUB_SECRET", hookSecret), withFiles(map[string]string{"hub.yaml": deployment("refty-yapi/app:1")}))
	body := fmt.Sprintf(`{"push_data": {"pushed_at": %d, "tag": "2"}, "repository": {"repo_name": "refty-yapi/app"}}`, time.Now().Unix())
	ids := map[string]bool{}
	for range 6 {
		r := w.deliver("dockerhub?token="+hookSecret, body)
		if r.status/100 != 2 || r.receipt.Id == nil {
			t.Fatalf("%d %s", r.status, r.body)
		}
		ids[*r.receipt.Id] = true
	}
	if len(ids) != 1 {
		t.Errorf("%d updates", len(ids))
	}
	for id := range ids {
		w.ended(id)
	}
	if n := len(w.log()); n != 3 || !strings.Contains(w.file("hub.yaml"), "refty-yapi/app:2\n") {
		t.Errorf("%d commits; hub.yaml:\n%s", n, w.file("hub.yaml"))
	}
}

// An older push that is told of late is not applied.
func TestWebhooksAreSettledByPushTime(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(`
webhooks:
  - name: build
    kind: generic
    secrets: [{value: `+hookSecret+`}]
    tags: {semver: ">=1"}
    generic: {image: /image, version: /version, time: /at, id: /id, bearer: true}
`))
	send := func(version, at string) api.UpdateRecord {
		r := w.deliver("build", fmt.Sprintf(`{"image": %q, "version": %q, "at": %q, "id": %q}`, node, version, at, version), "Authorization", "Bearer "+hookSecret)
		wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
		return w.ended(*r.receipt.Id)
	}
	got := []api.Status{
		send("1.1.0", "2026-11-20T10:00:00Z").Status,
		send("1.3.0", "2026-11-20T12:00:00Z").Status,
		send("1.2.0", "2026-11-20T11:00:00Z").Status,
	}
	if diff := cmp.Diff([]api.Status{api.StatusCommitted, api.StatusCommitted, api.StatusSuperseded}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What a caller asks for now is newer than any push before.
	wantCommitted(t, w.post(setTo(node, "1.4.0")))
	if late := send("1.3.9", "2026-11-20T13:00:00Z"); late.Status != api.StatusSuperseded {
		t.Errorf("late: %+v", late)
	}
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":1.4.0") {
		t.Errorf("parser.yaml:\n%s", content)
	}
	r := w.deliver("build", `{"image": "`+node+`", "version": "latest"}`, "Authorization", "Bearer "+hookSecret)
	wantReceipt(t, r, http.StatusOK, api.IdleReceiptStatusIgnored)
}

// A push whose image has no name here is seen as failed; no sender can mend that.
func TestWebhookWithoutRegistryHost(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_ARTIFACTORY_SECRET", hookSecret))
	body := `{"domain": "docker", "event_type": "pushed", "data": {"repo_key": "docker-local", "path": "app/1.2/manifest.json", "name": "manifest.json",
		"sha256": "` + strings.Repeat("b", 64) + `", "image_name": "app", "tag": "1.2"}, "jpd_origin": ""}`
	r := w.deliver("artifactory", body, "X-JFrog-Event-Auth", hookSecret)
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusFailed)
	record := w.get("/v1/updates/" + *r.receipt.Id).record
	if record.Status != api.StatusFailed || record.LastError == nil || !strings.Contains(*record.LastError, "registry") || len(record.Targets) != 0 {
		t.Errorf("record: %+v", record)
	}
}

func TestWebhookForSomeTargets(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoTargets+`
webhooks:
  - {name: ghcr, kind: ghcr, secrets: [{value: old-secret}, {value: `+hookSecret+`}], targets: [production]}
limits: {webhook_body: 4KiB}
`), withRepository(otherRepo, map[string]string{"a.yaml": deployment(node + ":old")}))
	body := pushed("v1")
	r := w.deliver("ghcr", body, signed(body, "d1")...)
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
	record := w.ended(*r.receipt.Id)
	if len(record.Targets) != 1 || record.Targets[0].Repository != otherRepo || record.Status != api.StatusCommitted {
		t.Errorf("record: %+v", record)
	}
	if n := len(w.log()); n != 1 {
		t.Errorf("%d commits on the other target", n-1)
	}
	large := `{"zen": "` + strings.Repeat("z", 4<<10) + `"}`
	wantProblem(t, w.deliver("ghcr", large, signed(large, "d2")...), http.StatusRequestEntityTooLarge, api.ProblemCodeTooLarge)
}

// A delivery that failed is tried again when its sender delivers it again.
func TestWebhookThatFailedIsRedelivered(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret))
	w.repo.Protect("main", sandbox.Protection{Ruleset: true})
	body := pushed("v1")
	first := w.deliver("ghcr", body, signed(body, "d1")...)
	wantReceipt(t, first, http.StatusAccepted, api.ReceiptStatusQueued)
	if record := w.ended(*first.receipt.Id); record.Status != api.StatusFailed || record.Attempts != 1 || record.Targets[0].Problem.Code != api.ProblemCodeBranchProtected {
		t.Errorf("record: %+v", record)
	}
	w.repo.Unprotect("main")
	second := w.deliver("ghcr", body, signed(body, "d1")...)
	wantReceipt(t, second, http.StatusAccepted, api.ReceiptStatusRetried)
	if *second.receipt.Id != *first.receipt.Id {
		t.Errorf("another update: %s", second.body)
	}
	if record := w.ended(*first.receipt.Id); record.Status != api.StatusCommitted || record.LastError != nil || record.Targets[0].Problem != nil {
		t.Errorf("record: %+v", record)
	}
	if n := len(w.log()); n != 2 {
		t.Errorf("%d commits", n)
	}
}

// A tag that is pushed once more has a new digest: who pins it follows, who names
// the tag alone has it already.
func TestWebhookOfATagThatMoved(t *testing.T) {
	t.Parallel()
	pinned := deployment(node + ":v1@sha256:" + strings.Repeat("1", 64))
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withFiles(map[string]string{
		"apps/parser.yaml": pinned, "apps/sync.yml": deployment(node + ":v1"),
	}))
	body := pushed("v1")
	record := w.ended(*w.deliver("ghcr", body, signed(body, "d1")...).receipt.Id)
	if record.Status != api.StatusCommitted || len(record.Targets[0].Files) != 1 || record.Targets[0].Files[0].Path != "apps/parser.yaml" {
		t.Errorf("record: %+v", record)
	}
	if content := w.file("apps/parser.yaml"); content != strings.ReplaceAll(pinned, "1111", "aaaa") {
		t.Errorf("parser.yaml:\n%s", content)
	}
}

// The examples in the description are what is answered.
func TestExamplesOfWebhookAnswers(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	answers := doc.Paths.Find("/v1/webhooks/{source}").Post.Responses
	example := func(status int, name string) map[string]any {
		value, _ := answers.Status(status).Value.Content.Get("application/json").Examples[name].Value.Value.(map[string]any)
		return value
	}
	w := start(t, withEnv("WEBHOOK_QUAY_SECRET", hookSecret), withEnv("WEBHOOK_DOCKERHUB_SECRET", hookSecret),
		withEnv("WEBHOOK_ARTIFACTORY_SECRET", hookSecret), withEnv("WEBHOOK_ACR_SECRET", hookSecret))
	hub := `{"push_data": {"pushed_at": 1795201207, "tag": "05-06-42a252"}, "repository": {"repo_name": "refty-yapi/refty-node"}}`
	for _, tt := range []struct {
		name, path, body string
		status           int
		headers          []string
	}{
		{"ignored", "dockerhub?token=" + hookSecret, `{}`, 200, nil},
		{"other_registry", "quay?token=" + hookSecret, `{"docker_url": "ghcr.io/octo-org/web", "updated_tags": ["1"]}`, 200, nil},
		{"queued", "dockerhub?token=" + hookSecret, hub, 202, nil},
		{"duplicate", "dockerhub?token=" + hookSecret, hub, 200, nil},
		{"failed", "artifactory", `{"domain": "docker", "event_type": "pushed", "data": {"repo_key": "docker-local", "path": "app/1.2/manifest.json", "tag": "1.2"}}`, 202, []string{"X-JFrog-Event-Auth", hookSecret}},
		{"handshake", "acr?token=" + hookSecret, `[{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}}]`, 200, nil},
	} {
		r := w.deliver(tt.path, tt.body, tt.headers...)
		if r.status != tt.status {
			t.Errorf("%s: %d %s", tt.name, r.status, r.body)
			continue
		}
		var got map[string]any
		w.must(json.Unmarshal([]byte(r.body), &got))
		if diff := cmp.Diff(withoutIDs(example(tt.status, tt.name)), withoutIDs(got)); diff != "" {
			t.Errorf("%s (-example +got):\n%s", tt.name, diff)
		}
	}
}

// withoutIDs is a JSON value whose ids are all alike.
func withoutIDs(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, field := range value {
			if out[name] = withoutIDs(field); name == "id" {
				out[name] = "id"
			}
		}
		return out
	case []any:
		out := []any{}
		for _, element := range value {
			out = append(out, withoutIDs(element))
		}
		return out
	}
	return value
}
