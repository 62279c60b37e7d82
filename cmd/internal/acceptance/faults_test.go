package acceptance_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

var (
	faultSeed = flag.Uint64("fault.seed", 0, "seed of the fault run; 0 takes a random one")
	faultTime = flag.Duration("fault.time", 2*time.Second, "how long the fault run goes on")
)

const (
	faultReplicas = 3
	faultClients  = 30
	// faultShared images are set by two clients each, the others by one.
	faultShared = 5
)

// TestFaults runs three replicas, 30 clients and a competitor in front of a GitHub
// that fails in every way that the embedded one knows, at random. Afterwards every
// accepted update is on the branch exactly once, every refused one is not, nothing
// of the competitor's is lost, and git finds nothing wrong. The seed repeats what
// GitHub does, not how the clients interleave.
//
//	go test ./cmd/internal/acceptance -run TestFaults -v -fault.time 3m -fault.seed 7
func TestFaults(t *testing.T) {
	t.Parallel()
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat with -fault.seed %d -fault.time %s", seed, *faultTime)
	timeout := min(max(3*time.Second, racetime.Slower*time.Second, *faultTime/6), 20*time.Second) // a short run has a short end
	w := start(t, withEnv("UPDATE_TIMEOUT", timeout.String()), withEnv("LOG_LEVEL", "info"), withFiles(manyFiles(faultClients)))
	w.push(map[string]string{workflow: "jobs:\n  a:\n    container: octo-org/app-00000:1\n"})
	replicas := []*world{w}
	for range faultReplicas - 1 {
		replicas = append(replicas, w.replica())
	}
	book := newLedger(w)

	ctx, cancel := context.WithTimeout(context.Background(), *faultTime)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { (&chaos{world: w, random: rand.New(rand.NewPCG(seed, 1))}).run(ctx) })
	all.Go(func() { book.compete(ctx, rand.New(rand.NewPCG(seed, 2))) })
	for i := range faultClients {
		c := client{
			book: book, replicas: replicas, image: fmt.Sprintf("octo-org/app-%05d", max(0, i-faultShared)),
			name: fmt.Sprintf("c%02d", i), alone: i > 2*faultShared, random: rand.New(rand.NewPCG(seed, uint64(100+i))),
		}
		if i < faultShared {
			c.image = fmt.Sprintf("octo-org/app-%05d", i+1)
		}
		all.Go(func() { c.run(ctx) })
	}
	all.Wait()

	book.check()
	for i, replica := range replicas {
		all.Go(func() {
			r, err := replica.tryPost(setTo(node, fmt.Sprint("calm-", i)))
			limited := r.status == http.StatusServiceUnavailable // the run may have used up the pace
			if err != nil || r.status != http.StatusCreated && !limited {
				t.Errorf("replica %d does not work any more: %v %d %s", i, err, r.status, r.body)
			}
		})
	}
	all.Wait()
}

// calm ends everything that chaos began.
func (w *world) calm() {
	w.hub.ClearFaults()
	w.hub.Configure(func(s *sandbox.Settings) { *s = sandbox.DefaultSettings() })
	w.hub.AddToken(githubToken, sandbox.Token{Name: "service", Login: "octocat"})
	w.repo.SetArchived(false)
	w.repo.Unprotect("main")
	if w.repo.Name() != repoName {
		w.must(w.hub.Rename(w.repo.Name(), repoName))
	}
}

// chaos turns the switches of the embedded GitHub.
type chaos struct {
	*world
	random *rand.Rand
	faults []string // that are there now, the oldest first
}

// faultsAtOnce is how many faults there are at a time. With more of them hardly an
// update would get through.
const faultsAtOnce = 3

// run turns one switch after the other until ctx ends, and then all of them back.
// What it turned on is on for a moment.
func (c *chaos) run(ctx context.Context) {
	defer c.calm()
	for ctx.Err() == nil {
		end := func() {}
		switch n := c.random.IntN(20); {
		case n < 14:
			c.faults = append(c.faults, c.hub.Inject(c.fault()))
			if len(c.faults) > faultsAtOnce {
				c.hub.Remove(c.faults[0])
				c.faults = c.faults[1:]
			}
		case n < 19:
			end = c.setting()
		default:
			end = c.state()
		}
		pause(ctx, c.random)
		end()
	}
}

// pause waits for a moment, or until ctx ends.
func pause(ctx context.Context, random *rand.Rand) {
	timer := time.NewTimer(time.Duration(5+random.IntN(45)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// fault is one of those that strike single requests, narrowed and numbered at
// random. Limits last a second and are rare.
func (c *chaos) fault() sandbox.Fault {
	limits := []sandbox.Fault{
		sandbox.PrimaryLimit(403, time.Second), sandbox.PrimaryLimit(429, time.Second),
		sandbox.SecondaryLimit(403, time.Second), sandbox.SecondaryLimit(429, time.Second),
	}
	if c.random.IntN(40) == 0 {
		return limits[c.random.IntN(len(limits))].Once()
	}
	anywhere := []sandbox.Fault{
		sandbox.BadGateway(), sandbox.BadGatewayAfter(), sandbox.Drop(), sandbox.DropAfter(), sandbox.Cut(),
		sandbox.Stale(), sandbox.Latency(time.Duration(c.random.IntN(200)) * time.Millisecond),
		sandbox.Refuse(http.StatusInternalServerError, "Server Error"), sandbox.Refuse(http.StatusServiceUnavailable, ""),
		sandbox.BadCredentials(), sandbox.MissingPermission("contents=write"), sandbox.NotVisible(), sandbox.EmptyRepository(),
		sandbox.Refuse(http.StatusUnprocessableEntity, "Validation Failed"),
	}
	refused := func(text string) sandbox.Fault {
		return sandbox.Refuse(http.StatusUnprocessableEntity, text).On(http.MethodPatch, "git/refs")
	}
	placed := []sandbox.Fault{
		sandbox.LostRace(), sandbox.TreeNotReplicated(), sandbox.TreeTimeout(),
		refused("Update is not a fast forward"), refused("Reference update failed"), refused("Reference does not exist"),
		sandbox.BadGatewayAfter().On(http.MethodPatch, "git/refs"), sandbox.DropAfter().On(http.MethodPatch, "git/refs"),
		sandbox.Drop().On(http.MethodPatch, "git/refs"), sandbox.Cut().On(http.MethodPatch, "git/refs"),
	}
	var f sandbox.Fault
	if c.random.IntN(2) == 0 {
		f = placed[c.random.IntN(len(placed))]
	} else {
		f = anywhere[c.random.IntN(len(anywhere))]
	}
	return f.After(c.random.IntN(4)).For(1 + c.random.IntN(3))
}

// setting makes GitHub another one for a moment.
func (c *chaos) setting() (end func()) {
	changes := []func(*sandbox.Settings){
		func(s *sandbox.Settings) {
			s.StaleReads = sandbox.StaleReads{Reads: 1 + c.random.IntN(3), Window: sandbox.Duration(50 * time.Millisecond)}
		},
		func(s *sandbox.Settings) { s.Latency = sandbox.Duration(20 * time.Millisecond) },
		func(s *sandbox.Settings) { s.Base64Blobs = true },
		func(s *sandbox.Settings) { s.BranchWithoutTree = true },
		func(s *sandbox.Settings) { s.NoBranches = true },
		func(s *sandbox.Settings) { s.NoTarball = true },
		func(s *sandbox.Settings) { s.TreeEntries = 10 },
		func(s *sandbox.Settings) { s.NewTreeEntries = 2 },
	}
	change := changes[c.random.IntN(len(changes))]
	c.hub.Configure(change)
	return func() { c.hub.Configure(func(s *sandbox.Settings) { *s = sandbox.DefaultSettings() }) }
}

// state does to the repository or the token what their owner might do.
func (c *chaos) state() (end func()) {
	token := sandbox.Token{Name: "service", Login: "octocat"}
	again := func() { c.hub.AddToken(githubToken, token) }
	switch c.random.IntN(6) {
	case 0:
		c.repo.Protect("main", sandbox.Protection{Ruleset: c.random.IntN(2) == 0})
		return func() { c.repo.Unprotect("main") }
	case 1:
		c.repo.SetArchived(true)
		return func() { c.repo.SetArchived(false) }
	case 2:
		from, to := repoName, repoName+"-renamed"
		if c.repo.Name() != from {
			from, to = to, from
		}
		if err := c.hub.Rename(from, to); err != nil {
			c.t.Error(err)
		}
		return func() {} // it keeps its name until the next time
	case 3:
		c.hub.RemoveToken(githubToken)
		return again
	case 4:
		less := token
		less.Permissions = sandbox.Permissions{"contents": sandbox.Write}
		c.hub.AddToken(githubToken, less)
		return again
	default:
		less := token
		less.SSO = "https://example.com/sso"
		c.hub.AddToken(githubToken, less)
		return again
	}
}

// client sends updates of one image to any of the replicas.
type client struct {
	book     *ledger
	replicas []*world
	image    string
	name     string
	alone    bool // nobody else sets the image
	random   *rand.Rand
}

func (c *client) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		version := fmt.Sprintf("%s-%d", c.name, n)
		// A refused update is sent again by clients that have an image to themselves;
		// with others about, an older version sent late would rightly land twice.
		for range 4 {
			r, err := c.replicas[c.random.IntN(len(c.replicas))].tryPost(setTo(c.image, version))
			refused := c.book.note(c.image, version, r, err)
			if refused {
				pause(ctx, c.random)
			}
			if !refused || !c.alone || ctx.Err() != nil {
				break
			}
		}
	}
}

// compete pushes files beside the service's until ctx ends.
func (l *ledger) compete(ctx context.Context, random *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		for range random.IntN(20) { // some pushes come close together, some alone
			pause(ctx, random)
		}
		path, content := fmt.Sprintf("competitor/%d.yaml", n%50), fmt.Sprintf("push: %d\n", n)
		sha, err := l.world.repo.Commit("main", sandbox.Files{path: {Content: []byte(content)}}, "compete "+path)
		if err != nil {
			l.world.t.Errorf("push %d: %v", n, err)
			return
		}
		l.pushed = append(l.pushed, sha)
		l.contents[path] = content
	}
}

// check compares what the callers were told with what is on the branch.
func (l *ledger) check() {
	w := l.world
	landed := l.landed()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, version := range sortedKeys(l.told) {
		l.judge(version, l.told[version], landed[version])
		delete(landed, version)
	}
	for version, n := range landed {
		w.t.Errorf("%s is on the branch %d times and nobody sent it", version, n)
	}
	for _, sha := range l.pushed {
		if !l.there[sha] {
			w.t.Errorf("the competitor's commit %s is lost", sha)
		}
	}
	for path, content := range l.contents {
		if got := w.file(path); got != content {
			w.t.Errorf("%s is %q, the competitor's last was %q", path, got, content)
		}
	}
	if merges := w.git("", "rev-list", "--merges", "main"); merges != "" {
		w.t.Errorf("merges: %s", merges)
	}
	if out := w.git("", "fsck", "--strict", "--no-dangling"); strings.Contains(out, "error") {
		w.t.Errorf("git fsck: %s", out)
	}
	l.report()
}
