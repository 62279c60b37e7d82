package inventory_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// branch is a branch in memory that counts what is read of it.
type branch struct {
	files     map[string]string
	contents  map[github.SHA]string
	newest    *github.Snapshot
	past      map[github.SHA]*github.Snapshot // by commit
	snapshots int
	reads     int
}

func (b *branch) Remembered() (*github.Snapshot, bool) { return b.newest, b.newest != nil }

func (b *branch) Snapshot(ctx context.Context) (*github.Snapshot, error) {
	b.snapshots++
	if b.contents == nil {
		b.contents, b.past = map[github.SHA]string{}, map[github.SHA]*github.Snapshot{}
	}
	s := &github.Snapshot{Repo: github.Repo{Owner: "octo-org", Name: "infra"}, Branch: "main"}
	tree := sha1.New()
	for _, path := range slices.Sorted(maps.Keys(b.files)) {
		content := b.files[path]
		sha := nameOf(content)
		b.contents[sha] = content
		fmt.Fprintf(tree, "%s %s\n", path, sha)
		s.Entries = append(s.Entries, github.Entry{Path: path, Mode: github.ModeFile, SHA: sha, Size: int64(len(content))})
	}
	s.Tree = github.SHA(hex.EncodeToString(tree.Sum(nil)))
	s.Commit = nameOf(string(s.Tree))
	b.newest, b.past[s.Commit] = s, s
	return s, context.Cause(ctx)
}

// nameOf is a name for a content.
func nameOf(content string) github.SHA {
	sum := sha1.Sum([]byte(content))
	return github.SHA(hex.EncodeToString(sum[:]))
}

func (b *branch) At(_ context.Context, _ *github.Snapshot, commit, _ github.SHA) (*github.Snapshot, error) {
	return b.past[commit], nil
}

func (b *branch) Read(_ context.Context, _ *github.Snapshot, entries []github.Entry, visit func(int, []byte) error) error {
	b.reads += len(entries)
	for i, e := range entries {
		if err := visit(i, []byte(b.contents[e.SHA])); err != nil {
			return err
		}
	}
	return nil
}

var errReadOnly = errors.New("an inventory writes nothing")

func (*branch) Commit(context.Context, *github.Snapshot, github.Changeset) (github.Commit, error) {
	return github.Commit{}, errReadOnly
}

func (*branch) Landed(context.Context, github.SHA) (*github.Landing, error) { return nil, errReadOnly }

// inventoryOf returns the inventory of targets.
func inventoryOf(t testing.TB, bytes int64, targets ...update.Target) *inventory.Inventory {
	t.Helper()
	inv, err := inventory.New(inventory.Options{Memory: cache.NewBudget(bytes)}).With(targets)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// all collects the references of a query.
func all(t testing.TB, inv *inventory.Inventory, q inventory.Query) []inventory.Reference {
	t.Helper()
	var found []inventory.Reference
	for r, err := range inv.References(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	return found
}

const plenty = 64 << 20
