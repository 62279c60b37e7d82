package acceptance_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

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

// checkProposed expects one open pull request for the image, of one commit on the base, that
// sets it to the version.
func (w *world) checkProposed(i int, version string) {
	w.t.Helper()
	open := w.openFor(i)
	if len(open) != 1 {
		w.t.Errorf("image %d has %d open pull requests, want one", i, len(open))
		return
	}
	content, err := w.repo.ReadFile(open[0].Head, fmt.Sprintf("images/%02d.yaml", i))
	w.must(err)
	if want := imageAt(i) + ":" + version; !strings.Contains(string(content), want) || !strings.Contains(open[0].Title, version) {
		w.t.Errorf("image %d: pull request %q, want %s in\n%s", i, open[0].Title, want, content)
	}
}

// The program is killed at each write that a pull request takes, before it is carried out
// and after. Another run brings what was stored to its end: never two pull requests, never
// a branch without one.
func TestPullRequestsAfterAKill(t *testing.T) {
	t.Parallel()
	points := []struct {
		method, endpoint string
		inPlace          bool // a newer version for a pull request that is open
	}{
		{"POST", "git/trees", false},
		{"POST", "git/commits", false},
		{"POST", "git/refs", false},
		{"POST", "/pulls", false},
		{"POST", "/labels", false},
		{"PATCH", "git/refs", true},
		{"PATCH", "/pulls", true},
	}
	w := prepare(t, withPulls(`labels: [deploy]`), withData(), withFiles(imageFiles(2*len(points)+1)))
	p := w.spawn()
	wanted := map[int]string{}
	for n, point := range points {
		for k, done := range []bool{false, true} {
			i := 2*n + k
			if point.inPlace {
				wantPull(t, p.post(setTo(imageAt(i), "v1")), http.StatusCreated, api.StatusProposed, 0)
			}
			dying := p
			w.hub.Inject(sandbox.Call(func() { _ = dying.cmd.Process.Kill(); <-dying.ended }).On(point.method, point.endpoint).Once())
			if !done {
				w.hub.Inject(sandbox.BadGateway().On(point.method, point.endpoint).Once())
			}
			_, _ = p.tryPost(setTo(imageAt(i), "v2"), "Prefer", "respond-async") // the answer may be lost with the program
			<-dying.ended
			p = w.spawn()
			stored := p.get("/v1/updates?image=" + imageAt(i)).page.Updates
			if len(stored) == 0 {
				t.Fatalf("the update of image %d is not stored", i)
			}
			wanted[i] = stored[0].Id
			p.eventually(wanted[i], api.StatusProposed) // before the next fault, which would strike this one
		}
	}
	for i, id := range wanted {
		p.eventually(id, api.StatusProposed)
		p.checkProposed(i, "v2")
	}

	// Nobody comes back for a request that was waited for: its branch gets its pull request
	// all the same.
	last := 2 * len(points)
	dying := p
	w.hub.Inject(sandbox.Call(func() { _ = dying.cmd.Process.Kill(); <-dying.ended }).On("POST", "/pulls").Once())
	w.hub.Inject(sandbox.BadGateway().On("POST", "/pulls").Once())
	if r, err := p.tryPost(setTo(imageAt(last), "v2")); err == nil {
		t.Fatalf("answered %d by a program that was killed", r.status)
	}
	p = w.spawn()
	branch := strings.TrimSpace(w.git("", "for-each-ref", "--format=%(refname:lstrip=2)", fmt.Sprintf("refs/heads/versions/*image-%02d-*", last)))
	p.hinted("push", branch, "finished", func() bool { return len(p.openFor(last)) == 1 })
	p.checkProposed(last, "v2")
	heads := map[string]bool{}
	for _, pull := range w.pulls() {
		heads[pull.Head] = true
	}
	for name := range strings.FieldsSeq(w.git("", "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/versions")) {
		if !heads[name] {
			t.Errorf("the branch %s has no pull request", name)
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
