package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// sha256Prefix stands before a digest; some charts add it themselves.
const sha256Prefix = "sha256:"

// digestOf returns the field of a group that pins a digest, under whatever key:
// the last one that is not empty, or nil. A key that ends in sha may as well hold
// the commit of source code.
func digestOf(g *group) *field {
	var digest *field
	for _, f := range g[digestRole] {
		text := f.text()
		if strings.HasSuffix(strings.ToLower(resolve(f.key).Value), "sha") && text != "" && !isDigest(text) && !isBareDigest(text) {
			continue
		}
		if digest.text() == "" || text != "" {
			digest = f
		}
	}
	return digest
}

// vacant returns the scalar of a digest field that is empty and serves nothing else, or
// nil. What a key that ends in sha would hold is not known.
func (f *field) vacant() *yaml.Node {
	if f == nil || f.merged || !strings.HasSuffix(strings.ToLower(resolve(f.key).Value), "digest") {
		return nil
	}
	n := f.value
	if n.Kind != yaml.ScalarNode || n.Value != "" || n.Style&quoteStyles == 0 || n.Anchor != "" {
		return nil
	}
	return n
}

// isTagField reports whether a version field of the pair holds a tag, as clients of
// registries take one: with or without a digest behind it.
func (p *pair) isTagField(f *field) bool {
	if p.artifact {
		return false
	}
	_, r := splitKey(resolve(f.key).Value)
	return p.imageKey && r == versionRole || isTagKey(resolve(f.key).Value)
}

// isTagKey reports whether a key says that its value is a tag.
func isTagKey(key string) bool {
	_, r := splitKey(key)
	return r == tagRole || r == newTagRole
}

// isBareDigest reports whether a text is the digest of an image without sha256:.
func isBareDigest(text string) bool {
	const length = 64
	return len(text) == length && isDigest(sha256Prefix+text)
}

// pinnedReference finds a whole reference with a digest beside it, as in {image:
// x:1.0, digest: sha256:…}, and reports whether there is one.
func (w *walk) pinnedReference(g *group) bool {
	digest := digestOf(g)
	if digest.text() == "" || g.has(tagRole) {
		return false
	}
	f := g.get(imageRole)
	if f.text() == "" {
		f = g.get(repositoryRole)
	}
	for m := range w.want.mentions(f.text()) {
		if !m.whole || m.tag == "" && m.digest == "" {
			return false
		}
		n := resolve(f.value)
		p := &pair{names: []joined{{text: m.repo.String(), fields: []*field{f}}}, digest: digest, whole: true, list: w.listOf(f.at)}
		named, ok := w.matchPair(p)
		w.serve(named, ok)
		w.claim(f, digest)
		s := &site{repo: m.repo, spelled: m.spelled, update: m.update, tag: m.tag, inline: m.digest, node: n, name: m.name, end: m.end, reason: m.reason}
		if s.reason == "" {
			s.reason = w.useOf(n, f.at, &m)
		}
		if s.reason == "" && m.tag == "" {
			s.reason = DigestOnly
		}
		s.addDigest(digest)
		w.addPair(s, named, f)
		return true
	}
	if name, tag, ok := strings.Cut(f.text(), ":"); ok && isTag(tag) {
		w.serveOther(name, digest)
	}
	return false
}

// serveOther notes that a digest pins an image that nobody asks for.
func (w *walk) serveOther(name string, digest *field) {
	if repo, err := image.ParseRepository(name); err == nil {
		w.serve(named{pair: &pair{names: []joined{{text: repo.Name()}}, digest: digest}, update: -1}, false)
	}
}
