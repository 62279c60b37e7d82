package acceptance_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// ledger holds what callers were told of their updates, whose versions are all
// different, and what the competitor pushed.
type ledger struct {
	world *world

	mu    sync.Mutex
	told  map[string]*entry // by version
	codes map[string]int    // how often each answer was given

	pushed   []string          // the competitor's commits
	contents map[string]string // its files' last contents, by path

	there map[string]bool // the commits that are on the branch in the end
}

// entry is one version, sent once or, after refusals, several times.
type entry struct {
	image     string
	committed string // the commit of which the caller was told
	unchanged bool
	doubts    int // answers that say that the outcome is not known
	refused   int
	strange   []string
}

func newLedger(w *world) *ledger {
	return &ledger{world: w, told: map[string]*entry{}, codes: map[string]int{}, contents: map[string]string{}}
}

// refusals are the codes that a GitHub in trouble excuses.
var refusals = []api.ProblemCode{
	api.ProblemCodeBranchMoved, api.ProblemCodeBranchProtected, api.ProblemCodeBranchNotFound, api.ProblemCodeRepositoryNotFound,
	api.ProblemCodeUpstreamError, api.ProblemCodeUpstreamForbidden, api.ProblemCodeUpstreamUnauthorized,
	api.ProblemCodeUpstreamRateLimited, api.ProblemCodeTimeout,
}

// note takes an answer down and reports whether it was a refusal.
func (l *ledger) note(image, version string, r reply, err error) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.told[version]
	if e == nil {
		e = &entry{image: image}
		l.told[version] = e
	}
	l.codes[cmp.Or(string(r.update.Status), string(r.problem.Code), "no answer")]++
	switch {
	case err != nil:
		e.strange = append(e.strange, err.Error())
	case r.status == http.StatusCreated:
		e.committed = r.update.Targets[0].Commit.Sha
	case r.update.Status == api.StatusUnchanged:
		e.unchanged = true
	case r.update.Status == api.StatusSuperseded:
	case strings.Contains(r.problem.Detail, "does not tell what became of it"):
		e.doubts++
		l.codes["of these in doubt"]++
		return true
	case slices.Contains(refusals, r.problem.Code):
		e.refused++
		return true
	default:
		e.strange = append(e.strange, r.body)
	}
	return false
}

// imageLine is what a commit of the service's may change.
var imageLine = regexp.MustCompile(`^[+-](?:          image|    container): (octo-org/app-\d+):(\S+)$`)

// landed reads the branch: how many of the service's commits brought each version
// there. It fails for one that touched something else.
func (l *ledger) landed() map[string]int {
	w := l.world
	counts := map[string]int{}
	l.there = map[string]bool{}
	out := w.git("", "log", "-p", "--unified=0", "--no-color", "--format=%x00%H %s", "main")
	for commit := range strings.SplitSeq(out, "\x00") {
		subject, patch, _ := strings.Cut(commit, "\n")
		sha, subject, _ := strings.Cut(subject, " ")
		l.there[sha] = true
		if !strings.HasPrefix(subject, "Update ") {
			continue
		}
		brought := map[string]bool{}
		for line := range strings.Lines(patch) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+++") || strings.HasPrefix(line, "---") {
				continue
			}
			m := imageLine.FindStringSubmatch(line)
			if m == nil {
				w.t.Errorf("commit %s changes the line %q", sha, line)
			} else if line[0] == '+' {
				brought[m[2]] = true
			}
		}
		for version := range brought {
			counts[version]++
		}
	}
	return counts
}

// judge compares what was told of one version with how often it is on the branch.
func (l *ledger) judge(version string, e *entry, landed int) {
	complain := func(why string) {
		l.world.t.Errorf("%s to %s: %s; it is on the branch %d times, %d refusals, %d in doubt, commit %q",
			e.image, version, why, landed, e.refused, e.doubts, e.committed)
	}
	for _, text := range e.strange {
		complain("a strange answer: " + text)
	}
	switch {
	case e.unchanged && e.doubts == 0:
		complain("unchanged, of a version that was never there")
	case (e.committed != "" || e.unchanged) && landed != 1:
		complain("accepted")
	case e.committed != "" && !l.there[e.committed]:
		complain("accepted with a commit that is not on the branch")
	case e.committed == "" && !e.unchanged && e.doubts == 0 && landed != 0:
		complain("refused or superseded")
	case landed > 1:
		complain("in doubt")
	}
}

func (l *ledger) report() {
	var parts []string
	for _, code := range sortedKeys(l.codes) {
		parts = append(parts, fmt.Sprintf("%s %d", code, l.codes[code]))
	}
	struck := map[string]int{}
	for _, r := range l.world.hub.Requests() {
		for effect := range strings.SplitSeq(r.Fault, ",") {
			if effect != "" {
				struck[effect]++
			}
		}
	}
	l.world.t.Logf("%d versions sent; answers: %s", len(l.told), strings.Join(parts, ", "))
	l.world.t.Logf("%d commits, %d of them the competitor's; %d requests to GitHub, struck by %v",
		len(l.there), len(l.pushed), len(l.world.hub.Requests()), struck)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
