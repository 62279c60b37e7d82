package sandbox_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const asJSON = "Content-Type: application/json"

func TestOrders(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	order := func(status int, method, path, body string) reply {
		t.Helper()
		var b any
		if body != "" {
			b = body
		}
		return h.must(status, h.do(method, "//_sandbox/"+path, b, asJSON, "Authorization: "))
	}
	order(200, "PATCH", "settings", `{"latency":"1ms","tree_entries":1,"limiter":{"on":true,"per_hour":5000}}`)
	set := h.Settings()
	if set.TreeEntries != 1 || !set.Limiter.On || set.Limiter.ContentPerMinute != 80 || set.Latency == 0 {
		t.Errorf("settings %+v", set)
	}
	order(400, "PATCH", "settings", `{"no_such":1}`)
	order(400, "POST", "faults", `{"effect":"no_such"}`)
	made := order(200, "POST", "faults", `{"effect":"lost_race","times":1,"message":"Reference update failed"}`)
	if r := h.patch(h.next()); r.text("message") != "Reference update failed" {
		t.Errorf("fault by order: %d %s", r.status, r.body)
	}
	order(204, "DELETE", "faults/"+made.text("id"), "")
	order(404, "DELETE", "faults/"+made.text("id"), "")
	sha := order(200, "POST", "repositories/octo-org/infra/commits", `{"message":"theirs","files":{"x.yaml":"x\n"}}`).text("sha")
	if sha == "" || sha != h.head() {
		t.Errorf("pushed %q, head %s", sha, h.head())
	}
	order(200, "PATCH", "repositories/octo-org/infra", `{"private":true,"protection":{"main":{"ruleset":true}}}`)
	h.must(404, h.do("GET", "/branches/main", nil, "Authorization: "))
	if r := h.patch(h.next()); !strings.HasPrefix(r.text("message"), "Repository rule violations found") {
		t.Errorf("protected by order: %s", r.body)
	}
	if listed := string(order(200, "GET", "repositories", "").body); !strings.Contains(listed, `"dir":"`+h.repo.Dir()+`"`) {
		t.Errorf("repositories: %s", listed)
	}
	order(200, "PATCH", "repositories/octo-org/infra", `{"name":"octo-org/infra","protection":{"main":null}}`)
	h.must(200, h.patch(h.next()))
	order(404, "PATCH", "repositories/octo-org/infra", `{"default_branch":"none"}`)
	order(200, "POST", "repositories/octo-org/infra/commits", `{"branch":"trunk","message":"m","files":{"x.yaml":"x\n"}}`)
	order(200, "PATCH", "repositories/octo-org/infra", `{"default_branch":"trunk"}`)
	if got := h.must(200, h.do("GET", "", nil)).text("default_branch"); got != "trunk" {
		t.Errorf("the default branch is %q", got)
	}
	h.must(200, h.do("GET", "/branches/main", nil))
	order(204, "POST", "tokens", `{"secret":"reader","permissions":{"contents":"read"}}`)
	h.must(403, h.do("POST", "/git/blobs", map[string]string{"content": ""}, "Authorization: Bearer reader"))
	if got := order(200, "GET", "requests", "").field("counts", "PATCH /repos/{owner}/{repo}/git/refs/{ref}"); got != 3.0 {
		t.Errorf("%v updates counted, want 3", got)
	}
	order(204, "POST", "reset", "{}")
	if diff := cmp.Diff(sandbox.DefaultSettings(), h.Settings()); diff != "" || len(h.Requests()) != 0 || len(h.Faults()) != 0 {
		t.Errorf("after reset: %d requests, settings (-want +got):\n%s", len(h.Requests()), diff)
	}
	h.must(415, h.do("POST", "//_sandbox/reset", "{}", "Content-Type: text/plain"))
}

// Every ready-made fault can be ordered by its name alone.
func TestFaultNames(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	all := h.must(400, h.do("POST", "//_sandbox/faults", `{"effect":""}`, asJSON)).text("message")
	_, names, _ := strings.Cut(all, "known are ")
	list := strings.Split(names, ", ")
	if len(list) < 20 {
		t.Fatalf("names: %q", all)
	}
	for _, name := range list {
		h.must(200, h.do("POST", "//_sandbox/faults", map[string]string{"effect": name}, asJSON))
	}
	if got := len(h.Faults()); got != len(list) {
		t.Errorf("%d faults, want %d", got, len(list))
	}
}

func TestCommitPage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.commit(sandbox.Files{"a.yaml": text("image: a:1\nother: x\n")})
	sha := h.commit(sandbox.Files{"a.yaml": text("image: a:2\nother: x\n")})
	url := h.must(200, h.do("GET", "/git/commits/"+sha, nil)).text("html_url")
	r := h.must(200, h.send("GET", url, nil, "Authorization: "))
	for _, want := range []string{"commit " + sha, "    change\n", "-image: a:1\n+image: a:2\n", "diff --git a/a.yaml b/a.yaml"} {
		if !strings.Contains(string(r.body), want) {
			t.Errorf("no %q in\n%s", want, r.body)
		}
	}
	h.must(404, h.do("GET", "//octo-org/infra/commit/"+nobody, nil))
	h.repo.SetPrivate(true)
	h.must(404, h.send("GET", url, nil, "Authorization: "))
}
