package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// artifactScheme stands before the name of an artifact in an OCI registry.
const artifactScheme = "oci://"

// artifactPair finds an OCI artifact: Flux' {url: oci://…, ref: {tag}} and Argo
// CD's {repoURL: oci://…, targetRevision}.
func (w *walk) artifactPair(m *yaml.Node, at *step) {
	var url *field
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i].Value, m.Content[i+1]
		if (key == "url" || key == "repoURL") && strings.HasPrefix(resolve(value).Value, artifactScheme) {
			url = &field{key: m.Content[i], value: value, at: at.to(m, i)}
		}
	}
	if url == nil {
		return
	}
	name := joined{text: strings.TrimPrefix(url.text(), artifactScheme), fields: []*field{url}}
	p := &pair{names: []joined{name}, whole: true, lone: true, artifact: true}
	for i := 0; i+1 < len(m.Content); i += 2 {
		f := &field{key: m.Content[i], value: m.Content[i+1], at: at.to(m, i)}
		switch f.key.Value {
		case "targetRevision":
			p.versions = append(p.versions, f)
		case "ref":
			p.artifactRef(f)
		}
	}
	w.pair(p, at)
}

// artifactRef adds what Flux' ref says: a digest goes before a range of versions,
// and that before a tag.
func (p *pair) artifactRef(ref *field) {
	n := resolve(ref.value)
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		f := &field{key: n.Content[i], value: n.Content[i+1], at: ref.at.to(n, i)}
		switch f.key.Value {
		case "tag":
			p.versions = append(p.versions, f)
		case "digest":
			p.digest = f
		case "semver":
			if f.text() != "" {
				p.reason = Ambiguous
			}
		}
	}
}
