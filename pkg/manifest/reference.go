package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// mention turns a mention into a site, or drops it when it is none.
func (w *walk) mention(n *yaml.Node, at *step, m mention, imageKey bool, lines *lineSet) {
	underKey := isImageKey(at.name())
	partly := underKey && surrounded(n.Value, &m)
	imageKey = imageKey && (m.whole || at.isItem("images") && m.end == len(n.Value))
	s := &site{
		repo: m.repo, spelled: m.spelled, update: m.update, tag: m.tag, digest: m.digest,
		node: n, name: m.name, end: m.end, reason: m.reason,
		embedded: !imageKey && !m.scheme, lines: []*lineSet{lines},
	}
	bare := m.tag == "" && m.digest == ""
	switch {
	case s.reason == Ambiguous && !imageKey:
		return
	case s.reason != "":
	case bare && (!m.whole || !containsSlash(m.repo) && !imageKey && !m.scheme):
		return
	case partly:
		s.reason = Ambiguous
	default:
		s.reason = w.judge(n, at, &m, imageKey)
		s.bare = bare && s.reason == ""
	}
	if w.want.every && !isReference(n, &m, imageKey) {
		return
	}
	if m.whole || w.index {
		s.list = w.listOf(at)
	}
	w.place(s, at, m.start)
	w.sites = append(w.sites, s)
}

// isReference reports whether a mention is a reference although nobody asked for its
// image: an image key, a scheme or a name with a slash and a version says so. Other
// words may be anything, as may true and 5 under an image key.
func isReference(n *yaml.Node, m *mention, imageKey bool) bool {
	versioned := m.name < m.end
	switch {
	case m.scheme, m.imageKey:
		return true
	case imageKey:
		return versioned || n.ShortTag() == "!!str"
	}
	return versioned && containsSlash(m.repo)
}

// templateKeys reports what a template names that happens to be YAML: in {{ x }}
// it is the key of a mapping that is itself a key.
func (w *walk) templateKeys(n *yaml.Node, at *step, depth int) {
	for i := 0; i+1 < len(n.Content) && !w.pairsOnly; i += 2 {
		if key := n.Content[i]; key.Kind == yaml.MappingNode && key.Style&yaml.FlowStyle != 0 {
			w.templateScalars(key, at.to(n, i), depth)
		}
	}
}

func (w *walk) templateScalars(n *yaml.Node, at *step, depth int) {
	if depth > maxDepth {
		w.tooDeep = true
		return
	}
	if n.Kind == yaml.ScalarNode {
		for m := range w.want.mentions(n.Value) {
			if w.want.every && (m.name == m.end || !containsSlash(m.repo)) {
				continue
			}
			s := &site{repo: m.repo, spelled: m.spelled, update: m.update, node: n, name: m.name, end: m.end, reason: Templated, lines: []*lineSet{w.keyLines(n, at)}}
			w.place(s, at, m.start)
			w.sites = append(w.sites, s)
		}
	}
	for _, child := range n.Content {
		w.templateScalars(child, at, depth+1)
	}
}

// judge returns why a literal mention is not edited, or "" when it is.
func (w *walk) judge(n *yaml.Node, at *step, m *mention, imageKey bool) Reason {
	if m.tag == "" && m.digest == "" {
		if at.inContainer() {
			return ""
		}
		return Untagged
	}
	if reason := w.useOf(n, at, m); reason != "" {
		return reason
	}
	slash := containsSlash(m.repo)
	switch {
	case !slash && !imageKey && !m.scheme && !m.imageKey:
		return Ambiguous
	case m.tag == "":
		return DigestOnly
	case !slash && isPort(m.tag) && !isImageKey(at.name()) && !w.isService(at) && (at.isItem("services") || at.up.isItem("services")):
		return Ambiguous
	case m.imageKey && !m.whole && m.end < len(n.Value) && strings.IndexByte("|<>;&(", n.Value[m.end]) >= 0:
		return Ambiguous
	}
	return ""
}
