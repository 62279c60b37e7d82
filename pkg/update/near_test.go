package update_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestNear asks for images that no file names.
func TestNear(t *testing.T) {
	t.Parallel()
	image := func(names ...string) string {
		var b strings.Builder
		for _, name := range names {
			fmt.Fprintf(&b, "- image: %s:1\n", name)
		}
		return b.String()
	}
	tests := []struct {
		name, asked string
		files       map[string]string
		want        []string
	}{
		{"another registry", "quay.io/octo-org/web", map[string]string{"a.yaml": image("ghcr.io/octo-org/web")}, []string{"ghcr.io/octo-org/web"}},
		{
			"the nearest three", "ghcr.io/octo-org/web",
			map[string]string{"a.yaml": image("ghcr.io/octo-corporation/web", "ghcr.io/octo-or/web", "web"), "b.yaml": image("ghcr.io/octo/web", "ghcr.io/octo-or/web")},
			[]string{"ghcr.io/octo-or/web", "ghcr.io/octo/web", "ghcr.io/octo-corporation/web"},
		},
		{"a misspelt one", "ghcr.io/octo-org/checkuot", map[string]string{"a.yaml": image("ghcr.io/octo-org/checkout"), "b.yaml": image("other")}, []string{"ghcr.io/octo-org/checkout"}},
		{"the last part before the spelling", "quay.io/octo-org/checkout", map[string]string{"a.yaml": image("quay.io/octo-org/checkuot"), "b.yaml": image("ghcr.io/octo-org/checkout")}, []string{"ghcr.io/octo-org/checkout"}},
		{"too far", "ghcr.io/octo-org/web", map[string]string{"a.yaml": image("ghcr.io/octo-org/api"), "b.yaml": image("ghcr.io/octo-org/wep-x")}, nil},
		{"short words", "ghcr.io/octo-org/ab", map[string]string{"a.yaml": image("ghcr.io/octo-org/ac")}, nil},
		{"a file that is no manifest", "quay.io/octo-org/web", map[string]string{"a.txt": image("ghcr.io/octo-org/web")}, nil},
		{"a long file", "quay.io/octo-org/web", map[string]string{"a.yaml": image("ghcr.io/octo-org/web") + strings.Repeat("# filler\n", 8_000)}, nil},
		{"nothing", "ghcr.io/octo-org/web", map[string]string{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &branch{files: tt.files}
			s := newService(b, false)
			for range 2 { // what was read before is no worse
				var missing *update.NotReferencedError
				if r := one(t.Context(), t, s, request(t, tt.asked, "2")); !errors.As(r.Err, &missing) {
					t.Fatalf("error %v", r.Err)
				}
				if diff := cmp.Diff(tt.want, missing.Near); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			if len(b.commits) > 0 {
				t.Errorf("commits: %v", b.commits)
			}
		})
	}
}

// TestNearIsBounded reads three files more at most, however many hold what may be
// meant.
func TestNearIsBounded(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("%03d.yaml", i)] = fmt.Sprintf("image: ghcr.io/octo-org/checkout%c%c:1\n", 'a'+i%26, 'a'+i/26)
	}
	b := &branch{files: files}
	s := newService(b, false)
	one(t.Context(), t, s, request(t, "ghcr.io/octo-org/checkout", "2"))
	before := b.reads
	var missing *update.NotReferencedError
	r := one(t.Context(), t, s, request(t, "ghcr.io/octo-org/checkout", "2"))
	if !errors.As(r.Err, &missing) || len(missing.Near) != 3 {
		t.Errorf("error %v, want three suggestions", r.Err)
	}
	if read := b.reads - before; read > 3 {
		t.Errorf("%d files are read for suggestions", read)
	}
}
