package acceptance_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func TestCallersAreAuthenticated(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken+",ci=rotated-secret,cd=other=with=equals"))
	for name, authorization := range map[string]string{
		"none": "", "another": "Bearer nobody", "half of it": "Bearer " + callerToken[:10], "basic": "Basic " + callerToken,
		"no scheme": callerToken, "name and secret": "Bearer ci=" + callerToken, "empty": "Bearer ",
	} {
		r := w.post(mission, "Authorization", authorization)
		if r.status != http.StatusUnauthorized || r.problem.Code != api.ProblemCodeUnauthenticated || r.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: status %d: %s", name, r.status, r.body)
		}
	}
	if got := len(w.hub.Requests()); got != 0 {
		t.Errorf("%d requests to GitHub", got)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/docs", "/openapi.yaml"} {
		if r := w.get(path); r.status != http.StatusOK {
			t.Errorf("GET %s without a token: %d", path, r.status)
		}
	}
	for _, authorization := range []string{"Bearer " + callerToken, "bearer rotated-secret", "Bearer other=with=equals"} {
		if r := w.post(mission, "Authorization", authorization); r.status >= 300 {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	}
	lines := w.logs.requests(t, "/v1/updates")
	if last := lines[len(lines)-1]; last["caller"] != "cd" {
		t.Errorf("log line: %v", last)
	}
}

func TestOneCallerCannotTakeEveryPlace(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci=one,cd=two"))
	release := make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { <-release }).Once())

	const places = 256
	var all sync.WaitGroup
	statuses := make(chan int, places+1)
	for range places + 1 {
		all.Go(func() {
			r, err := w.tryPost(mission, "Authorization", "Bearer one")
			if err != nil {
				t.Error(err)
			}
			if r.status == http.StatusTooManyRequests && r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			statuses <- r.status
		})
	}
	select {
	case first := <-statuses: // only the one too many is answered by now
		if first != http.StatusTooManyRequests {
			t.Errorf("status %d", first)
		}
	case <-time.After(patience):
		t.Error("nobody was refused")
	}
	other := make(chan reply, 1)
	go func() {
		r, _ := w.tryPost(`{"image": "`+worker+`", "version": "v2"}`, "Authorization", "Bearer two")
		other <- r
	}()
	close(release)
	if r := <-other; r.status != http.StatusCreated {
		t.Errorf("another caller: status %d: %s", r.status, r.body)
	}
	all.Wait()
	if len(w.log()) != 3 {
		t.Errorf("%d commits", len(w.log()))
	}
}
