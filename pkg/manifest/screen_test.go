package manifest_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

func TestMentions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content string
		want          bool
	}{
		{"whole name", "image: ghcr.io/octo-org/app:1", true},
		{"end of the file", "image: ghcr.io/octo-org/app", true},
		{"split over fields", "registry: ghcr.io\nrepository: octo-org/app\n", true},
		{"last part alone", "hub: ghcr.io/octo-org\nimage: app\n", true},
		{"quoted", `{"image":"app"}`, true},
		{"behind an escape", `"\napp"`, true},
		{"a default", "${X:-app:1}", true},
		{"another default", "${X-app:1}", true},
		{"another image", "image: ghcr.io/octo-org/app-worker:1", false},
		{"another prefix", "image: ghcr.io/octo-org/my-app:1", false},
		{"a part of a word", "happy apple app2 myapp app_x App", false},
		{"nothing", "", false},
		{"an escaped letter", `"ghcr.io/octo-org/\x61pp:1"`, true},
		{"an escaped line break in a word", "\"ghcr.io/octo-org/a\\\n  pp:1\"", true},
		{"an escaped line break between words", "run: |\n  docker \\\n  run\n", false},
		{"a Windows path", `path: C:\users\name`, false},
		{"UTF-16", "\xff\xfea\x00", true},
	}
	one := editor(t, update(t, "ghcr.io/octo-org/app", "2"))
	many := editor(t, manyUpdates(t)...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			content := []byte(tt.content)
			if got := one.Mentions(content); got != tt.want {
				t.Errorf("one image: got %t", got)
			}
			if got := many.Mentions(content); got != tt.want {
				t.Errorf("many images: got %t", got)
			}
			if got := one.MayMatch(manifest.IndexWords(content)); tt.want && !got {
				t.Error("the index misses it")
			}
		})
	}
}

// manyUpdates returns so many that the screen changes its way.
func manyUpdates(t testing.TB) []manifest.Update {
	t.Helper()
	updates := []manifest.Update{update(t, "ghcr.io/octo-org/app", "2")}
	for i := range 40 {
		updates = append(updates, update(t, fmt.Sprintf("ghcr.io/octo-org/service%d", i), "2"))
	}
	return updates
}

// TestScreenAllocates checks what a screened-out file costs. It is not parallel,
// because it counts the allocations of the process.
func TestScreenAllocates(t *testing.T) { //nolint:paralleltest // see above
	content := bytes.Repeat([]byte("- name: happy\n  image: ghcr.io/octo-org/app-worker:1 # \\n app2\n"), 100)
	for name, e := range map[string]*manifest.Editor{
		"one image":   editor(t, update(t, "ghcr.io/octo-org/app", "2")),
		"many images": editor(t, manyUpdates(t)...),
	} {
		if n := testing.AllocsPerRun(100, func() { e.Edit(content) }); n > 0 {
			t.Errorf("%s: %.0f allocations", name, n)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	var content bytes.Buffer
	for i := range 3000 {
		fmt.Fprintf(&content, "key%d: ghcr.io/octo-org/service%d:1\n", i, i)
	}
	words := manifest.IndexWords(content.Bytes())
	if size := words.Size(); size > 8<<10 {
		t.Errorf("the index of %d bytes takes %d", content.Len(), size)
	}
	hits := 0
	for i := range 3000 {
		if !editor(t, update(t, fmt.Sprintf("ghcr.io/octo-org/service%d", i), "2")).MayMatch(words) {
			t.Fatalf("service%d is missed", i)
		}
		if editor(t, update(t, fmt.Sprintf("ghcr.io/octo-org/absent%d", i), "2")).MayMatch(words) {
			hits++
		}
	}
	if hits > 90 {
		t.Errorf("%d of 3000 absent words hit", hits)
	}
	if e := editor(t, update(t, "redis", "2")); e.MayMatch(manifest.Words{}) {
		t.Error("the index of nothing matches")
	}
}

// TestWordsAreBounded checks the index of a file with more words than it keeps.
func TestWordsAreBounded(t *testing.T) {
	t.Parallel()
	var content bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintf(&content, "- w%d\n", i)
	}
	words := manifest.IndexWords(content.Bytes())
	if size := words.Size(); size > 17<<10 {
		t.Errorf("the index takes %d bytes", size)
	}
	for i := range 100 {
		if !editor(t, update(t, fmt.Sprintf("octo-org/w%d", i*999), "2")).MayMatch(words) {
			t.Fatalf("w%d is missed", i*999)
		}
	}
}
