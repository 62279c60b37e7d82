package update_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

func TestLostRaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		moves int // how many commits meet a branch that moved
		want  error
	}{
		{"none", 0, nil},
		{"some", 5, nil},
		{"every one", 1000, github.ErrBranchMoved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &branch{files: map[string]string{"a.yaml": "image: octo-org/a:1\n"}}
				b.onCommit = func(_ context.Context, n int) error {
					if n <= tt.moves {
						b.mu.Lock()
						defer b.mu.Unlock()
						b.head++
						b.files["new.yaml"] = "image: octo-org/a:1 # by somebody else\n"
					}
					return nil
				}
				r := one(t.Context(), t, newService(b, true), request(t, "octo-org/a", "2"))
				if !errors.Is(r.Err, tt.want) || tt.want == nil && r.Err != nil {
					t.Fatalf("error: %v", r.Err)
				}
				var moved *update.MovedError
				if tt.want != nil && (!errors.As(r.Err, &moved) || moved.Attempts != b.tried) {
					t.Errorf("error %v after %d tries", r.Err, b.tried)
				}
				if tt.want == nil && tt.moves > 0 && b.files["new.yaml"] != "image: octo-org/a:2 # by somebody else\n" {
					t.Errorf("files: %q", b.files)
				}
			})
		})
	}
}

// TestStaleMemoryProvesNothing lets the remembered snapshot be behind: what it
// says is written only if it is the head, and never answered as unchanged.
func TestStaleMemoryProvesNothing(t *testing.T) {
	t.Parallel()
	b := &branch{files: map[string]string{"a.yaml": "image: octo-org/a:2\n"}, known: true}
	stale := &staleMemory{branch: b, old: b.snapshot()}
	b.files["a.yaml"] = "image: octo-org/a:1\n"
	b.head++
	s := update.New(update.Options{Targets: []update.Target{{Repo: target, Branch: "main", Repository: stale}}})
	if r := one(t.Context(), t, s, request(t, "octo-org/a", "2")); r.Status != update.Committed {
		t.Errorf("result: %+v", r)
	}
	if b.files["a.yaml"] != "image: octo-org/a:2\n" {
		t.Errorf("files: %q", b.files)
	}
}

type staleMemory struct {
	*branch
	old *github.Snapshot
}

func (s *staleMemory) Remembered() (*github.Snapshot, bool) { return s.old, true }

func TestNoTarget(t *testing.T) {
	t.Parallel()
	s := newService(&branch{files: map[string]string{}}, true)
	for name, r := range map[string]update.Request{
		"repository": {Repo: github.Repo{Owner: "octo-org", Name: "infra"}},
		"branch":     {Branch: "stage"},
		"both":       {Repo: github.Repo{Owner: "Refty-YAPI", Name: "refty-infra-test"}, Branch: "stage"},
	} {
		var none *update.NoTargetError
		if _, err := s.Update(t.Context(), r); !errors.As(err, &none) || none.Repo.IsZero() == (name == "repository") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFileThatCannotBeReadIsListed is about a reason that concerns a whole file.
func TestFileThatCannotBeReadIsListed(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("- image: octo-org/a:1\n", manifest.MaxReferences+1)
	b := &branch{files: map[string]string{"many.yaml": many, "a.yaml": "image: octo-org/a:1\n"}}
	r := one(t.Context(), t, newService(b, true), request(t, "octo-org/a", "2"))
	want := []update.Skip{{Path: "many.yaml", Reason: manifest.TooLarge}}
	if r.Status != update.Committed || !slices.Equal(r.Skipped, want) {
		t.Errorf("status %s, skipped %v, error %v", r.Status, r.Skipped, r.Err)
	}
	b = &branch{files: map[string]string{"many.yaml": many}}
	r = one(t.Context(), t, newService(b, true), request(t, "octo-org/a", "2"))
	if r.Err == nil || !strings.Contains(r.Err.Error(), "1 too large") {
		t.Errorf("error %v", r.Err)
	}
}
