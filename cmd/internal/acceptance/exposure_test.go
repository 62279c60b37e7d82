package acceptance_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// plain sends a request that need not fit the contract.
func (w *world) plain(url string, change func(*http.Request)) (status int, header http.Header, body string) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	w.must(err)
	if change != nil {
		change(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	w.must(err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	w.must(err)
	return response.StatusCode, response.Header, string(content)
}

func TestMetricsApart(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("METRICS_ADDR", "127.0.0.1:0"))
	for _, test := range []struct {
		url    string
		status int
		has    string // of the body; "" for an empty one
	}{
		{w.url + "/readyz", http.StatusOK, ""},
		{w.url + "/healthz", http.StatusOK, `"ok"`},
		{w.url + "/metrics", http.StatusNotFound, `"not_found"`},
		{w.url + "/docs", http.StatusOK, "swagger"},
		{w.metricsURL + "/readyz", http.StatusOK, repoName},
		{w.metricsURL + "/metrics", http.StatusOK, "versions_service_build_info"},
		{w.metricsURL + "/healthz", http.StatusOK, `"ok"`},
		{w.metricsURL + "/v1/updates", http.StatusNotFound, `"not_found"`},
		{w.metricsURL + "/docs", http.StatusNotFound, `"not_found"`},
		{w.metricsURL + "/", http.StatusNotFound, `"not_found"`},
	} {
		status, _, body := w.plain(test.url, nil)
		if status != test.status || !strings.Contains(body, test.has) || test.has == "" && body != "" {
			t.Errorf("%s: status %d, body %.300q", test.url, status, body)
		}
	}
	if r := w.post(mission); r.status != http.StatusCreated {
		t.Errorf("an update: %d", r.status)
	}
}

func TestWrongTokensAreSlowed(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken), withEnv("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"), withEnv("LOG_LEVEL", "info"))
	const tries, burst = 100, 20
	from := func(address, token string) reply {
		return w.get("/v1/updates", "Authorization", "Bearer "+token, "X-Forwarded-For", address)
	}
	slowed := 0
	for range tries {
		r := from("203.0.113.9, 198.51.100.7", "wrong")
		if r.status == http.StatusTooManyRequests {
			slowed++
			if r.header.Get("Retry-After") == "" || r.problem.Code != api.ProblemCodeRateLimited {
				t.Fatalf("Retry-After %q: %s", r.header.Get("Retry-After"), r.body)
			}
		}
	}
	if slowed < tries-2*burst || slowed > tries-burst {
		t.Errorf("%d of %d are slowed", slowed, tries)
	}
	if r := from("198.51.100.7", callerToken); r.status != http.StatusOK {
		t.Errorf("a right secret from that address: %d: %s", r.status, r.body)
	}
	wantProblem(t, from("198.51.100.8", "wrong"), http.StatusUnauthorized, api.ProblemCodeUnauthenticated)
	warned := map[any]int{}
	for line := range strings.Lines(w.logs.String()) {
		var fields map[string]any
		w.must(json.Unmarshal([]byte(line), &fields))
		if fields["msg"] == "request" && fields["status"] != 200.0 {
			t.Errorf("a line for each wrong token: %s", line)
		}
		if text, _ := fields["msg"].(string); strings.Contains(text, "without a right token") {
			warned[fields["address"]]++
		}
	}
	if len(warned) != 2 || warned["198.51.100.7"] != 1 || warned["198.51.100.8"] != 1 {
		t.Errorf("warnings by address: %v", warned)
	}
	metrics := w.get("/metrics").body
	for _, line := range []string{`versions_service_wrong_tokens_total{verdict="refused"}`, `versions_service_wrong_tokens_total{verdict="slowed"}`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %s", line)
		}
	}
}

func TestBrowsersAreKeptOut(t *testing.T) {
	t.Parallel()
	open := start(t, withEnv("WEBHOOK_DOCKERHUB_SECRET", hookSecret))
	closed := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken))
	post := func(r *http.Request) {
		r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader(mission))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+callerToken)
	}
	site := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { post(r); r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.Host = name }
	}
	for name, test := range map[string]struct {
		w      *world
		path   string
		change func(*http.Request)
		status int
	}{
		"a page of another site":               {open, "/v1/updates", site("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"of another host of the site":          {open, "/v1/updates", site("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"an old browser":                       {open, "/v1/updates", site("Origin", "https://evil.example.com"), http.StatusForbidden},
		"with a token":                         {closed, "/v1/updates", site("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"our own page":                         {open, "/v1/updates", site("Sec-Fetch-Site", "same-origin"), http.StatusCreated},
		"no browser":                           {closed, "/v1/updates", post, http.StatusCreated},
		"a link to the documentation":          {open, "/docs", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusOK},
		"another name of this machine":         {open, "/v1/updates", host("evil.example.com"), http.StatusForbidden},
		"another name, and the metrics":        {open, "/metrics", host("evil.example.com:8080"), http.StatusForbidden},
		"a name that begins like this machine": {open, "/v1/updates", host("127.0.0.1.example.com"), http.StatusForbidden},
		"localhost":                            {open, "/v1/updates", host("LocalHost:8080"), http.StatusOK},
		"IPv6":                                 {open, "/v1/updates", host("[::1]:8080"), http.StatusOK},
		"a tunnel to a webhook":                {open, "/v1/webhooks/dockerhub", host("tunnel.example.com"), http.StatusMethodNotAllowed},
		"another name where callers have tokens": {closed, "/v1/updates", func(r *http.Request) {
			r.Host = "versions.example.com"
			r.Header.Set("Authorization", "Bearer "+callerToken)
		}, http.StatusOK},
	} {
		if status, _, body := test.w.plain(test.w.url+test.path, test.change); status != test.status {
			t.Errorf("%s: status %d, want %d: %.300s", name, status, test.status, body)
		}
	}
}

// TestEveryAnswerIsHardened looks at pages, errors, redirects and files.
func TestEveryAnswerIsHardened(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, path := range []string{"/", "/docs", "/docs/swagger-ui.css", "/openapi.yaml", "/v1/updates", "/none", "/healthz", "/metrics"} {
		_, header, _ := w.plain(w.url+path, nil)
		policy := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: no %s in the policy %q", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") && !strings.HasPrefix(path, "/docs") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
			if header.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, header.Get(name))
			}
		}
	}
}

// TestOpenServiceIsWarnedOf listens on every address without callers.
func TestOpenServiceIsWarnedOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		w := start(t, withEnv("LISTEN_ADDR", addr))
		w.get("/healthz")
		if got := strings.Contains(w.logs.String(), "AUTH=none: everybody who reaches this address"); got != want {
			t.Errorf("%s: warned %v, want %v", addr, got, want)
		}
	}
}
