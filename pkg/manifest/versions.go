package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// list is a list with a reference in an item. A list that holds one image at several
// versions offers a choice of versions, which an edit of each would reduce to one.
type list struct {
	node *yaml.Node
	// releases is set for a list of releases, whose items are versions by nature.
	releases bool
}

// containerLists are keys of lists whose items run side by side. Each of them may
// have another version of one image for a while.
var containerLists = []string{"sidecars", "steps", "services"}

// containerFields are fields of a mapping that runs an image.
var containerFields = []string{
	"command", "args", "env", "envFrom", "environment", "ports", "resources", "script", "source", "volumeMounts", "volumes", "restart",
	"imagePullPolicy", "pullPolicy", "workingDir", "securityContext", "entrypoint", "apiVersion",
}

// maxListDepth is how far above a reference its list is looked for.
const maxListDepth = 16

// listOf returns the list that a reference at a step is a choice of. Of a step that
// is in no list, or in a container, there is none.
func (w *walk) listOf(at *step) list {
	if w.index {
		return indexList(at)
	}
	for level := 0; at != nil && at.in != nil && level < maxListDepth; at, level = at.up, level+1 {
		if at.in.Kind == yaml.SequenceNode {
			name := at.up.name()
			if strings.HasSuffix(strings.ToLower(name), "containers") || slices.Contains(containerLists, name) {
				return list{}
			}
			return list{node: at.in}
		}
		if name := at.up.name(); name == "container" || name == "script" || w.runsImage(at.in) {
			return list{}
		}
	}
	return list{}
}

// runsImage reports whether a mapping has a field of one that runs an image. Many
// references may ask of the same mapping.
func (w *walk) runsImage(m *yaml.Node) bool {
	runs, ok := w.runs[m]
	if !ok {
		runs = slices.ContainsFunc(containerFields, func(key string) bool { return valueOf(m, key) != nil })
		w.runs[m] = runs
	}
	return runs
}

// isIndex reports whether a document is the index of a Helm repository.
func isIndex(root *yaml.Node) bool {
	entries := valueOf(root, "entries")
	if entries == nil || valueOf(root, "apiVersion") == nil || len(entries.Content) < 2 {
		return false
	}
	releases := resolve(entries.Content[1])
	return releases.Kind == yaml.SequenceNode && hasItem(releases, "version", "urls")
}

// indexList returns the list of releases in a Helm repository's index.
func indexList(at *step) list {
	for ; at != nil && at.in != nil; at = at.up {
		if at.in.Kind == yaml.SequenceNode && at.up.up.name() == "entries" {
			return list{node: at.in, releases: true}
		}
	}
	return list{}
}

// severalVersions returns the lists of sites in which the image of an update stands
// at two or more versions that it would move.
func (e *Editor) severalVersions(sites []*site) map[listOfUpdate]bool {
	several := map[listOfUpdate]bool{}
	first := map[listOfUpdate]string{}
	for _, s := range sites {
		key := listOfUpdate{s.list.node, s.update}
		if s.list.node == nil || s.reason == Held || e.options.SkipEmbedded && s.embedded {
			continue
		}
		if s.list.releases {
			several[key] = true
			continue
		}
		if s.reason != "" || s.tag == "" || !e.updates[s.update].takes(s.tag) {
			continue
		}
		if tag, ok := first[key]; !ok {
			first[key] = s.tag
		} else if tag != s.tag {
			several[key] = true
		}
	}
	return several
}

// listOfUpdate is a list as one update sees it.
type listOfUpdate struct {
	node   *yaml.Node
	update int
}
