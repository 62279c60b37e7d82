package acceptance_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

var (
	pullImages = flag.Int("pulls.images", 6, "how many images the run of pull requests has")
	pullSeed   = flag.Uint64("pulls.seed", 1, "what the run of pull requests draws from")
)

// imageFiles are n files that name an image each, at version v0.
func imageFiles(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("images/%02d.yaml", i)] = deployment(imageAt(i) + ":v0")
	}
	return files
}

func imageAt(i int) string { return fmt.Sprintf("ghcr.io/octo-org/image-%02d", i) }

// openFor are the open pull requests that change the image's file.
func (w *world) openFor(i int) []sandbox.PullRequest {
	w.t.Helper()
	var open []sandbox.PullRequest
	for _, p := range w.pulls() {
		if p.State == "open" && strings.Contains(p.Head, fmt.Sprintf("image-%02d-", i)) {
			open = append(open, p)
		}
	}
	return open
}

// killPoint is a write of a pull request at which the program is killed.
type killPoint struct {
	method, endpoint string
	life             string // of the pull request, which is to be new, newer, or closed
	waited           bool   // somebody waits for the answer, and nothing is stored
}

var killPoints = []killPoint{
	{"POST", "git/trees", "new", false},
	{"POST", "git/commits", "new", false},
	{"POST", "git/refs", "new", false},
	{"POST", "/pulls", "new", false},
	{"POST", "/labels", "new", false},
	{"PUT", "/merge-async", "new", false},
	{"POST", "/pulls", "new", true},
	{"POST", "git/trees", "newer", false},
	{"PATCH", "git/refs", "newer", false},
	{"PATCH", "/pulls", "newer", false},
	{"POST", "/comments", "closed", false},
	{"PATCH", "/pulls", "closed", false},
	{"DELETE", "git/refs", "closed", false},
}

// The program is killed at each write that a pull request takes, before GitHub carries it
// out or after: all of them at once, each in a repository of its own. Another run brings
// what was stored to its end: never two pull requests, never a branch without one.
func TestPullRequestsAfterAKill(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%t", after), func(t *testing.T) {
			t.Parallel()
			killAtEachWrite(t, after)
		})
	}
}

func killAtEachWrite(t *testing.T, after bool) {
	config := "webhooks:\n  - {name: infra, kind: github, secrets: [{value: hub}]}\ntargets:\n"
	options := []option{withData()}
	for i, point := range killPoints {
		settings := ""
		switch point.endpoint {
		case "/labels":
			settings = ", pull_request: {labels: [deploy]}"
		case "/merge-async":
			settings = ", pull_request: {merge: when_ready}"
		}
		config += fmt.Sprintf("  - {name: t%d, repository: octo-org/p%[1]d, branch: main, mode: pull_request%s}\n", i, settings)
		options = append(options, withRepository(fmt.Sprintf("octo-org/p%d", i), map[string]string{"app.yaml": deployment(imageAt(i) + ":v0")}))
	}
	w := prepare(t, append(options, withConfig(config))...)
	p := w.spawn()
	body := func(i int, version string) string {
		return fmt.Sprintf(`{"image": %q, "version": %q, "repository": "octo-org/p%d"}`, imageAt(i), version, i)
	}
	var reached, all sync.WaitGroup
	dead := make(chan struct{})
	for i, point := range killPoints {
		repo := w.others[fmt.Sprintf("octo-org/p%d", i)]
		if point.life != "new" {
			wantPull(t, p.post(body(i, "v1")), http.StatusCreated, api.StatusProposed, 1)
		}
		if point.life == "closed" {
			_, err := repo.Commit("main", sandbox.Files{"app.yaml": {Content: []byte(deployment(imageAt(i) + ":v2"))}}, "By hand")
			w.must(err)
		}
		reached.Add(1)
		arrived := sync.OnceFunc(reached.Done)
		here := sandbox.Call(func() { arrived(); <-dead }).On(point.method, point.endpoint).Once()
		here.Repository = repo.Name()
		w.hub.Inject(here)
		if !after {
			lost := sandbox.BadGateway().On(point.method, point.endpoint).Once()
			lost.Repository = repo.Name()
			w.hub.Inject(lost)
		}
	}
	ids := make([]string, len(killPoints))
	for i, point := range killPoints {
		if point.waited {
			all.Go(func() {
				if r, err := p.tryPost(body(i, "v2")); err == nil {
					t.Errorf("answered %d by a program that was killed", r.status)
				}
			})
			continue
		}
		ids[i] = p.post(body(i, "v2"), "Prefer", "respond-async").update.Id
	}
	reached.Wait()
	p.kill()
	close(dead)
	all.Wait()

	p = w.spawn()
	for i, point := range killPoints {
		p.checkAfterKill(i, point, ids[i])
	}
}

// checkAfterKill expects what the point's update was to come to.
func (p *process) checkAfterKill(i int, point killPoint, id string) {
	p.t.Helper()
	repo := p.others[fmt.Sprintf("octo-org/p%d", i)]
	want := api.StatusProposed
	switch {
	case point.endpoint == "/merge-async":
		want = api.StatusCommitted
	case point.life == "closed":
		want = api.StatusUnchanged
	}
	if point.waited {
		p.until(func() bool { return len(repo.PullRequests()) == 1 }, "a pull request of %s", repo.Name())
	} else {
		p.eventually(id, want)
	}
	pulls := repo.PullRequests()
	if len(pulls) != 1 {
		p.t.Fatalf("%+v: %d pull requests", point, len(pulls))
	}
	pull := pulls[0]
	p.until(func() bool { _, err := repo.Head(pull.Head); return (err == nil) == (want == api.StatusProposed) }, "the branch of %+v", point)
	switch content, _ := repo.ReadFile(pull.Head, "app.yaml"); {
	case want == api.StatusProposed && (pull.State != "open" || !strings.Contains(string(content), imageAt(i)+":v2") || !strings.Contains(pull.Title, "v2")):
		p.t.Errorf("%+v: %s %q, with\n%s", point, pull.State, pull.Title, content)
	case want == api.StatusCommitted && !pull.Merged:
		p.t.Errorf("%+v: not merged", point)
	case want == api.StatusUnchanged && (pull.State != "closed" || len(repo.PullRequests()[0].Comments) != 1):
		p.t.Errorf("%+v: %s with %d comments", point, pull.State, len(pull.Comments))
	case point.endpoint == "/labels" && strings.Join(pull.Labels, ",") != "deploy":
		p.t.Errorf("%+v: labels %v", point, pull.Labels)
	}
}

// until waits for what must come about.
func (w *world) until(is func() bool, what string, args ...any) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !is(); <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: "+what+"\n%s", append(args, w.logs)...)
		}
	}
}

// Images with five versions each, and people who merge, close and push meanwhile: in the end
// no pull request is stale.
func TestNoPullRequestGoesStale(t *testing.T) {
	t.Parallel()
	n := *pullImages
	w := start(t, withPulls(`group: image`), withFiles(imageFiles(n)), func(w *world) { w.trial = true })
	draw := rand.New(rand.NewPCG(*pullSeed, 1))
	wanted := make([]string, n)
	closed := make([]bool, n) // the version that is wanted was refused by somebody
	pick := func() (int, bool) {
		i := draw.IntN(n)
		return i, len(w.openFor(i)) == 1
	}
	for v := 1; v <= 5; v++ {
		for _, i := range draw.Perm(n) {
			version := fmt.Sprintf("v%d", v)
			r := w.post(setTo(imageAt(i), version))
			if r.status != http.StatusCreated {
				t.Fatalf("image %d to %s: %d %s", i, version, r.status, r.body)
			}
			wanted[i], closed[i] = version, false
			switch draw.IntN(8) {
			case 0:
				if j, ok := pick(); ok {
					w.must(w.repo.MergePullRequest(w.openFor(j)[0].Number, []string{"squash", "merge", "rebase"}[draw.IntN(3)]))
				}
			case 1:
				if j, ok := pick(); ok {
					w.must(w.repo.ClosePullRequest(w.openFor(j)[0].Number))
					closed[j] = true
				}
			case 2:
				w.push(map[string]string{"other.yaml": fmt.Sprintf("v: %d-%d\n", v, i)})
			case 3:
				if j, ok := pick(); ok { // somebody brings it there by hand
					w.push(map[string]string{fmt.Sprintf("images/%02d.yaml", j): deployment(imageAt(j) + ":" + wanted[j])})
				}
			case 4:
				if j, ok := pick(); ok { // a change of the same file
					w.push(map[string]string{fmt.Sprintf("images/%02d.yaml", j): "# " + version + "\n" + w.file(fmt.Sprintf("images/%02d.yaml", j))})
				}
			}
		}
	}
	settled := func(i int) bool {
		there := strings.Contains(w.file(fmt.Sprintf("images/%02d.yaml", i)), imageAt(i)+":"+wanted[i]+"\n")
		open := w.openFor(i)
		if there || closed[i] {
			return len(open) == 0
		}
		if len(open) != 1 {
			return false
		}
		content, err := w.repo.ReadFile(open[0].Head, fmt.Sprintf("images/%02d.yaml", i))
		w.must(err)
		base := w.file(fmt.Sprintf("images/%02d.yaml", i))
		return strings.Contains(string(content), imageAt(i)+":"+wanted[i]+"\n") && strings.Count(string(content), "\n") == strings.Count(base, "\n")
	}
	for i := range n {
		w.hinted("push", "main", fmt.Sprintf("image %d settled", i), func() bool { return settled(i) })
	}
}
