package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"weak"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// crowd are many branches, none of which remembers its snapshot.
type crowd struct {
	mu        sync.Mutex
	snapshots []weak.Pointer[github.Snapshot]
}

// member is one of them. One of its files is its own, the others are those of all.
type member struct {
	branch
	crowd *crowd
	n     int
}

const sharedFiles = 20

func (m *member) Remembered() (*github.Snapshot, bool) { return nil, false }

func (m *member) Snapshot(context.Context) (*github.Snapshot, error) {
	s := &github.Snapshot{Repo: github.Repo{Owner: "octo-org", Name: fmt.Sprint("infra-", m.n)}, Branch: "main", Commit: nameOf(fmt.Sprint(m.n))}
	s.Tree = s.Commit
	for i := range sharedFiles {
		s.Entries = append(s.Entries, github.Entry{Path: fmt.Sprintf("apps/%02d.yaml", i), Mode: github.ModeFile, SHA: nameOf(fmt.Sprint("shared", i)), Size: 1})
	}
	s.Entries = append(s.Entries, github.Entry{Path: "own.yaml", Mode: github.ModeFile, SHA: nameOf(fmt.Sprint("own", m.n)), Size: 1})
	m.crowd.mu.Lock()
	defer m.crowd.mu.Unlock()
	m.crowd.snapshots = append(m.crowd.snapshots, weak.Make(s))
	return s, nil
}

func (m *member) Read(_ context.Context, _ *github.Snapshot, entries []github.Entry, visit func(int, []byte) error) error {
	for i, e := range entries {
		content := "image: ghcr.io/octo-org/shared:" + e.Path[5:7] + "\n"
		if e.Path == "own.yaml" {
			content = fmt.Sprintf("image: ghcr.io/octo-org/own-%d:1\n", m.n)
		}
		if err := visit(i, []byte(content)); err != nil {
			return err
		}
	}
	return nil
}

// A member has no past to tell of.

func (*member) Ancestor(context.Context, github.Repo, github.SHA) (github.Ancestor, error) {
	return github.Ancestor{}, errNoPast
}

func (*member) Differences(context.Context, github.Repo, github.SHA, github.SHA, func(string) bool) ([]github.Difference, bool, error) {
	return nil, false, errNoPast
}

func (*member) Blobs(context.Context, github.Repo, []github.Entry, func(int, []byte) error) error {
	return errNoPast
}

var errNoPast = errors.New("no past")

// kept returns how many snapshots were read and how many are in memory still.
func (c *crowd) kept() (read, kept int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.snapshots {
		if s.Value() != nil {
			kept++
		}
	}
	return len(c.snapshots), kept
}

// targets returns n targets, each of a member.
func (c *crowd) targets(n int) []update.Target {
	var targets []update.Target
	for i := range n {
		targets = append(targets, update.Target{Name: fmt.Sprintf("target-%04d", i), Repository: &member{crowd: c, n: i}})
	}
	return targets
}

// Of 1,000 targets few are in memory at a time, and the references of one come before
// many others are read.
func TestThousandTargets(t *testing.T) {
	t.Parallel()
	const n, bytes = 1000, 256 << 10
	all := &crowd{}
	inv := inventoryOf(t, bytes, all.targets(n)...)
	look := inv.Look()
	if standing, err := look.Standings(t.Context(), inventory.Query{}); err != nil || len(standing) != n {
		t.Fatalf("%d targets stand somewhere: %v", len(standing), err)
	}
	runtime.GC()
	if _, kept := all.kept(); kept > inventory.MaxOpen {
		t.Errorf("%d snapshots are kept after a look at the branches", kept)
	}
	all.snapshots = nil
	references, reached := 0, 0
	for r, err := range look.References(t.Context(), inventory.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if references++; r.Path != "own.yaml" {
			continue
		}
		if want := fmt.Sprintf("ghcr.io/octo-org/own-%d", reached); r.Name != want {
			t.Fatalf("%s comes before %s", r.Name, want)
		}
		reached++
		if read, _ := all.kept(); read > reached+inventory.MaxOpen {
			t.Fatalf("%d targets are read for the references of %d", read, reached)
		}
		if reached%100 == 0 {
			runtime.GC()
			if _, kept := all.kept(); kept > 2*inventory.MaxOpen {
				t.Fatalf("%d snapshots are kept after %d targets", kept, reached)
			}
		}
	}
	if references != n*(sharedFiles+1) || inv.Cost() > bytes {
		t.Errorf("%d references, %d bytes remembered", references, inv.Cost())
	}
}

// A look goes on at the commit at which it saw a branch, wherever that is now.
func TestLookAtOneCommit(t *testing.T) {
	t.Parallel()
	b := &branch{files: map[string]string{"a.yaml": "image: ghcr.io/octo-org/a:1\n"}}
	inv := inventoryOf(t, plenty, update.Target{Name: "x", Repository: b})
	look := inv.Look()
	before, err := look.Standings(t.Context(), inventory.Query{})
	if err != nil {
		t.Fatal(err)
	}
	b.files["a.yaml"] = "image: ghcr.io/octo-org/a:2\n"
	if _, err := b.Snapshot(t.Context()); err != nil { // somebody else reads the branch
		t.Fatal(err)
	}
	versions := func(look *inventory.Look) (all []string) {
		for r, err := range look.References(t.Context(), inventory.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r.Version)
		}
		return all
	}
	if got := versions(look); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the look sees %v", got)
	}
	after, err := look.Standings(t.Context(), inventory.Query{})
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("it stands at %v, and before at %v: %v", after, before, err)
	}
	if got := versions(inv.Look()); !slices.Equal(got, []string{"2"}) {
		t.Errorf("another look sees %v", got)
	}
}

// A history of more targets than it may have is refused before anything of the past is
// read, with their number.
func TestHistoryOfManyTargets(t *testing.T) {
	t.Parallel()
	inv := inventoryOf(t, plenty, (&crowd{}).targets(inventory.MaxTrails+5)...)
	of := func(name string) error {
		repository, err := image.ParseRepository(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = inv.History(t.Context(), inventory.HistoryQuery{Image: repository, Limit: 1})
		return err
	}
	var many *inventory.ManyTargetsError
	if err := of("ghcr.io/octo-org/shared"); !errors.As(err, &many) || many.Targets != inventory.MaxTrails+5 {
		t.Errorf("of all: %v", err)
	}
	var unnamed *inventory.NotNamedError
	if err := of("ghcr.io/octo-org/none"); !errors.As(err, &unnamed) {
		t.Errorf("of none: %v", err)
	}
	if err := of("ghcr.io/octo-org/own-3"); !errors.Is(err, errNoPast) {
		t.Errorf("of one: %v", err)
	}
}
