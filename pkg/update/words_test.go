package update_test

import (
	"fmt"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestFilesThatCannotMatchAreNotReadAgain counts what is read of a branch on a
// second update, with and without room to remember.
func TestFilesThatCannotMatchAreNotReadAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		bytes       int64
		least, most int // files that the second update reads
	}{
		{"room for all", 1 << 20, 1, 1},
		{"no room", 0, 101, 101},
		{"less than that", -1, 101, 101},
		{"room for few", 3000, 2, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &branch{files: map[string]string{"a.yaml": "image: octo-org/a:1\n"}}
			for i := range 100 {
				b.files[fmt.Sprintf("other/%03d.yaml", i)] = fmt.Sprintf("image: octo-org/b%d:1\n", i)
			}
			s := update.New(update.Options{
				Targets: []update.Target{{Repo: target, Branch: "main", Repository: b}}, Memory: cache.NewBudget(tt.bytes),
			})
			one(t.Context(), t, s, request(t, "octo-org/a", "2"))
			b.reads = 0
			one(t.Context(), t, s, request(t, "octo-org/a", "3"))
			if b.reads < tt.least || b.reads > tt.most {
				t.Errorf("%d files were read, want %d to %d", b.reads, tt.least, tt.most)
			}
		})
	}
}
