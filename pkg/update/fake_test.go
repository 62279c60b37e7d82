package update_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

var target = github.Repo{Owner: "refty-yapi", Name: "refty-infra-test"}

// branch is a branch in memory, for what the embedded GitHub cannot stage: the
// moment between two calls.
type branch struct {
	mu      sync.Mutex
	files   map[string]string
	head    int
	commits []github.Changeset

	onSnapshot func()
	onCommit   func(ctx context.Context, n int) error // before the commit; n counts from 1
	tried      int
	reads      int
	known      bool // Remembered tells the head
	landed     *github.Landing
}

func (b *branch) snapshot() *github.Snapshot {
	s := &github.Snapshot{Repo: target, Branch: "main", Commit: github.SHA(fmt.Sprint(b.head))}
	for _, path := range slices.Sorted(maps.Keys(b.files)) {
		content := b.files[path]
		s.Entries = append(s.Entries, github.Entry{
			Path: path, Mode: github.ModeFile, SHA: github.SHA(content), Size: int64(len(content)),
		})
	}
	return s
}

func (b *branch) Remembered() (*github.Snapshot, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot(), b.known
}

func (b *branch) Snapshot(ctx context.Context) (*github.Snapshot, error) {
	if b.onSnapshot != nil {
		b.onSnapshot()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot(), context.Cause(ctx)
}

func (b *branch) Read(_ context.Context, _ *github.Snapshot, entries []github.Entry, visit func(int, []byte) error) error {
	b.mu.Lock()
	b.reads += len(entries)
	b.mu.Unlock()
	for i, e := range entries {
		if err := visit(i, []byte(e.SHA)); err != nil {
			return err
		}
	}
	return nil
}

func (b *branch) Commit(ctx context.Context, s *github.Snapshot, c github.Changeset) (github.Commit, error) {
	b.mu.Lock()
	b.tried++
	n := b.tried
	b.mu.Unlock()
	if b.onCommit != nil {
		if err := b.onCommit(ctx, n); err != nil {
			return github.Commit{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Commit != github.SHA(fmt.Sprint(b.head)) {
		return github.Commit{}, github.ErrBranchMoved
	}
	if c.BeforeRef != nil {
		b.mu.Unlock()
		err := c.BeforeRef(ctx, github.SHA(fmt.Sprint("commit-", n)))
		b.mu.Lock()
		if err != nil {
			return github.Commit{}, err
		}
		if s.Commit != github.SHA(fmt.Sprint(b.head)) {
			return github.Commit{}, github.ErrBranchMoved
		}
	}
	for _, e := range c.Edits {
		b.files[e.Path] = string(e.Content)
	}
	b.head++
	b.commits = append(b.commits, c)
	return github.Commit{SHA: github.SHA(fmt.Sprint(b.head)), Message: c.Message}, nil
}

func newService(b *branch, share bool) *update.Service {
	return update.New(update.Options{
		Targets: []update.Target{{Repo: target, Branch: "main", Repository: b}}, Share: share, Memory: cache.NewBudget(1 << 20),
	})
}

func request(t testing.TB, name, version string, paths ...string) update.Request {
	t.Helper()
	repository, err := image.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := image.ParseTag(version)
	if err != nil {
		t.Fatal(err)
	}
	return update.Request{Images: []update.Image{{Repository: repository, Version: tag}}, Paths: paths}
}

// one applies a request to the only target.
func one(ctx context.Context, t testing.TB, s *update.Service, r update.Request) update.Result {
	t.Helper()
	results, err := s.Update(ctx, r)
	if err != nil || len(results) != 1 {
		t.Fatalf("results %v, error %v", results, err)
	}
	return results[0]
}

// Landed finds the one commit that the test says is there.
func (b *branch) Landed(_ context.Context, commit github.SHA) (*github.Landing, error) {
	if b.landed == nil || b.landed.Commit.SHA != commit {
		return nil, nil
	}
	return b.landed, nil
}
