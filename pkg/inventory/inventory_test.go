package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

func brief(references []inventory.Reference) []string {
	var lines []string
	for _, r := range references {
		lines = append(lines, fmt.Sprintf("%s %s:%d %s %s %s", r.Target, r.Path, r.Line, r.Name, r.Version, r.State))
	}
	return lines
}

// Versions without a name are those of the image that an update would move them for.
func TestOverrides(t *testing.T) {
	t.Parallel()
	chart := func(name string) string { return "image:\n  repository: " + name + "\n  tag: \"1\"\n" }
	const version = "image:\n  tag: \"2\"\n"
	files := map[string]string{
		"one/values.yaml":         chart("ghcr.io/octo-org/one"),
		"one/values-prod.yaml":    version,
		"one/values-held.yaml":    "image:\n  tag: \"2\" # versions-service: hold\n",
		"one/values-quay.yaml":    "image:\n  registry: quay.io\n  tag: \"2\"\n",
		"two/values.yaml":         chart("ghcr.io/octo-org/two"),
		"two/other.yaml":          chart("ghcr.io/octo-org/three"),
		"two/values-prod.yaml":    version,
		"far/elsewhere.yaml":      "image:\n  version: \"2\"\n",
		"four/Chart.yaml":         "name: four\n",
		"four/values.yaml":        "image:\n  repository: ghcr.io/octo-org/four\n",
		"four/envs/eu/extra.yaml": version,
	}
	at := func(mode update.OverrideMode) []string {
		inv := inventoryOf(t, plenty, update.Target{Name: "x", Repository: &branch{files: files}, Overrides: mode})
		var lines []string
		for _, r := range all(t, inv, inventory.Query{Version: "2"}) {
			lines = append(lines, fmt.Sprintf("%s %s %s", r.Path, r.Image, r.State))
		}
		return lines
	}
	want := func(prod string) []string {
		return []string{
			"four/envs/eu/extra.yaml ghcr.io/octo-org/four " + prod,
			"one/values-held.yaml ghcr.io/octo-org/one held",
			"one/values-prod.yaml ghcr.io/octo-org/one " + prod,
			"one/values-quay.yaml ghcr.io/octo-org/one override_ambiguous",
			"two/values-prod.yaml ghcr.io/octo-org/three override_ambiguous",
			"two/values-prod.yaml ghcr.io/octo-org/two override_ambiguous",
		}
	}
	if diff := cmp.Diff(want("override"), at(update.ReportOverrides)); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want("current"), at(update.EditOverrides)); diff != "" {
		t.Errorf("edited (-want +got):\n%s", diff)
	}
	if got := at(update.IgnoreOverrides); got != nil {
		t.Errorf("ignored: %q", got)
	}
}

// Targets on one branch share its snapshot and what is known of its files, also with
// those of another configuration; what fell out of a cache is read again.
func TestSharing(t *testing.T) {
	t.Parallel()
	b := &branch{files: map[string]string{
		"a.yaml": "image: ghcr.io/octo-org/a:1\n", "b.yaml": "image: redis:7\n", "b.json": `{"image": "redis:8"}`, "note.md": "image: redis:9\n",
	}}
	targets := []update.Target{
		{Name: "yaml", Repository: b},
		{Name: "json", Repository: b, Files: []update.FileKind{update.JSON}},
		{Name: "mine", Repository: b, Images: []string{"ghcr.io/octo-org/*"}},
	}
	want := []string{
		"json b.json:1 docker.io/library/redis 8 current", "mine a.yaml:1 ghcr.io/octo-org/a 1 current",
		"yaml a.yaml:1 ghcr.io/octo-org/a 1 current", "yaml b.yaml:1 docker.io/library/redis 7 current",
	}
	inv := inventoryOf(t, plenty, targets...)
	for range 2 {
		if diff := cmp.Diff(want, brief(all(t, inv, inventory.Query{}))); diff != "" {
			t.Errorf("references (-want +got):\n%s", diff)
		}
	}
	if b.snapshots != 2 || b.reads != 3 {
		t.Errorf("%d snapshots and %d files were read, want 2 and 3", b.snapshots, b.reads)
	}
	again, err := inv.With(targets[:1])
	if err != nil {
		t.Fatal(err)
	}
	b.files["c.yaml"] = "image: ghcr.io/octo-org/c:1\n"
	if got := all(t, again, inventory.Query{Reads: func(target string) bool { return target != "none" }}); len(got) != 3 || b.reads != 4 {
		t.Errorf("%d references and %d reads after a reload and a push", len(got), b.reads)
	}
	forgetful := inventoryOf(t, 0, targets...)
	for range 2 {
		if got := all(t, forgetful, inventory.Query{}); len(got) != len(want)+2 {
			t.Errorf("without a cache there are %d references", len(got))
		}
	}
}

// A walk that begins behind any reference yields what comes after it.
func TestPositions(t *testing.T) {
	t.Parallel()
	b := &branch{files: map[string]string{"both.yaml": "a: [{image: x/a:1}, {image: x/b:1}]\nb: {image: x/a:1}\n"}}
	for i := range 20 {
		b.files[fmt.Sprintf("%02d.yaml", i)] = fmt.Sprintf("image: x/%d:1\nother-image: x/y:2\n", i%3)
	}
	inv := inventoryOf(t, plenty, update.Target{Name: "b", Repository: b}, update.Target{Name: "a", Repository: b})
	whole := all(t, inv, inventory.Query{})
	if len(whole) != 86 || !slices.IsSortedFunc(whole, func(a, b inventory.Reference) int { return a.Position().Compare(b.Position()) }) {
		t.Fatalf("%d references", len(whole))
	}
	for i := range whole {
		rest := all(t, inv, inventory.Query{After: whole[i].Position()})
		if !slices.Equal(whole[i+1:], rest) {
			t.Fatalf("behind %+v come %d, want %d", whole[i].Position(), len(rest), len(whole)-i-1)
		}
	}
}
