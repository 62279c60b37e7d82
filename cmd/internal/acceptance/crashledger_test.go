package acceptance_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// delivery is one version of an image that a registry or a caller tells of.
type delivery struct {
	image   string
	version int       // counts from 2 for each image
	pushed  time.Time // of a registry's; the versions of an image in their order
	caller  bool      // a caller's update in place of a registry's event
	again   bool      // is told once more after it was answered
	id      string    // the registry's, or the caller's key

	// after is closed when the caller's update before it, of the same image, is
	// answered: those are settled by arrival.
	after    <-chan struct{}
	answered chan struct{}

	// Under deliveries.mu:
	update string // the id that it was answered
}

// deliveries are all of a run, in the order in which they are sent, and what was
// answered.
type deliveries struct {
	world  *world
	all    []*delivery
	images []string

	mu      sync.Mutex
	answers map[string]int // by status, or what was there instead
	ends    map[string]int
	commits int
	twice   int
}

const (
	// crashImages bounds the images, and crashVersions is how many versions one has
	// in a shorter run.
	crashImages   = 200
	crashVersions = 4
	// crashCallers is one in how many images that a caller sets.
	crashCallers = 5
	// crashOvertakes is how far a delivery may be moved from its place.
	crashOvertakes = 60
)

// newDeliveries makes up n deliveries. Those of a registry overtake each other.
func newDeliveries(random *rand.Rand, n int) *deliveries {
	b := &deliveries{answers: map[string]int{}, ends: map[string]int{}}
	for i := range min(crashImages, max(1, n/crashVersions)) {
		b.images = append(b.images, fmt.Sprintf("ghcr.io/octo-org/app-%05d", i))
	}
	first := time.Now().UTC().Add(-time.Duration(n) * time.Second).Truncate(time.Second)
	last := map[string]*delivery{} // of a caller's image
	for i := range n {
		at := i % len(b.images)
		d := &delivery{
			image: b.images[at], version: 2 + i/len(b.images), pushed: first.Add(time.Duration(i) * time.Second),
			caller: at%crashCallers == 0, again: random.IntN(crashSpontaneous) == 0,
			id: uuid.NewString(), answered: make(chan struct{}),
		}
		if d.caller {
			if before := last[d.image]; before != nil {
				d.after = before.answered
			}
			last[d.image] = d
		}
		b.all = append(b.all, d)
	}
	for i := range b.all {
		j := min(i+random.IntN(crashOvertakes), n-1)
		b.all[i], b.all[j] = b.all[j], b.all[i]
	}
	return b
}

// files are a manifest for each image.
func (b *deliveries) files() map[string]string {
	files := map[string]string{}
	for i, image := range b.images {
		files[fmt.Sprintf("teams/%02d/app-%05d.yaml", i%20, i)] = deployment(image + ":1")
	}
	return files
}

// eventBody is a body as GitHub sends it.
type eventBody string

func (e eventBody) reader() io.Reader { return strings.NewReader(string(e)) }

// event is GitHub's for the delivery.
func (d *delivery) event() eventBody {
	_, name, _ := strings.Cut(d.image, "/octo-org/")
	return eventBody(fmt.Sprintf(`{"action": "published", "registry_package": {"name": %[1]q, "namespace": "octo-org",
		"ecosystem": "CONTAINER", "package_type": "CONTAINER", "updated_at": %[2]q, "owner": {"login": "octo-org"},
		"package_version": {"package_url": "%[3]s:%[4]d", "container_metadata": {"tag": {"name": "%[4]d"}}}}}`,
		name, d.pushed.Format(time.RFC3339), d.image, d.version))
}

// note takes an answer down and reports whether it was one: after a 503 or a broken
// connection the delivery is sent again.
func (b *deliveries) note(d *delivery, r reply, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil && r.status == 0:
		b.answers["no answer"]++
		return false
	case err != nil:
		b.world.t.Errorf("%s to %d: %v", d.image, d.version, err)
	case r.status == http.StatusServiceUnavailable:
		b.answers["503"]++
		return false
	case r.status != http.StatusAccepted && r.status != http.StatusOK:
		b.world.t.Errorf("%s to %d: status %d: %s", d.image, d.version, r.status, r.body)
	}
	b.answers[strconv.Itoa(r.status)]++
	d.update = idIn(r)
	if d.update == "" {
		b.world.t.Errorf("%s to %d: an answer without an id: %s", d.image, d.version, r.body)
	}
	return true
}

// noteAgain takes the answer to a delivery down that was answered before.
func (b *deliveries) noteAgain(d *delivery, r reply, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil || r.status == http.StatusServiceUnavailable {
		return // it struck a kill
	}
	b.answers["of a redelivery "+strconv.Itoa(r.status)]++
	// To a caller the same answer is given, which was 202.
	wanted := r.status == http.StatusOK && !d.caller || r.status == http.StatusAccepted && d.caller
	if !wanted || idIn(r) != d.update {
		b.world.t.Errorf("%s to %d is update %s; told of once more: status %d: %s", d.image, d.version, d.update, r.status, r.body)
	}
}

// idIn is the id that was answered.
func idIn(r reply) string {
	if r.receipt.Id != nil && len(r.receipt.Updates) > 0 {
		return *r.receipt.Id
	}
	return r.update.Id
}

// allEnded returns the time at which no update is queued any more.
func (b *deliveries) allEnded(p *world, deadline time.Time) time.Time {
	b.world.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r := p.get("/v1/updates?status=queued&limit=1")
		now := time.Now()
		switch {
		case r.status == http.StatusOK && len(r.page.Updates) == 0:
			return now
		case now.After(deadline):
			b.world.t.Fatalf("queued for ever: %s", r.body)
		}
		<-tick.C
	}
}

// check compares what was answered with the history and with the branch.
func (b *deliveries) check(p *world) {
	w := b.world
	w.t.Helper()
	on := b.onBranch()
	records := b.history(p)
	for _, d := range b.all {
		r, ok := records[d.update]
		delete(records, d.update)
		switch {
		case !ok:
			w.t.Errorf("%s to %d was answered with the update %s, which is not in the history", d.image, d.version, d.update)
			continue
		case *r.Image != d.image || *r.Version != strconv.Itoa(d.version):
			w.t.Errorf("the update %s of %s to %d became %s to %s", d.update, d.image, d.version, *r.Image, *r.Version)
		}
		b.ends[string(r.Status)]++
		switch r.Status {
		case api.StatusCommitted, api.StatusUnchanged, api.StatusSuperseded:
			if on[d.image] < d.version {
				w.t.Errorf("%s to %d ended as %s, and the branch has %d", d.image, d.version, r.Status, on[d.image])
			}
		default: // nothing in this run excuses a failure
			last := ""
			if r.LastError != nil {
				last = *r.LastError
			}
			w.t.Errorf("%s to %d ended as %s: %s", d.image, d.version, r.Status, last)
		}
	}
	for id, r := range records {
		if r.Webhook != nil {
			w.t.Errorf("update %s of %s to %s is there for a delivery that has another one", id, *r.Image, *r.Version)
		}
	}
	if out := w.git("", "fsck", "--strict", "--no-dangling"); strings.Contains(out, "error") {
		w.t.Errorf("git fsck: %s", out)
	}
}

// history reads all updates, page by page.
func (b *deliveries) history(p *world) map[string]api.UpdateRecord {
	records := map[string]api.UpdateRecord{}
	for cursor := ""; ; {
		r := p.get("/v1/updates?limit=100" + cursor)
		if r.status != http.StatusOK {
			b.world.t.Fatalf("status %d: %s", r.status, r.body)
		}
		for _, u := range r.page.Updates {
			if _, ok := records[u.Id]; ok {
				b.world.t.Errorf("update %s is on two pages", u.Id)
			}
			records[u.Id] = u
		}
		if r.page.NextCursor == nil {
			return records
		}
		cursor = "&cursor=" + *r.page.NextCursor
	}
}

// broughtLine is what a commit of a run may add.
var broughtLine = regexp.MustCompile(`^\+          image: (ghcr\.io/octo-org/app-\d+):(\d+)$`)

// onBranch reads the branch's versions from its commits, the oldest first. It
// fails where an older version follows a newer one, or one comes twice, and where
// an update is told of by two commits.
func (b *deliveries) onBranch() map[string]int {
	w := b.world
	on := map[string]int{}
	told := map[string]string{} // update id → commit
	for commit := range strings.SplitSeq(w.git("", "log", "--reverse", "-p", "--unified=0", "--no-color", "--format=%x00%H%n%(trailers:key=Update-Id,valueonly)", "main"), "\x00") {
		sha, rest, _ := strings.Cut(commit, "\n")
		trailers, patch, _ := strings.Cut(rest, "diff --git")
		for id := range strings.FieldsSeq(trailers) {
			if before := told[id]; before != "" {
				b.twice++
				w.t.Errorf("update %s is in two commits, %s and %s", id, before, sha)
			}
			told[id] = sha
		}
		if strings.TrimSpace(trailers) != "" {
			b.commits++
		}
		for line := range strings.Lines(patch) {
			m := broughtLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if m == nil {
				continue
			}
			version, _ := strconv.Atoi(m[2])
			if version <= on[m[1]] {
				b.twice++
				w.t.Errorf("commit %s sets %s to %d, which was at %d", sha, m[1], version, on[m[1]])
			}
			on[m[1]] = version
		}
	}
	last := map[string]int{}
	for _, d := range b.all {
		last[d.image] = max(last[d.image], d.version)
	}
	for image, version := range last {
		if on[image] != version {
			w.t.Errorf("the branch has %s at %d, want %d", image, on[image], version)
		}
	}
	return on
}

// report logs the run's figures.
func (b *deliveries) report() {
	var answers, ends []string
	for _, status := range sortedKeys(b.answers) {
		answers = append(answers, fmt.Sprintf("%s: %d", status, b.answers[status]))
	}
	for _, status := range sortedKeys(b.ends) {
		ends = append(ends, fmt.Sprintf("%s %d", status, b.ends[status]))
	}
	b.world.t.Logf("%d deliveries of %d images, answers: %s", len(b.all), len(b.images), strings.Join(answers, ", "))
	b.world.t.Logf("they ended as: %s; %d commits, %d duplicates", strings.Join(ends, ", "), b.commits, b.twice)
}
