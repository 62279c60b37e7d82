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
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// branch is a branch in memory that counts what is read of it.
type branch struct {
	files     map[string]string
	snapshots int
	reads     int
}

func (b *branch) Remembered() (*github.Snapshot, bool) { return nil, false }

func (b *branch) Snapshot(ctx context.Context) (*github.Snapshot, error) {
	b.snapshots++
	s := &github.Snapshot{Repo: github.Repo{Owner: "octo-org", Name: "infra"}, Branch: "main"}
	tree := sha1.New()
	for _, path := range slices.Sorted(maps.Keys(b.files)) {
		content := b.files[path]
		sum := sha1.Sum([]byte(content))
		sha := github.SHA(hex.EncodeToString(sum[:]))
		fmt.Fprintf(tree, "%s %s\n", path, sha)
		s.Entries = append(s.Entries, github.Entry{Path: path, Mode: github.ModeFile, SHA: sha, Size: int64(len(content))})
	}
	s.Tree = github.SHA(hex.EncodeToString(tree.Sum(nil)))
	return s, context.Cause(ctx)
}

func (b *branch) Read(_ context.Context, _ *github.Snapshot, entries []github.Entry, visit func(int, []byte) error) error {
	b.reads += len(entries)
	for i, e := range entries {
		if err := visit(i, []byte(b.files[e.Path])); err != nil {
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
	inv, err := inventory.New(inventory.Options{Bytes: bytes}).With(targets)
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
