package manifest_test

import (
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// TestVerify checks what stands between an edit and the world: a tree that
// differs in anything but the wanted scalar is refused.
func TestVerify(t *testing.T) {
	t.Parallel()
	const before = "a: &x v1\nb: [1, two]\nc: *x\n---\nd: !own {e: f}\n"
	tests := []struct {
		name, after string
		want        bool
	}{
		{"as wanted", "a: &x v2\nb: [1, two]\nc: *x\n---\nd: !own {e: f}\n", true},
		{"quoted", "a: &x \"v2\"\nb: [1, two]\nc: *x\n---\nd: !own {e: f}\n", true},
		{"other comments and blanks", "a: &x  v2 # c\n\nb: [1,two]\nc: *x\n---\nd: !own {e: f}\n", true},
		{"not edited", before, false},
		{"another value", "a: &x v3\nb: [1, two]\nc: *x\n---\nd: !own {e: f}\n", false},
		{"a tag of another type", "a: &x !!binary v2\nb: [1, two]\nc: *x\n---\nd: !own {e: f}\n", false},
		{"a value elsewhere", "a: &x v2\nb: [1, three]\nc: *x\n---\nd: !own {e: f}\n", false},
		{"a type elsewhere", "a: &x v2\nb: ['1', two]\nc: *x\n---\nd: !own {e: f}\n", false},
		{"an item more", "a: &x v2\nb: [1, two, 3]\nc: *x\n---\nd: !own {e: f}\n", false},
		{"a document less", "a: &x v2\nb: [1, two]\nc: *x\n", false},
		{"another anchor", "a: &y v2\nb: [1, two]\nc: *y\n---\nd: !own {e: f}\n", false},
		{"an alias replaced", "a: &x v2\nb: [1, two]\nc: v2\n---\nd: !own {e: f}\n", false},
		{"another tag", "a: &x v2\nb: [1, two]\nc: *x\n---\nd: !other {e: f}\n", false},
		{"a key more", "a: &x v2\nb: [1, two]\nc: *x\n---\nd: !own {e: f, g: h}\n", false},
		{"no YAML", "a: &x v2\nb: [1, two\nc: *x\n---\nd: !own {e: f}\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := manifest.SameDocuments([]byte(before), []byte(tt.after), "v1", "v2"); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
	if manifest.SameDocuments([]byte("a: v1"), []byte("a: 2"), "v1", "2") {
		t.Error("a number is taken for a string")
	}
}
