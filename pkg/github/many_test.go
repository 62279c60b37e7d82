package github_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	smallRepositories = 40
	smallFiles        = 21
)

// smallRepos makes many small repositories and returns their branches.
func (w *world) smallRepos(client *github.Client) []*github.Branch {
	w.t.Helper()
	var all []*github.Branch
	for i := range smallRepositories {
		name := fmt.Sprintf("octo-org/small-%d", i)
		repo, err := w.sb.CreateRepository(name, sandbox.RepositoryOptions{Branch: "main", Empty: true})
		w.must(err)
		files := sandbox.Files{}
		for path, content := range many(smallFiles) {
			files[path] = sandbox.File{Content: []byte(content + "# " + name + "\n")}
		}
		_, err = repo.Commit("main", files, "files")
		w.must(err)
		all = append(all, client.Branch(parse(w.t, name), "main"))
	}
	w.spent()
	return all
}

// readAll reads the files of all branches side by side, and returns the errors.
func (w *world) readAll(branches []*github.Branch) []error {
	errs := make([]error, len(branches))
	var all sync.WaitGroup
	for i, b := range branches {
		all.Go(func() {
			s, err := b.Snapshot(w.t.Context())
			if err == nil {
				var got map[string]string
				if got, err = readYAML(w.t.Context(), b, s); err == nil && len(got) != smallFiles {
					err = fmt.Errorf("%d files were read", len(got))
				}
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errs
}

// Each of many small repositories takes three requests, and a few of them are read at the
// same time: the files of those whose trees are known come before the other trees.
func TestManySmallRepositories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const most = 16
	var downloads, trees level
	client := w.another(func(o *github.Options) { o.Transport = levels{o.Transport, &downloads, &trees} })
	branches := w.smallRepos(client)
	if err := errors.Join(w.readAll(branches)...); err != nil {
		t.Fatal(err)
	}
	w.wantSpent(slices.Repeat([]string{readHead, readTree, readTarball}, smallRepositories)...)
	if downloads.peak > most {
		t.Errorf("%d archives were read at the same time, want %d at most", downloads.peak, most)
	}
	if trees.peak > 2*most {
		t.Errorf("%d trees were in memory whose files were not read, want %d at most", trees.peak, 2*most)
	}
	if err := errors.Join(w.readAll(branches)...); err != nil {
		t.Fatal(err)
	}
	w.wantSpent(slices.Repeat([]string{headStands}, smallRepositories)...)
}

// level is how many of something there are at a time, and the most that there were.
type level struct {
	mu        sync.Mutex
	now, peak int
}

func (l *level) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now += n
	l.peak = max(l.peak, l.now)
}

// levels count the archives that are downloaded, and the trees that were asked for and
// whose archive has not arrived.
type levels struct {
	next             http.RoundTripper
	downloads, trees *level
}

func (l levels) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case strings.Contains(req.URL.Path, "/git/trees/"):
		l.trees.add(1)
	case strings.Contains(req.URL.Path, "legacy.tar.gz"):
		l.downloads.add(1)
		defer l.downloads.add(-1)
		defer l.trees.add(-1)
	}
	return l.next.RoundTrip(req)
}

// What was read before the hour's budget ended is not read again in the next hour.
func TestBudgetThatEndsKeepsWhatWasRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	branches := w.smallRepos(w.client)
	const budget = smallRepositories * 3 * 2 / 3
	w.sb.Configure(func(s *sandbox.Settings) { s.Limiter.On, s.Limiter.PerHour = true, budget })
	hours, charged := 0, 0
	for done := false; !done; hours++ {
		done = true
		for _, err := range w.readAll(branches) {
			var limited *github.RateLimitError
			if err != nil && !errors.As(err, &limited) {
				t.Fatal(err)
			}
			done = done && err == nil
		}
		for _, r := range w.requests() {
			if r.Status > 0 && r.Status < http.StatusMultipleChoices || r.Status == http.StatusFound {
				charged++
			}
		}
		w.spent()
		w.clock.advance(time.Hour + time.Second)
	}
	if most := smallRepositories * 3; hours != 2 || charged > most {
		t.Errorf("%d requests in %d hours, want %d in 2", charged, hours, most)
	}
}

// A listing that there is no memory for is read again, and a branch is updated all the
// same.
func TestListingThatIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *github.Options) { o.CacheBytes = -1 })
	w.push(many(3))
	b := w.branch()
	for i := range 3 {
		w.spent()
		if _, ok := b.Remembered(); ok {
			t.Fatal("a snapshot is remembered without memory for it")
		}
		s := w.snapshot(b)
		content := fmt.Sprintf("image: x:%d\n", i)
		_, err := b.Commit(t.Context(), s, set(s, "apps/team-0/app-0000.yaml", content))
		w.must(err)
		w.wantSpent(readHead, readTree, newTree, newCommit, updateRef)
		w.wantFile("apps/team-0/app-0000.yaml", content)
	}

	// A head that lags behind the own write is passed over.
	w.sb.Configure(func(s *sandbox.Settings) { s.StaleReads = sandbox.StaleReads{Reads: 1} })
	s := w.snapshot(b)
	made, err := b.Commit(t.Context(), s, set(s, "apps/team-0/app-0000.yaml", "image: x:9\n"))
	w.must(err)
	if got := w.snapshot(b); got.Commit != made.SHA || string(made.SHA) != w.head() {
		t.Errorf("snapshot of %s, the own write is %s", got.Commit, made.SHA)
	}
}
