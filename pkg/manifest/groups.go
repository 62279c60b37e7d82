package manifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// fieldGroup is a group of fields of one mapping that name an image, or have a
// version without a name.
type fieldGroup struct {
	document int
	place    string
	// names are what the fields may mean, the likeliest first; none where nothing
	// stands that could be a name.
	names []string
	// registry is what would go before the name.
	registry string
	// kinds are those of the versions; a digest alone is of every kind.
	kinds versionKind
	// named is what the version of the name is called, or would be.
	named versionKind
	// lines are those of the names.
	lines    []int
	versions []*field
	digest   *field
	// vacant is the field of a digest that is empty, or nil.
	vacant *yaml.Node
}

// lone reports whether a version stands in the group without a name.
func (g *fieldGroup) lone() bool {
	return len(g.names) == 0 && (len(g.versions) > 0 || g.digest != nil)
}

// maxGroups is how many groups a file may have to be looked at as one of a family.
const maxGroups = 1_000

// groupsReader walks through the mappings of a file that are in no list.
type groupsReader struct {
	document   int
	mergeSteps int
	groups     []fieldGroup
}

// fieldGroups returns the groups of parsed documents, in no order within a mapping;
// none when there are too many.
func fieldGroups(docs []*yaml.Node) []fieldGroup {
	r := &groupsReader{mergeSteps: maxMergeSteps}
	for i, doc := range docs {
		r.document = i
		for _, root := range doc.Content {
			r.visit(root, &step{}, 0)
		}
	}
	if r.full() {
		return nil
	}
	return r.groups
}

func (r *groupsReader) full() bool { return len(r.groups) > maxGroups }

func (r *groupsReader) visit(n *yaml.Node, at *step, depth int) {
	if n.Kind != yaml.MappingNode || depth > maxDepth || r.full() {
		return
	}
	for prefix, g := range groupsOf(n, at, &r.mergeSteps) {
		r.read(g, prefix, at)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		r.visit(n.Content[i+1], at.to(n, i), depth+1)
	}
}

// read keeps a group that says something.
func (r *groupsReader) read(g *group, prefix string, at *step) {
	if g.has(newNameRole, newTagRole) || !g.has(repositoryRole, imageRole, tagRole, versionRole, digestRole) {
		return
	}
	found := fieldGroup{document: r.document, registry: g.get(registryRole).text()}
	p := helmPair(g, isImageGroup(prefix, at))
	for _, j := range p.names {
		if j.text != "" {
			found.names = append(found.names, j.text)
			found.lines = append(found.lines, j.fields[len(j.fields)-1].value.Line)
		}
	}
	found.versions = slices.DeleteFunc(slices.Clone(p.versions), func(f *field) bool { return f.text() == "" })
	if p.digest.text() != "" {
		found.digest = p.digest
	}
	found.vacant = p.digest.vacant()
	namesOtherThing := g.get(nameRole).text() != ""
	if len(found.names) == 0 && (namesOtherThing || !found.lone()) {
		return
	}
	found.kinds, found.named = kindOf(g), kindOf(g)
	if len(found.versions) == 0 {
		found.kinds = tagKind | versionFieldKind
	}
	var ok bool
	if found.place, ok = placeOf(at, prefix); ok && !r.full() {
		r.groups = append(r.groups, found)
	}
}
