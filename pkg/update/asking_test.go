package update_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// remote is a branch that is remembered as it was when it was last read or written, and
// that counts how often it is asked.
type remote struct {
	*branch
	repo  github.Repo
	asked atomic.Int64

	mu   sync.Mutex
	last *github.Snapshot
}

func (r *remote) Remembered() (*github.Snapshot, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.last != nil
}

func (r *remote) remember() *github.Snapshot {
	r.branch.mu.Lock()
	s := r.snapshot()
	r.branch.mu.Unlock()
	s.Repo = r.repo
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = s
	return s
}

func (r *remote) Snapshot(ctx context.Context) (*github.Snapshot, error) {
	r.asked.Add(1)
	return r.remember(), context.Cause(ctx)
}

func (r *remote) Commit(ctx context.Context, s *github.Snapshot, c github.Changeset) (github.Commit, error) {
	commit, err := r.branch.Commit(ctx, s, c)
	if err == nil {
		r.remember()
	}
	return commit, err
}

// push changes a file, as a colleague would.
func (r *remote) push(path, content string) {
	r.branch.mu.Lock()
	defer r.branch.mu.Unlock()
	r.files[path] = content
	r.head++
}

// marks are those of a store that settles them at once.
type marks struct {
	mu     sync.Mutex
	last   int64
	stored map[string]int64
	found  map[string]int64
	err    error
}

func (m *marks) set(branch string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	m.stored[branch] = m.last
}

func (m *marks) Look(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for branch, number := range m.stored {
		m.found[branch] = number
	}
	return m.err
}

func (m *marks) Marked(branch string, since int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.found[branch] > since
}

func (m *marks) Settled() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// field is a service with many targets, of which the first names the image app and the
// last the image web; the others name neither.
type field struct {
	*update.Service
	t       testing.TB
	remotes []*remote
	marks   *marks
	now     time.Time
}

func newField(t testing.TB, n int) *field {
	t.Helper()
	f := &field{t: t, marks: &marks{stored: map[string]int64{}, found: map[string]int64{}}, now: time.Now()}
	var targets []update.Target
	for i := range n {
		files := map[string]string{"a.yaml": fmt.Sprintf("image: octo-org/filler-%d:1\n", i)}
		if i == 0 {
			files["app.yaml"] = "image: octo-org/app:1\n"
		}
		if i == n-1 {
			files["web.yaml"] = "image: octo-org/web:1\n"
		}
		r := &remote{branch: &branch{files: files}, repo: github.Repo{Owner: "octo-org", Name: fmt.Sprint("infra-", i)}}
		f.remotes = append(f.remotes, r)
		targets = append(targets, update.Target{Repo: r.repo, Branch: "main", Repository: r})
	}
	f.Service = update.New(update.Options{
		Targets: targets, Share: true, Memory: cache.NewBudget(64 << 20), Marks: f.marks, Unpaced: true, Now: func() time.Time { return f.now },
	})
	return f
}

// asked returns how many times branches were asked since the last call.
func (f *field) asked() (n int64) {
	for _, r := range f.remotes {
		n += r.asked.Swap(0)
	}
	return n
}

// update carries a request out and returns the repositories with what became of each.
func (f *field) update(name, version string) []string {
	f.t.Helper()
	return f.send(request(f.t, name, version))
}

func (f *field) send(r update.Request) []string {
	f.t.Helper()
	results, err := f.Update(f.t.Context(), r)
	if err != nil {
		f.t.Fatal(err)
	}
	return statuses(results)
}

func statuses(results []update.Result) (all []string) {
	for _, r := range results {
		var absent *update.NotReferencedError
		switch {
		case errors.As(r.Err, &absent):
			all = append(all, r.Repo.Name+" absent")
		case r.Err != nil:
			all = append(all, r.Repo.Name+" "+r.Err.Error())
		default:
			all = append(all, r.Repo.Name+" "+string(r.Status))
		}
	}
	return all
}

func (f *field) want(got []string, want ...string) {
	f.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.t.Errorf("results (-want +got):\n%s", diff)
	}
}

func (f *field) wantAsked(want int64) {
	f.t.Helper()
	if got := f.asked(); got != want {
		f.t.Errorf("branches were asked %d times, want %d", got, want)
	}
}

// TestTargetsThatRest counts the branches that the second request asks, for an image that
// was asked for before and for another one.
func TestTargetsThatRest(t *testing.T) {
	t.Parallel()
	for _, n := range []int{100, 1_000} {
		f := newField(t, n)
		f.want(f.update("octo-org/app", "2"), "infra-0 committed")
		f.wantAsked(int64(n))
		f.want(f.update("octo-org/app", "3"), "infra-0 committed")
		f.wantAsked(0) // it follows the own write
		f.want(f.update("octo-org/web", "2"), fmt.Sprintf("infra-%d committed", n-1))
		f.wantAsked(0)
		f.want(f.update("octo-org/web", "2"), fmt.Sprintf("infra-%d unchanged", n-1))
		f.wantAsked(1) // nothing is unchanged but by the branch as it is now
	}
}

// Up to sixteen branches are asked for every request: a push that nobody has told of counts.
func TestFewTargetsAreAlwaysAsked(t *testing.T) {
	t.Parallel()
	f := newField(t, 16)
	f.update("octo-org/app", "2")
	f.remotes[7].push("new.yaml", "image: octo-org/app:1\n")
	f.want(f.update("octo-org/app", "3"), "infra-0 committed", "infra-7 committed")

	f = newField(t, 17)
	f.update("octo-org/app", "2")
	f.remotes[7].push("new.yaml", "image: octo-org/app:1\n")
	f.want(f.send(func() update.Request {
		r := request(t, "octo-org/app", "3")
		r.Repo = github.Repo{Owner: "octo-org", Name: "infra-7"}
		return r
	}()), "infra-7 committed")
}

// What is remembered counts for five minutes, unless the branch has a mark or the marks
// are not known.
func TestTargetsThatDoNotRest(t *testing.T) {
	t.Parallel()
	const n = 20
	for name, tt := range map[string]struct {
		change func(*field)
		asked  int64
		seen   bool // that the pushed file is found
	}{
		"nobody told of the push": {func(*field) {}, 0, false},
		"just before the end":     {func(f *field) { f.now = f.now.Add(5*time.Minute - 1) }, 0, false},
		"after five minutes":      {func(f *field) { f.now = f.now.Add(5 * time.Minute) }, n - 1, true},
		"a mark":                  {func(f *field) { f.marks.set("octo-org/infra-7@main") }, 1, true},
		"a mark of another one":   {func(f *field) { f.marks.set("octo-org/infra-8@main") }, 1, false},
		"a mark of none":          {func(f *field) { f.marks.set("octo-org/infra-7@stage") }, 0, false},
		"the store is away":       {func(f *field) { f.marks.err = errors.New("away") }, n - 1, true},
		"read by another one": {func(f *field) {
			if _, err := f.remotes[7].Snapshot(f.t.Context()); err != nil {
				f.t.Error(err)
			}
			f.asked()
		}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newField(t, n)
			f.update("octo-org/app", "2")
			f.asked()
			f.remotes[7].push("new.yaml", "image: octo-org/app:1\n")
			tt.change(f)
			want := []string{"infra-0 committed"}
			if tt.seen {
				want = append(want, "infra-7 committed")
			}
			f.want(f.update("octo-org/app", "3"), want...)
			f.wantAsked(tt.asked)
		})
	}
}

// A mark is lifted by a read that came after it, and by no other.
func TestMarkIsLiftedByARead(t *testing.T) {
	t.Parallel()
	f := newField(t, 20)
	f.update("octo-org/app", "2")
	f.marks.set("octo-org/infra-7@main")
	f.marks.set("octo-org/infra-7@main")
	f.asked()
	for _, asked := range []int64{1, 0} {
		f.update("octo-org/app", "3")
		// The second request for the same version asks the target that names it.
		if got := f.asked() - (1 - asked); got != asked {
			t.Errorf("%d branches were asked, want %d", got, asked)
		}
	}
}

// Before the answer that nobody names the image each target is asked: what nobody told of
// is found then. The answer lists a few targets.
func TestNobodyNamesTheImage(t *testing.T) {
	t.Parallel()
	const n = 40
	f := newField(t, n)
	f.update("octo-org/app", "2")
	f.asked()

	results, err := f.Update(t.Context(), request(t, "octo-org/nobody", "2"))
	var absent *update.NotReferencedError
	if err != nil || len(results) != 10 || !errors.As(results[9].Err, &absent) || absent.More != n-10 {
		t.Fatalf("%d results, error %v, the last %+v", len(results), err, absent)
	}
	if text := absent.Error(); !strings.Contains(text, "on none of 30 more targets") {
		t.Error(text)
	}
	f.wantAsked(0) // all of them were read less than ten seconds ago

	f.now = f.now.Add(10 * time.Second)
	f.remotes[7].push("new.yaml", "image: octo-org/nobody:1\n")
	f.want(f.update("octo-org/nobody", "2"), "infra-7 committed")
	f.wantAsked(n)

	_, err = f.Update(t.Context(), func() update.Request {
		r := request(t, "octo-org/app", "2")
		r.Repo = github.Repo{Owner: "octo-org", Name: "none"}
		return r
	}())
	if err == nil || !strings.Contains(err.Error(), "and 30 more") || len(err.Error()) > 500 {
		t.Errorf("error %v", err)
	}
}

// The suggestion of one target of many is not lost among the others.
func TestSuggestionOfManyTargets(t *testing.T) {
	t.Parallel()
	f := newField(t, 40)
	for range 2 { // cold, and while all are fresh
		results, err := f.Update(t.Context(), request(t, "octo-org/wep", "2"))
		var absent *update.NotReferencedError
		if err != nil || !errors.As(results[0].Err, &absent) || !slices.Contains(absent.Near, "octo-org/web") {
			t.Errorf("%v, %v", results, err)
		}
	}
}

// A request for several images finds the other images where they were named before, and
// asks everybody before it is refused for one that nobody names.
func TestSeveralImagesOfManyTargets(t *testing.T) {
	t.Parallel()
	const n = 40
	f := newField(t, n)
	several := func(version string, names ...string) update.Request {
		r := request(t, names[0], version)
		for _, name := range names[1:] {
			r.Images = append(r.Images, request(t, name, version).Images...)
		}
		return r
	}
	f.update("octo-org/app", "2")
	f.update("octo-org/web", "2")
	f.asked()
	f.want(f.send(several("3", "octo-org/app", "octo-org/web")), "infra-0 committed", "infra-39 committed")
	if asked := f.asked(); asked > 4 { // each of the two, and the other one for it
		t.Errorf("branches were asked %d times", asked)
	}

	f.now = f.now.Add(time.Minute)
	f.want(f.send(several("4", "octo-org/app", "octo-org/nobody")), "infra-0 absent")
	f.wantAsked(n)
}

// A stored request leaves targets out that rest when it is a push, or when others are known
// to name the image.
func TestStoredRequestsOfManyTargets(t *testing.T) {
	t.Parallel()
	const n = 40
	f := newField(t, n)
	f.update("octo-org/app", "2")
	apply := func(name string, heedless bool) (all []string) {
		r := request(t, name, "3")
		r.Heedless = heedless
		for i := range n {
			all = append(all, statuses(f.Apply(t.Context(), fmt.Sprintf("octo-org/infra-%d@main", i), []update.Request{r}))...)
		}
		return slices.DeleteFunc(all, func(s string) bool { return strings.HasSuffix(s, " absent") })
	}
	for _, tt := range []struct {
		image    string
		heedless bool
		want     []string
		asked    int64
	}{
		{"octo-org/app", false, []string{"infra-0 committed"}, 0},
		{"octo-org/nobody", false, nil, n},
		{"octo-org/nobody", true, nil, 0},
		{"octo-org/web", false, []string{"infra-39 committed"}, n - 1},
		{"octo-org/web", false, []string{"infra-39 unchanged"}, 1},
	} {
		f.asked()
		f.want(apply(tt.image, tt.heedless), tt.want...)
		f.wantAsked(tt.asked)
	}
}

// TestPace has more targets to confirm than there is time for.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		f := newField(t, n)
		f.Service = update.New(update.Options{
			Targets: targetsOf(f), Memory: cache.NewBudget(64 << 20), Timeout: time.Second, Now: func() time.Time { return f.now },
		})
		f.update("octo-org/app", "2")
		f.now = f.now.Add(time.Minute)
		f.asked()
		start := time.Now()
		results, err := f.Update(t.Context(), request(t, "octo-org/nobody", "2"))
		var paced *update.PacedError
		if !errors.As(err, &paced) || update.FailureOf(err).RetryAfter == 0 {
			t.Errorf("%d results, error %v", len(results), err)
		}
		asked, took := f.asked(), time.Since(start)
		if most := 41 + int64(took.Seconds()*40); asked > most || asked < most-10 {
			t.Errorf("%d targets were asked in %s", asked, took)
		}
	})
}

func targetsOf(f *field) (targets []update.Target) {
	for _, r := range f.remotes {
		targets = append(targets, update.Target{Repo: r.repo, Branch: "main", Repository: r})
	}
	return targets
}
