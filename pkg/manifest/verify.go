package manifest

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sameDocuments reports whether an edited file has the tree of the original but
// for the patched scalars, which are strings with their new values.
func sameDocuments(before, after []*yaml.Node, values map[*yaml.Node]string) bool {
	if len(before) != len(after) {
		return false
	}
	for i := range before {
		if !sameTree(before[i], after[i], values) {
			return false
		}
	}
	return true
}

// patchedValues returns the values that the patched scalars must have.
func patchedValues(patches []patch) map[*yaml.Node]string {
	byNode := map[*yaml.Node][]patch{}
	for _, p := range patches {
		byNode[p.node] = append(byNode[p.node], p)
	}
	values := make(map[*yaml.Node]string, len(byNode))
	for n, own := range byNode {
		slices.SortFunc(own, func(a, b patch) int { return cmp.Compare(a.from, b.from) })
		var value strings.Builder
		at := 0
		for _, p := range slices.Compact(own) {
			value.WriteString(n.Value[at:p.from])
			value.WriteString(p.text)
			at = p.to
		}
		value.WriteString(n.Value[at:])
		values[n] = value.String()
	}
	return values
}

// sameTree compares two nodes with all that hangs on them. Aliases are compared
// by name: with equal anchors in equal order they mean the same node.
func sameTree(a, b *yaml.Node, want map[*yaml.Node]string) bool {
	if a.Kind != b.Kind || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if value, ok := want[a]; ok {
		if b.Value != value || b.ShortTag() != "!!str" && (b.Style&yaml.TaggedStyle == 0 || a.Tag != b.Tag) {
			return false
		}
	} else if a.Value != b.Value || a.Tag != b.Tag {
		return false
	}
	for i := range a.Content {
		if !sameTree(a.Content[i], b.Content[i], want) {
			return false
		}
	}
	return true
}
