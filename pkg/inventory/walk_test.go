package inventory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// generated are n files of every common shape.
func generated(n int) map[string]string {
	random := rand.New(rand.NewPCG(3, 9))
	files := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("ghcr.io/octo-org/app-%d", random.IntN(2000))
		version := fmt.Sprintf("v%d.%d", random.IntN(5), random.IntN(10))
		var b strings.Builder
		switch i % 5 {
		case 0:
			b.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  template:\n    spec:\n      containers:\n")
			for c := range 1 + random.IntN(3) {
				fmt.Fprintf(&b, "        - name: c%d\n          image: %s-%d:%s\n", c, name, c, version)
			}
		case 1:
			fmt.Fprintf(&b, "resources: [../base]\nimages:\n  - name: %s\n    newTag: %s\n", name, version)
		case 2:
			fmt.Fprintf(&b, "replicas: 2\nimage:\n  repository: %s\n  tag: %s\n", name, version)
		case 3:
			fmt.Fprintf(&b, "kind: Job\nspec: {template: {spec: {containers: [{image: \"%s:%s\"}]}}}\n---\nkind: Pod\nspec:\n  initContainers:\n    - image: '%s:%s'\n", name, version, name, version)
		default:
			fmt.Fprintf(&b, "kind: ConfigMap\ndata:\n  key-%d: value\n  url: https://example.com/a/b:1\n", i)
		}
		files[fmt.Sprintf("teams/%02d/%03d/file-%05d.yaml", i%20, i%300, i)] = b.String()
	}
	return files
}

// walkTree counts NAME VERSION of a decoded document, by the shapes of generated.
func walkTree(at any, counts map[string]int) {
	switch node := at.(type) {
	case []any:
		for _, item := range node {
			walkTree(item, counts)
		}
	case map[string]any:
		text := func(key string) string { s, _ := node[key].(string); return s }
		if name, version, ok := strings.Cut(text("image"), ":"); ok {
			counts[name+" "+version]++
		}
		if text("repository") != "" && text("tag") != "" {
			counts[text("repository")+" "+text("tag")]++
		}
		if text("name") != "" && text("newTag") != "" {
			counts[text("name")+" "+text("newTag")]++
		}
		for _, value := range node {
			walkTree(value, counts)
		}
	}
}

// The references of 10,000 files are those that a walk with another parser counts.
func TestCountsOfAnotherParser(t *testing.T) {
	t.Parallel()
	files := generated(10_000)
	want := map[string]int{}
	for path, content := range files {
		documents := yaml.NewDecoder(bytes.NewReader([]byte(content)))
		for {
			var document any
			err := documents.Decode(&document)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			walkTree(document, want)
		}
	}
	inv := inventoryOf(t, plenty, update.Target{Name: "x", Repository: &branch{files: files}})
	got, references := map[string]int{}, 0
	for _, r := range all(t, inv, inventory.Query{}) {
		got[r.Name+" "+r.Version]++
		references++
		if r.State != inventory.Current {
			t.Errorf("%s:%d is %s", r.Path, r.Line, r.State)
		}
	}
	if !maps.Equal(want, got) {
		t.Errorf("counts (-want +got):\n%.2000s", cmp.Diff(want, got))
	}
	if per := inv.Cost() / 10_000; per > 1_000 {
		t.Errorf("%d bytes are remembered of each file", per)
	}
	t.Logf("%d references of %d images and versions, %d bytes remembered of each file", references, len(got), inv.Cost()/10_000)
}
