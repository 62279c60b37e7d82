package acceptance_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// TestManyClientsAndACompetitor has 20 clients update 20 images at once while a
// competitor pushes other files all the while.
func TestManyClientsAndACompetitor(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"true", "false"} {
		t.Run("GROUP_COMMITS="+group, func(t *testing.T) {
			t.Parallel()
			manyClients(t, group)
		})
	}
}

func manyClients(t *testing.T, group string) {
	const clients = 20
	files := map[string]string{}
	for i := range clients {
		files[fmt.Sprintf("apps/%02d.yaml", i)] = deployment(fmt.Sprintf("octo-org/app-%02d:1", i))
	}
	w := start(t, withEnv("GROUP_COMMITS", group), withFiles(files))
	before := w.head()

	pushes := competitor(w)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			r, err := w.tryPost(fmt.Sprintf(`{"image": "octo-org/app-%02d", "version": "2"}`, i))
			if err != nil || r.status != http.StatusCreated {
				t.Errorf("client %d: status %d %v: %s", i, r.status, err, r.body)
			}
		})
	}
	all.Wait()
	competed := int(pushes.Load())

	for i := range clients {
		if got := w.file(fmt.Sprintf("apps/%02d.yaml", i)); !strings.Contains(got, "app-"+fmt.Sprintf("%02d:2\n", i)) {
			t.Errorf("app-%02d is not at version 2:\n%s", i, got)
		}
		if n := strings.Count(w.git("", "log", "-p", before+"..main"), fmt.Sprintf("\n+          image: octo-org/app-%02d:2", i)); n != 1 {
			t.Errorf("app-%02d landed %d times", i, n)
		}
	}
	for i := range competed {
		if got := w.file(fmt.Sprintf("competitor/%d.yaml", i)); got != fmt.Sprintf("push: %d\n", i) {
			t.Errorf("push %d of the competitor is lost: %q", i, got)
		}
	}
	if merges := w.git("", "rev-list", "--merges", "main"); merges != "" {
		t.Errorf("merges: %s", merges)
	}
	w.git("", "fsck", "--strict")
	t.Logf("%d commits for %d updates beside %d pushes, %d requests to GitHub",
		len(w.log())-2-competed, clients, competed, w.spent())
}

// competitor pushes a new file before many of the service's ref updates, which
// is the worst moment there is, however fast the machine. Its pushes are counted.
func competitor(w *world) *atomic.Int64 {
	var pushes atomic.Int64
	push := sandbox.Call(func() {
		n := pushes.Add(1) - 1
		files := sandbox.Files{fmt.Sprintf("competitor/%d.yaml", n): {Content: fmt.Appendf(nil, "push: %d\n", n)}}
		if _, err := w.repo.Commit("main", files, "compete"); err != nil {
			w.t.Errorf("push %d: %v", n, err)
		}
	}).On("PATCH", "git/refs")
	w.hub.Inject(push.For(2))
	w.hub.Inject(push.WithProbability(0.4))
	return &pushes
}

// TestWaitingUpdatesShareACommit lets requests pile up behind one that is held.
func TestWaitingUpdatesShareACommit(t *testing.T) {
	t.Parallel()
	w := start(t)
	reached, release := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On("POST", "git/trees").Once())
	first := make(chan reply, 1)
	go func() { r, _ := w.tryPost(`{"image": "` + worker + `", "version": "v1"}`); first <- r }()
	<-reached

	bodies := []string{
		`{"image": "` + node + `", "version": "v1", "source": {"revision": "one"}}`,
		`{"image": "` + node + `", "version": "v2", "source": {"revision": "two"}}`,
		`{"image": "` + node + `-worker", "version": "v3"}`,
		`{"image": "octo-org/none", "version": "v4"}`,
		`{"image": "` + worker + `", "version": "v1"}`,
	}
	replies := make([]chan reply, len(bodies))
	for i, body := range bodies {
		replies[i] = make(chan reply, 1)
		go func() { r, _ := w.tryPost(body); replies[i] <- r }()
		w.waitFor(i + 1)
	}
	close(release)

	want := []struct {
		status int
		is     api.Status
	}{{200, api.StatusSuperseded}, {201, api.StatusCommitted}, {201, api.StatusCommitted}, {404, ""}, {200, api.StatusUnchanged}}
	var answers []reply
	for i, c := range replies {
		r := <-c
		answers = append(answers, r)
		if r.status != want[i].status || r.update.Status != want[i].is {
			t.Errorf("%s: status %d: %s", bodies[i], r.status, r.body)
		}
	}
	<-first
	if t.Failed() {
		return
	}
	if len(w.log()) != 4-1 {
		t.Errorf("log: %+v, want two commits on the first", w.log())
	}
	own := []string{node + " to v2", "Source-Revision: two"}
	others := []string{node + "-worker to v3"}
	for i, parts := range map[int][2][]string{1: {own, others}, 2: {others, own}} {
		message := answers[i].update.Targets[0].Commit.Message
		for _, part := range append([]string{"Update 2 images\n"}, parts[0]...) {
			if !strings.Contains(message, part) || !strings.Contains(w.log()[0].Message, part) {
				t.Errorf("message %q, or the commit's, does not say %q", message, part)
			}
		}
		for _, part := range parts[1] {
			if strings.Contains(message, part) {
				t.Errorf("message %q says %q of another update", message, part)
			}
		}
	}
	if files := answers[2].update.Targets[0].Files; len(files) != 1 || files[0].Path != "apps/similar.yaml" {
		t.Errorf("files of the third: %+v", files)
	}
}

// spent is the number of requests that the service made to GitHub.
func (w *world) spent() int {
	n := 0
	for _, r := range w.hub.Requests() {
		if r.Token == "service" {
			n++
		}
	}
	return n
}
