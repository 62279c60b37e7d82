package manifest

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// pair is an image whose name and version are fields of their own.
type pair struct {
	// names are the names that the fields may mean, the likeliest first.
	names []joined
	// parts are fields that are no image by themselves, because another field goes
	// before them or stands in for them.
	parts []*field
	// versions are the fields with the version: more than one only when a key
	// stands twice, none when there is no such field.
	versions []*field
	digest   *field
	// whole is set when the fields say image beyond doubt, also for a name without
	// a slash.
	whole bool
	// lone is set when the name says image even without a version field.
	lone bool
	// imageKey is set when the key of the fields, or of their mapping, ends in image.
	imageKey bool
	// reason keeps the pair from being edited, or is empty.
	reason Reason
	// group says which fields of a mapping they are; nil for a pair of another make.
	group *naming
	// artifact is set for an OCI artifact, of which a tag is nothing but a tag.
	artifact bool
	// kustomize is set for an entry of kustomize's images.
	kustomize bool
	// list is the list that the pair is a choice of, if it is one.
	list list
}

// lines returns the lines of all fields that a pair named by name consists of.
func (p *pair) lines(name []*field, shift int) *lineSet {
	lines := &lineSet{}
	for _, fields := range [][]*field{name, p.versions, {p.digest}} {
		for _, f := range fields {
			if f != nil {
				lines.numbers = append(lines.numbers, f.key.Line+shift, f.value.Line+shift)
			}
		}
	}
	return lines
}

// joined is a name that fields make together.
type joined struct {
	text string
	// reason keeps a pair of this name from being edited, or is empty.
	reason Reason
	// fields hold the parts in order, those that say nothing left out.
	fields []*field
}

func join(fields ...*field) joined {
	var j joined
	for _, f := range fields {
		if text := strings.Trim(f.text(), "/"); text != "" {
			j.text += "/" + text
			j.fields = append(j.fields, f)
		}
	}
	j.text = strings.TrimPrefix(j.text, "/")
	return j
}

// mappingPairs finds the pairs of one mapping.
func (w *walk) mappingPairs(m *yaml.Node, at *step) {
	for prefix, g := range groupsOf(m, at, &w.mergeSteps) {
		w.groupPair(g, prefix, at)
	}
	w.artifactPair(m, at)
}

// sequencePairs finds the pairs of a list of {name, value}, as environments and
// Helm parameters are written.
func (w *walk) sequencePairs(n *yaml.Node, at *step) {
	gs := groups{}
	for i, item := range n.Content {
		var name *yaml.Node
		value := -1
		for j := 0; item.Kind == yaml.MappingNode && j+1 < len(item.Content); j += 2 {
			switch item.Content[j].Value {
			case "name":
				name = item.Content[j+1]
			case "value":
				value = j
			}
		}
		if name != nil && value >= 0 && name.Kind == yaml.ScalarNode {
			gs.add(name.Value, &field{key: name, value: item.Content[value+1], at: at.to(n, i).to(item, value)})
		}
	}
	for prefix, g := range gs {
		if g.has(tagRole) {
			w.groupPair(g, prefix, at)
		}
	}
}

// groupPair makes the pair of one group of fields, if it is one.
func (w *walk) groupPair(g *group, prefix string, at *step) {
	var p pair
	switch {
	case g.has(newNameRole, newTagRole), at.isItem("images") && g.has(digestRole) && !g.has(repositoryRole, imageRole, tagRole):
		p = kustomizePair(g)
	case !g.has(repositoryRole) && !g.has(tagRole, versionRole, digestRole):
		return
	default:
		imageKey := isImageGroup(prefix, at)
		if w.pinnedReference(g) {
			return
		}
		p = helmPair(g, imageKey)
		p.whole, p.imageKey = p.whole || prefix != "" || imageKey, imageKey
		if g.get(registryRole).text() == "" {
			w.addRegistry(&p)
		}
		p.group = &naming{mapping: at, prefix: prefix, kind: kindOf(g)}
	}
	if !p.kustomize {
		p.list = w.listOf(at)
	}
	w.pair(&p, at)
}

// isImageGroup reports whether the fields of a mapping with a common prefix are
// those of an image by its key.
func isImageGroup(prefix string, at *step) bool { return isImageKey(prefix) || isImageKey(at.name()) }

// kustomizePair reads an entry of kustomize's images: newName decides, and a
// digest beside newTag would win over it. A tag in name only says which references
// kustomize looks for.
func kustomizePair(g *group) pair {
	p := pair{versions: g[newTagRole], digest: g.get(digestRole), whole: true, kustomize: true}
	name := g.get(nameRole)
	if newName := g.get(newNameRole); newName.text() != "" {
		if name != nil {
			p.parts = append(p.parts, name)
		}
		name, p.lone = newName, true
	}
	if name.text() != "" {
		text, _, _ := strings.Cut(name.text(), "@")
		if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, '/') {
			text = text[:colon]
		}
		p.names = []joined{{text: text, fields: []*field{name}}}
	}
	return p
}

// helmPair reads the fields that charts use: the name is a repository or an
// image, with the registry before it where there is one.
func helmPair(g *group, imageKey bool) pair {
	p := pair{versions: g[tagRole], digest: digestOf(g), lone: g.has(repositoryRole)}
	if len(p.versions) == 0 {
		p.versions = g[versionRole]
	}
	registry, organization := g.get(registryRole), g.get(organizationRole)
	repository, img, name := g.get(repositoryRole), g.get(imageRole), g.get(nameRole)
	if repository.text() == "" {
		repository = g.get(repoRole)
	}
	if repository.text() == "" && imageKey {
		repository = g.get(urlRole)
	}
	switch {
	case repository.text() != "":
		p.whole = true
		if img.text() != "" {
			p.names = append(p.names, join(registry, repository, img))
		}
		if name.text() != "" && strings.Contains(repository.text()+registry.text(), ".") {
			p.names = append(p.names, join(registry, repository, name))
		}
		p.names = append(p.names, join(registry, repository))
	case img.text() != "":
		p.whole = true
		p.names = append(p.names, join(registry, img))
	case name.text() != "" && (len(g[tagRole]) > 0 || imageKey):
		p.whole = registry.text() != ""
		p.names = append(p.names, join(registry, name))
	}
	if registry.text() != "" && organization.text() != "" {
		for _, last := range []*field{img, name, repository} {
			if last.text() != "" {
				p.names = append([]joined{join(registry, organization, last)}, p.names...)
			}
		}
	}
	if registry.text() != "" {
		p.parts = []*field{registry, repository, img}
	}
	return p
}

// named is a pair whose image is a wanted one.
type named struct {
	*pair
	repo    image.Repository
	spelled string
	update  int
	// name are the fields that hold the name, the last one at its end.
	name []*field
	// lines are those of all fields.
	lines *lineSet
}

// pair turns a pair into sites, or drops it when it names no wanted image.
func (w *walk) pair(p *pair, at *step) {
	if p.reason == "" && len(p.versions) > 0 && (w.pipeline && !isImageKey(at.name()) || at.name() == "with" && at.hasSibling("uses")) {
		p.reason = Ambiguous
	}
	n, ok := w.matchPair(p)
	w.serve(n, ok)
	w.claim(p.parts...)
	if !ok {
		return
	}
	versions := slices.DeleteFunc(slices.Clone(p.versions), func(f *field) bool {
		return f.text() == "" && resolve(f.value).Kind == yaml.ScalarNode
	})
	if len(versions) == 0 && !p.lone && len(p.versions) == 0 && p.digest.text() == "" {
		return
	}
	w.claim(n.name...)
	w.claim(p.versions...)
	w.claim(p.digest)
	if len(versions) == 0 {
		w.versionless(n)
		return
	}
	for _, f := range versions {
		if len(w.sites) > MaxReferences {
			return
		}
		w.versionSite(n, f)
	}
}

// matchPair returns the pair with the first of its names that is wanted.
func (w *walk) matchPair(p *pair) (named, bool) {
	for _, j := range p.names {
		if repo, update, ok := w.want.match(j.text); ok && (p.whole || containsSlash(repo) || !w.want.every) {
			p.reason = cmp.Or(p.reason, j.reason)
			return named{p, repo, j.text, update, j.fields, p.lines(j.fields, w.lineShift)}, true
		}
	}
	return named{pair: p, update: -1}, false
}

// claim takes scalars out of the search for references in text.
func (w *walk) claim(fields ...*field) {
	for _, f := range fields {
		if f != nil {
			w.claimed[f.value] = struct{}{}
		}
	}
}

// serve notes which image the version and the digest of a pair serve, where
// another place may use them too. Fields that make no name say nothing about a
// value that is defined beside them; an alias beside them is a use like any
// other.
func (w *walk) serve(p named, wanted bool) {
	if len(p.names) == 0 {
		return
	}
	name, known := p.repo.Name(), wanted
	if !wanted {
		text := p.names[0].text
		other, err := image.ParseRepository(text)
		name, known = other.Name(), err == nil || interpolated(text) != ""
	}
	fields := p.versions
	if p.digest != nil {
		fields = append(slices.Clone(fields), p.digest)
	}
	for _, f := range fields {
		n := resolve(f.value)
		if n != f.value || known && (n.Anchor != "" || f.merged || w.anchored > 0) {
			w.serveOne(n, name)
			w.claim(f)
		}
	}
	for _, f := range p.name {
		if n := resolve(f.value); n != f.value {
			w.nameOnly[n] = struct{}{}
		}
	}
}

// versionSite adds the site of a version field.
func (w *walk) versionSite(p named, f *field) {
	n := resolve(f.value)
	s := &site{repo: p.repo, spelled: p.spelled, update: p.update, node: n, end: len(n.Value), field: true, reason: p.reason}
	if s.reason == "" {
		s.tag, s.digest, s.reason = splitVersion(n)
	}
	if !p.whole && !containsSlash(p.repo) {
		s.reason = Ambiguous
	}
	s.addDigest(p.digest)
	if s.tagField = p.isTagField(f); !sharesAnchor(f) {
		s.vacant = p.digest.vacant()
	}
	w.addPair(s, p, f)
}

// versionless adds the site of a pair that names no version. A repository alone
// is as likely one of source code, unless its registry is told or it is looked
// for by its name.
func (w *walk) versionless(p named) {
	s := &site{repo: p.repo, spelled: p.spelled, update: p.update, field: true, reason: p.reason, unlisted: !p.saysImage()}
	f := p.name[len(p.name)-1]
	s.addDigest(p.digest)
	if s.digestNode != nil {
		f = p.digest
	}
	if s.reason == "" {
		s.reason = Untagged
		if s.digestNode != nil {
			s.reason = DigestOnly
		}
	}
	s.node = resolve(f.value)
	s.end = len(s.node.Value)
	w.addPair(s, p, f)
}

// saysImage reports whether a pair that has no version is one of an image, whose name
// nobody asked for: a repository alone may be one of source code.
func (p named) saysImage() bool {
	return p.group == nil || p.imageKey || len(p.versions) > 0 || p.digest.text() != "" || hasHost(p.spelled)
}

// addPair adds a site at field f. Several mappings may share it by an anchor.
func (w *walk) addPair(s *site, p named, f *field) {
	s.lines, s.list = []*lineSet{p.lines}, p.list
	s.naming = p.naming()
	for _, twin := range w.byNode[s.node] {
		if twin.repo.Equal(s.repo) {
			if twin.lines[len(twin.lines)-1] != p.lines {
				twin.lines = append(twin.lines, p.lines)
			}
			return
		}
	}
	at, ok := w.places[s.node]
	if !ok {
		at = f.at
	}
	w.place(s, at, 0)
	w.byNode[s.node] = append(w.byNode[s.node], s)
	w.sites = append(w.sites, s)
}

// longestDigest is the longest value in bytes that may be a digest, in any
// spelling. A digest may be shared by many pairs, each of which reads it.
const longestDigest = 256

// addDigest adds the sibling digest of a pair.
func (s *site) addDigest(f *field) {
	text := f.text()
	if text == "" {
		return
	}
	if s.reason == "" {
		s.reason = interpolated(text)
	}
	if s.reason == "" && len(text) > longestDigest {
		s.reason = Ambiguous
	}
	s.digest, s.digestNode = text, resolve(f.value)
	if isBareDigest(text) {
		s.digest = sha256Prefix + text
	}
}

// splitVersion reads a version field: a tag, or a tag with its digest.
func splitVersion(n *yaml.Node) (tag, digest string, reason Reason) {
	if n.Kind != yaml.ScalarNode || len(n.Value) > longestText {
		return "", "", Ambiguous
	}
	if reason := interpolated(n.Value); reason != "" {
		return "", "", reason
	}
	tag, digest, ok := strings.Cut(n.Value, "@")
	if !isTag(tag) || ok && !isDigest(digest) {
		return "", "", Ambiguous
	}
	return tag, digest, ""
}
