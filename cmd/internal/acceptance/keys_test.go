package acceptance_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]string{
		"at once": nil, "waited for": {"Prefer", "wait=20"}, "not waited for": {"Prefer", "respond-async"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci=one,cd=two"))
			send := func(token, key, body string) reply {
				return w.post(body, append([]string{"Authorization", "Bearer " + token, "Idempotency-Key", key}, headers...)...)
			}
			first := send("one", "k", mission)
			again := send("one", "k", strings.ReplaceAll(mission, ", ", " ,\n "))
			if first.status/100 != 2 || again.status != first.status || again.body != first.body || again.header.Get("Location") != first.header.Get("Location") {
				t.Errorf("%d %s\n%d %s", first.status, first.body, again.status, again.body)
			}
			wantProblem(t, send("one", "k", setTo(node, "other")), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
			if r := send("two", "k", setTo(node, "other")); r.status/100 != 2 || r.update.Id == first.update.Id {
				t.Errorf("another caller: %d %s", r.status, r.body)
			}
			wantProblem(t, send("one", "a key", mission), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		})
	}
}

// A key is free again when one of the targets is worth another try.
func TestIdempotencyKeyOfTargetsThatDiffer(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoTargets), withRepository(otherRepo, map[string]string{"a.yaml": deployment(node + ":old")}))
	wantCommitted(t, w.post(`{"image": "`+node+`", "version": "v1", "repository": "`+repoName+`"}`))
	w.hub.Inject(sandbox.Refuse(500, "fault").On("POST", "git/trees"))
	wantTargets(t, w.post(setTo(node, "v1"), "Idempotency-Key", "k"), http.StatusMultiStatus,
		"refty-yapi/refty-infra-test unchanged", "production octo-org/infra failed upstream_error")
	w.hub.ClearFaults()
	wantTargets(t, w.post(setTo(node, "v1"), "Idempotency-Key", "k"), http.StatusCreated,
		"refty-yapi/refty-infra-test unchanged", "production octo-org/infra committed")
}

// Many at once with one key are one update, and get one answer.
func TestIdempotencyKeyOfManyAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.hub.Configure(func(s *sandbox.Settings) { s.Latency = sandbox.Duration(50 * time.Millisecond) })
	bodies := make([]string, 8)
	var all sync.WaitGroup
	for i := range bodies {
		all.Go(func() {
			r, err := w.tryPost(mission, "Idempotency-Key", "k")
			bodies[i] = fmt.Sprint(r.status, r.body, err)
		})
	}
	all.Wait()
	slices.Sort(bodies)
	if len(slices.Compact(bodies)) != 1 || !strings.HasPrefix(bodies[0], "201") {
		t.Errorf("answers: %s", strings.Join(bodies, "\n"))
	}
	if n := len(w.log()); n != 2 {
		t.Errorf("%d commits", n-1)
	}
}

// An answer that says to send the request again must let it come again; one that
// is final is kept.
func TestIdempotencyKeyOfAProblem(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.hub.Inject(sandbox.Refuse(500, "fault").On("POST", "git/trees"))
	wantProblem(t, w.post(mission, "Idempotency-Key", "k"), http.StatusBadGateway, api.ProblemCodeUpstreamError)
	w.hub.ClearFaults()
	wantCommitted(t, w.post(mission, "Idempotency-Key", "k"))

	absent := setTo("ghcr.io/octo-org/later", "1")
	first := w.post(absent, "Idempotency-Key", "l")
	wantProblem(t, first, http.StatusNotFound, api.ProblemCodeImageNotReferenced)
	w.push(map[string]string{"later.yaml": deployment("ghcr.io/octo-org/later:0")})
	if again := w.post(absent, "Idempotency-Key", "l"); again.body != first.body || again.status != first.status {
		t.Errorf("not the same answer: %s", again.body)
	}
}
