package acceptance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
)

// A request with very many wrong fields is answered with the first ones, and its
// answer and log line stay short.
func TestVeryManyWrongFields(t *testing.T) {
	t.Parallel()
	w := start(t)
	var b strings.Builder
	for i := range 90_000 {
		fmt.Fprintf(&b, `"f%d":1,`, i)
	}
	for name, tt := range map[string]struct{ body, more string }{
		"unknown fields":        {`{` + b.String() + `"image": "a:1", "version": "1"}`, "and 89981 more"},
		"elements of no type":   {`{"image": "a", "version": "1", "paths": [` + strings.Repeat("1,", 90_000) + `1]}`, "and "},
		"unknown and nested":    {`{"image": "a", "version": "1", "source": {` + b.String() + `"url": "x"}}`, "and 89981 more"},
		"a field that is large": {`{"image": "a", "version": "1", "x": {` + b.String() + `"url": "x"}}`, ""},
	} {
		r := w.post(tt.body)
		wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		if len(r.body) > 8<<10 || r.problem.Errors == nil || len(*r.problem.Errors) > 21 || !strings.Contains(r.problem.Detail, tt.more) {
			t.Errorf("%s: %d bytes: %.3000s", name, len(r.body), r.body)
		}
	}
	if log := w.logs.String(); len(log) > 64<<10 {
		t.Errorf("the log has %d bytes", len(log))
	}
}

// What a caller chooses of a log line has a bound.
func TestLongPathIsCutInTheLog(t *testing.T) {
	t.Parallel()
	w := start(t)
	if r := w.get("/" + strings.Repeat("x", 30_000)); r.status != http.StatusNotFound {
		t.Errorf("status %d", r.status)
	}
	for line := range strings.Lines(w.logs.String()) {
		if len(line) > 4<<10 {
			t.Errorf("a line of %d bytes: %.200s", len(line), line)
		}
	}
}

// Parameters are named by their own members of the problem.
func TestWrongParametersAreNamed(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, tt := range []struct {
		method, path string
		headers      []string
		in, name     string
	}{
		{http.MethodGet, "/v1/updates?limit=0", nil, "query", "limit"},
		{http.MethodGet, "/v1/updates?cursor=x", nil, "query", "cursor"},
		{http.MethodGet, "/v1/updates?image=a:1", nil, "query", "image"},
		{http.MethodGet, "/v1/updates?colour=red", nil, "query", "colour"},
		{http.MethodPost, "/v1/updates", []string{"Idempotency-Key", "two words", "Content-Type", "application/json"}, "header", "Idempotency-Key"},
	} {
		r, err := w.try(tt.method, tt.path, strings.NewReader(mission), tt.headers...)
		w.must(err)
		wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		if r.problem.Errors == nil || len(*r.problem.Errors) != 1 {
			t.Fatalf("%s: %s", tt.path, r.body)
		}
		e := (*r.problem.Errors)[0]
		if e.In == nil || string(*e.In) != tt.in || e.Name == nil || *e.Name != tt.name || e.Pointer != "" || e.Detail == "" ||
			!strings.Contains(r.problem.Detail, tt.name+": "+e.Detail) {
			t.Errorf("%s: %s", tt.path, r.body)
		}
	}
}

// HEAD is answered wherever GET is, without the body; Allow tells the truth.
func TestHeadAndAllow(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_QUAY_SECRET", hookSecret), withEnv("WEBHOOK_ACR_SECRET", hookSecret))
	id := w.post(mission).update.Id
	for _, path := range []string{"/", "/docs", "/openapi.yaml", "/healthz", "/readyz", "/metrics", "/v1/updates", "/v1/updates/" + id, "/v1/updates/" + id + "x", "/v1/updates?limit=0"} {
		head, err := w.try(http.MethodHead, path, nil)
		if err != nil {
			// A problem without its body is no JSON.
			if !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "unexpected end") {
				t.Fatal(err)
			}
		}
		got := w.get(path)
		if head.status != got.status || head.body != "" || head.header.Get("Content-Type") != got.header.Get("Content-Type") || head.header.Get("Location") != got.header.Get("Location") {
			t.Errorf("HEAD %s: %d %q; GET: %d", path, head.status, head.body, got.status)
		}
	}
	for _, tt := range []struct{ method, path, allow string }{
		{http.MethodPut, "/v1/updates", "GET, HEAD, POST"},
		{http.MethodDelete, "/healthz", "GET, HEAD"},
		{http.MethodHead, "/v1/updates/" + id + "/retry", "POST"},
		{http.MethodGet, "/v1/webhooks/quay", "POST"},
		{http.MethodOptions, "/v1/webhooks/quay", "POST"},
		{http.MethodGet, "/v1/webhooks/acr", "OPTIONS, POST"},
	} {
		request, err := http.NewRequest(tt.method, w.url+tt.path, http.NoBody)
		w.must(err)
		response, err := http.DefaultClient.Do(request)
		w.must(err)
		w.must(response.Body.Close())
		allow := strings.Split(response.Header.Get("Allow"), ",")
		for i := range allow {
			allow[i] = strings.TrimSpace(allow[i])
		}
		slices.Sort(allow)
		if got := strings.Join(allow, ", "); response.StatusCode != http.StatusMethodNotAllowed || got != tt.allow {
			t.Errorf("%s %s: %d, Allow %q, want %q", tt.method, tt.path, response.StatusCode, got, tt.allow)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
		r, err := w.try(method, "/v1/webhooks/harbor", nil)
		if method == http.MethodOptions {
			w.must(err)
		}
		wantProblem(t, r, http.StatusNotFound, api.ProblemCodeNotFound)
		if !strings.Contains(r.problem.Detail, "no webhook source of this name") {
			t.Errorf("%s: %s", method, r.body)
		}
	}
}

// A request that its headers or its URL give away is answered before its body
// comes.
func TestUnprovenBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("WEBHOOK_QUAY_SECRET", hookSecret))
	for path, header := range map[string]string{
		"ghcr": "X-Hub-Signature-256: sha256=abc", "quay?token=guess": "X-A: b",
	} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		w.must(err)
		t.Cleanup(func() { _ = connection.Close() })
		w.must(connection.SetDeadline(time.Now().Add(patience)))
		_, err = fmt.Fprintf(connection, "POST /v1/webhooks/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n%s\r\n\r\n", path, header)
		w.must(err)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		w.must(err)
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}

// halfSend keeps that many connections open on which only the beginning of a request was
// sent, until ctx ends. The service waits for the rest for a while only: then they begin
// again.
func (w *world) halfSend(ctx context.Context, connections int, beginning string) {
	for range connections {
		go func() {
			for ctx.Err() == nil {
				connection, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
				if err != nil {
					return
				}
				stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
				_, _ = fmt.Fprint(connection, beginning)
				_, _ = io.Copy(io.Discard, connection)
				stop()
				_ = connection.Close()
			}
		}()
	}
}

// Bodies whose signature is still to be compared share one budget; others do not
// suffer from it.
func TestUnprovenBodiesShareABudget(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(`
webhooks:
  - {name: ghcr, kind: ghcr, secrets: [{value: `+hookSecret+`}]}
  - {name: quay, kind: quay, secrets: [{value: `+hookSecret+`}]}
limits: {bodies: 4MiB}
`))
	const size = 1 << 20
	forged := "X-Hub-Signature-256: sha256=" + strings.Repeat("a", 64)
	sending, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	w.halfSend(sending, 4, fmt.Sprintf("POST /v1/webhooks/ghcr HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n\r\n{", size, forged))
	body := pushed("v1")
	var r reply
	for deadline := time.Now().Add(patience); r.status != http.StatusServiceUnavailable; <-time.After(betweenLooks) {
		if r = w.deliver("ghcr", body, signed(body, "d1")...); time.Now().After(deadline) {
			t.Fatalf("never refused: %d %s", r.status, r.body)
		}
	}
	wantProblem(t, r, http.StatusServiceUnavailable, api.ProblemCodeUnavailable)
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	wantReceipt(t, w.deliver("quay?token="+hookSecret, `{"docker_url": "quay.io/octo-org/app"}`), http.StatusOK, api.IdleReceiptStatusIgnored)
	wantCommitted(t, w.post(mission))

	hangUp()
	for deadline := time.Now().Add(patience); r.status/100 != 2; <-time.After(betweenLooks) {
		if r = w.deliver("ghcr", body, signed(body, "d1")...); time.Now().After(deadline) {
			t.Fatalf("the budget is not given back: %d %s", r.status, r.body)
		}
	}
}

// Bodies of unknown length are read as well, up to the bound.
func TestChunkedBodies(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret))
	chunked := func(body string) io.Reader { return struct{ io.Reader }{strings.NewReader(body)} }
	body := `{"zen": "` + strings.Repeat("z", 900<<10) + `"}`
	r, err := w.try(http.MethodPost, "/v1/webhooks/ghcr", chunked(body), signed(body, "d")...)
	w.must(err)
	wantReceipt(t, r, http.StatusOK, api.IdleReceiptStatusIgnored)
	body = `{"zen": "` + strings.Repeat("z", 1<<20) + `"}`
	r, err = w.try(http.MethodPost, "/v1/webhooks/ghcr", chunked(body), signed(body, "d")...)
	w.must(err)
	wantProblem(t, r, http.StatusRequestEntityTooLarge, api.ProblemCodeTooLarge)
	r, err = w.try(http.MethodPost, "/v1/updates", chunked(mission), "Content-Type", "application/json")
	w.must(err)
	wantCommitted(t, r)
}

// A place in flight is taken before a body is read.
func TestPlaceIsTakenBeforeTheBody(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.halfSend(t.Context(), 256, "POST /v1/updates HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		r := w.post(`{}`)
		if r.status == http.StatusTooManyRequests {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never refused: %d", r.status)
		}
	}
}

// A push of another registry than the source's is ignored, told and counted.
func TestWebhookOfAnotherRegistry(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_QUAY_SECRET", hookSecret), withEnv("WEBHOOK_HARBOR_SECRET", hookSecret),
		withEnv("WEBHOOK_DISTRIBUTION_SECRET", hookSecret), withEnv("WEBHOOK_DISTRIBUTION_IMAGES", "registry.example.com/{team,shop}/**, ghcr.io/octo-org/*"))
	head := w.head()
	r := w.deliver("quay?token="+hookSecret, `{"docker_url": "`+node+`", "updated_tags": ["v2"]}`)
	wantReceipt(t, r, http.StatusOK, api.IdleReceiptStatusIgnored)
	var receipt api.IdleReceipt
	w.must(json.Unmarshal([]byte(r.body), &receipt))
	if receipt.Reason == nil || *receipt.Reason != "other_registry" || receipt.Detail == nil || !strings.Contains(*receipt.Detail, "ghcr.io") {
		t.Errorf("receipt: %s", r.body)
	}
	other := `{"events": [{"action": "push", "target": {"repository": "other/app", "tag": "1"}, "request": {"host": "registry.example.com"}}]}`
	r = w.deliver("distribution", other, "Authorization", hookSecret)
	if !strings.Contains(r.body, `"other_image"`) {
		t.Errorf("receipt: %s", r.body)
	}
	metrics := w.get("/metrics").body
	for _, want := range []string{`{source="quay",verdict="other_registry"} 1`, `{source="distribution",verdict="other_image"} 1`} {
		if !strings.Contains(metrics, "versions_service_webhook_deliveries_total"+want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if w.head() != head {
		t.Error("the branch moved")
	}
	log := w.logs.String()
	if strings.Count(log, "may move any image") != 1 || !strings.Contains(log, `"source":"harbor","kind":"harbor"`) {
		t.Errorf("the warnings at the start: %s", log)
	}
}

// A wrong secret is the operator's to see, and nobody else's.
func TestRefusedDeliveriesAreTold(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_QUAY_SECRET", hookSecret))
	for range 3 {
		r := w.deliver("quay?token=guess", "{}")
		wantProblem(t, r, http.StatusUnauthorized, api.ProblemCodeUnauthenticated)
	}
	warnings := 0
	for line := range strings.Lines(w.logs.String()) {
		if strings.Contains(line, `"level":"WARN"`) && strings.Contains(line, "webhook deliveries refused") && strings.Contains(line, `"source":"quay"`) {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings in a minute", warnings)
	}
	if !strings.Contains(w.get("/metrics").body, `versions_service_webhook_deliveries_total{source="quay",verdict="refused"} 3`) {
		t.Error("they are not counted")
	}
}

// A delivery with very many pushes is seen as failed, at once.
func TestDeliveryWithVeryManyTags(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_QUAY_SECRET", hookSecret))
	var tags []string
	for i := range 100_000 {
		tags = append(tags, fmt.Sprintf(`"t%d"`, i))
	}
	r := w.deliver("quay?token="+hookSecret, `{"docker_url": "quay.io/octo-org/app", "updated_tags": [`+strings.Join(tags, ",")+`]}`)
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusFailed)
	record := w.ended(*r.receipt.Id)
	if len(r.receipt.Updates) != 1 || *record.Image != "quay.io/octo-org/app" || record.LastError == nil || !strings.Contains(*record.LastError, "more than 100 pushes") {
		t.Errorf("%s\n%+v", r.body, record)
	}
}

// Complicated globs of one request do not keep the others waiting.
func TestComplicatedGlobs(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 2000 {
		files[fmt.Sprintf("clusters/production/region-%d/apps/team-a/service-%d/deployment.yaml", i%7, i)] = deployment(fmt.Sprintf("ghcr.io/octo-org/app-%d:1", i))
	}
	w := start(t, withFiles(files))
	globs := func(glob string, n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("%q", strings.ReplaceAll(glob, "N", fmt.Sprint(i))))
		}
		return `{"image": "` + node + `", "version": "v9", "paths": [` + strings.Join(all, ",") + `]}`
	}
	for name, glob := range map[string]string{
		"braces": "**/{*a,*b,*c,*d,*e,*f}/**/xN", "nested braces": "**/{*a,{*b,*c},*d}/**/xN", "many stars": "**/" + strings.Repeat("*a", 40) + "N",
	} {
		r := w.post(globs(glob, 100))
		wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		if r.problem.Errors == nil || (*r.problem.Errors)[0].Pointer != "/paths" {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	wantCommitted(t, w.post(globs("apps/*/N/**", 99)[:len(globs("apps/*/N/**", 99))-2]+`,"apps/**"]}`))
	// The costliest that is allowed; the files were read before.
	start := time.Now()
	w.post(globs("**/*a*b*c*d/**/xN", 50))
	if took := time.Since(start); took > racetime.Slower*5*time.Second {
		t.Errorf("took %s", took)
	}
}

// Of the pushes of a delivery the one that no target takes is told in the log.
func TestPushThatNoTargetTakes(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("LOG_LEVEL", "info"), withConfig(`
targets:
  - {name: infra, repository: refty-yapi/refty-infra-test, images: ['ghcr.io/refty-yapi/**']}
webhooks:
  - {name: distribution, kind: distribution, secrets: [{value: `+hookSecret+`}], images: ["**"]}
`))
	event := func(repository string) string {
		return `{"action": "push", "target": {"repository": "` + repository + `", "tag": "1", "digest": "sha256:` + strings.Repeat("a", 64) + `", "mediaType": "application/vnd.oci.image.manifest.v1+json"}, "request": {"host": "ghcr.io"}}`
	}
	r := w.deliver("distribution", `{"events": [`+event("refty-yapi/refty-node/refty-node")+`, `+event("octo-org/other")+`]}`, "Authorization", hookSecret)
	wantReceipt(t, r, http.StatusAccepted, api.ReceiptStatusQueued)
	for deadline := time.Now().Add(patience); !strings.Contains(w.logs.String(), `"dropped":["no target takes the image ghcr.io/octo-org/other`); <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			t.Fatal(w.logs)
		}
	}
}
