package acceptance_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
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

// interruption is a write at which the program is killed, in a repository of its own.
type interruption struct {
	method, endpoint string
	// landed reports that the write is carried out.
	landed bool
	// inPlace reports that it brings a newer version to a pull request that is open.
	inPlace bool
	// waited reports that somebody waits for the answer, and nobody comes back for it.
	waited bool

	repo  *sandbox.Repository
	image string
}

func (i interruption) String() string {
	return fmt.Sprintf("%s %s (landed %t, waited for %t)", i.method, i.endpoint, i.landed, i.waited)
}

// interruptions are all writes that a pull request takes, before they are carried out and
// after.
func interruptions() []interruption {
	var all []interruption
	for _, i := range []interruption{
		{method: "POST", endpoint: "git/trees"},
		{method: "POST", endpoint: "git/commits"},
		{method: "POST", endpoint: "git/refs"},
		{method: "POST", endpoint: "/pulls"},
		{method: "POST", endpoint: "/labels"},
		{method: "PATCH", endpoint: "git/refs", inPlace: true},
		{method: "PATCH", endpoint: "/pulls", inPlace: true},
	} {
		after := i
		after.landed = true
		all = append(all, i, after)
	}
	return append(all, interruption{method: "POST", endpoint: "/pulls", waited: true})
}

// in is the world around the repository of the interruption.
func (i interruption) in(w *world) *world {
	own := *w
	own.repo = i.repo
	return &own
}

// ask asks for a version in the repository of the interruption.
func (i interruption) ask(w *world, version string, headers ...string) (reply, error) {
	return w.tryPost(fmt.Sprintf(`{"image": %q, "version": %q, "repository": %q}`, i.image, version, i.repo.Name()), headers...)
}

// lieInWait has the write wait for the end of the program. The channel is closed when the
// program has come to it.
func (i interruption) lieInWait(p *process) <-chan struct{} {
	there := make(chan struct{})
	faults := []sandbox.Fault{sandbox.Call(func() { close(there); <-p.ended })}
	if !i.landed {
		faults = append(faults, sandbox.BadGateway())
	}
	for _, f := range faults {
		f.Repository = i.repo.Name()
		p.hub.Inject(f.On(i.method, i.endpoint).Once())
	}
	return there
}

// check expects one open pull request, of one commit on the base, that sets the image to v2,
// and no other branch.
func (i interruption) check(w *world) {
	w.t.Helper()
	pulls := w.pulls()
	if len(pulls) != 1 || pulls[0].State != "open" {
		w.t.Errorf("%s: pull requests %+v, want one that is open", i, pulls)
		return
	}
	pull := pulls[0]
	content, err := w.repo.ReadFile(pull.Head, "app.yaml")
	w.must(err)
	if string(content) != deployment(i.image+":v2") || !strings.Contains(pull.Title, "v2") || !slices.Equal(pull.Labels, []string{"deploy"}) {
		w.t.Errorf("%s: %q, labels %v, want v2 in\n%s", i, pull.Title, pull.Labels, content)
	}
	log, err := w.repo.Log(pull.Head)
	w.must(err)
	if !slices.Equal(log[0].Parents, []string{w.head()}) {
		w.t.Errorf("%s: the parents of its commit are %v, want %s", i, log[0].Parents, w.head())
	}
	if got, want := w.git("", "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"), "main\n"+pull.Head+"\n"; got != want {
		w.t.Errorf("%s: the branches are\n%swant\n%s", i, got, want)
	}
}

// interrupted is a world with a repository for each interruption, which holds one image.
func interrupted(t *testing.T, all []interruption) *world {
	t.Helper()
	config := "webhooks: [{name: infra, kind: github, secrets: [{value: hub}]}]\ntargets:\n"
	options := []option{withData(), func(w *world) { w.trial = true }}
	name := func(n int) string { return fmt.Sprintf("octo-org/infra-%02d", n) }
	for n := range all {
		all[n].image = imageAt(n)
		config += fmt.Sprintf("  - {name: t%02d, repository: %s, branch: main, mode: pull_request, pull_request: {labels: [deploy]}}\n", n, name(n))
		options = append(options, withRepository(name(n), map[string]string{"app.yaml": deployment(all[n].image + ":v0")}))
	}
	w := prepare(t, append(options, withConfig(config))...)
	for n := range all {
		all[n].repo = w.others[name(n)]
	}
	return w
}

// The program is killed at each write that a pull request takes, before it is carried out
// and after: at all of them at once, each in a repository of its own. Another run brings
// what was stored, or waited for, to its end: never two pull requests, never a branch
// without one.
func TestPullRequestsAfterAKill(t *testing.T) {
	t.Parallel()
	all := interruptions()
	w := interrupted(t, all)
	p := w.spawn()
	var waiting sync.WaitGroup
	reached := make([]<-chan struct{}, len(all))
	for n, i := range all {
		if i.inPlace {
			r, err := i.ask(p.world, "v1")
			w.must(err)
			wantPull(t, r, http.StatusCreated, api.StatusProposed, 1)
		}
		reached[n] = i.lieInWait(p)
		if i.waited {
			waiting.Go(func() {
				if r, err := i.ask(p.world, "v2"); err == nil {
					t.Errorf("%s: answered %d by a program that was killed", i, r.status)
				}
			})
		} else if r, err := i.ask(p.world, "v2", "Prefer", "respond-async"); err != nil || r.status != http.StatusAccepted {
			t.Fatalf("%s: answered %d, %v", i, r.status, err)
		}
	}
	for n, i := range all {
		select {
		case <-reached[n]:
		case <-time.After(patience):
			t.Fatalf("%s: the program never comes to it\n%s", i, p.logs)
		}
	}
	p.kill()
	waiting.Wait()

	p = w.spawn()
	for _, i := range all {
		if i.waited { // nobody comes back for it
			i.in(p.world).hinted("push", "main", "finished", func() bool { return len(i.repo.PullRequests()) > 0 && len(i.repo.PullRequests()[0].Labels) > 0 })
		} else {
			p.eventually(p.get("/v1/updates?image=" + i.image).page.Updates[0].Id, api.StatusProposed)
		}
		i.check(i.in(p.world))
	}
}

// closings are all writes that it takes to close a pull request which has nothing left to
// change, before they are carried out and after.
func closings() []interruption {
	var all []interruption
	for _, i := range []interruption{
		{method: "POST", endpoint: "/comments"},
		{method: "PATCH", endpoint: "/pulls"},
		{method: "DELETE", endpoint: "git/refs"},
	} {
		after := i
		after.landed = true
		all = append(all, i, after)
	}
	return all
}

// The program is killed at each write by which it closes a pull request: another run closes
// it, says why, and leaves no branch behind.
func TestPullRequestsAreClosedAfterAKill(t *testing.T) {
	t.Parallel()
	all := closings()
	w := interrupted(t, all)
	p := w.spawn()
	reached := make([]<-chan struct{}, len(all))
	ids := make([]string, len(all))
	for n, i := range all {
		r, err := i.ask(p.world, "v1")
		w.must(err)
		wantPull(t, r, http.StatusCreated, api.StatusProposed, 1)
		ids[n] = r.update.Id
		reached[n] = i.lieInWait(p)
		i.in(p.world).push(map[string]string{"app.yaml": deployment(i.image + ":v1")}) // by hand
		i.in(p.world).hint("push", "main")
	}
	for n, i := range all {
		i.in(p.world).hinted("push", "main", "come to", func() bool {
			select {
			case <-reached[n]:
				return true
			default:
				return false
			}
		})
	}
	p.kill()

	p = w.spawn()
	for _, i := range all {
		i.in(p.world).hint("push", "main")
	}
	for n, i := range all {
		own := i.in(p.world)
		ended := func() bool { return own.statusOf(ids[n]) != api.StatusProposed }
		own.hinted("push", "main", "ended", ended)
		pull := own.onlyPull(1)
		if pull.State != "closed" || pull.Merged || len(pull.Comments) == 0 || !strings.Contains(pull.Comments[0].Body, "nothing left to merge") {
			t.Errorf("%s: %+v", i, pull)
		}
		if got := own.git("", "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"); got != "main\n" {
			t.Errorf("%s: the branches are\n%s", i, got)
		}
		if got := own.statusOf(ids[n]); got != api.StatusUnchanged {
			t.Errorf("%s: its update ends as %s", i, got)
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
