package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// registry is the one that a document holds apart from its images, such as
// global.imageRegistry of a chart.
type registry struct {
	host string
	// global is set when it goes before every image by the habit of charts.
	global bool
	// several is set when the document holds more than one, so that none is known.
	several bool
}

// maxRegistryDepth is how deep a registry of all images is looked for.
const maxRegistryDepth = 8

// registryOf returns the only registry that a document holds by itself.
func registryOf(root *yaml.Node) registry {
	var r registry
	r.look(root, "", 0)
	if r.several {
		return registry{}
	}
	return r
}

func (r *registry) look(n *yaml.Node, name string, depth int) {
	if depth > maxRegistryDepth || r.several {
		return
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	host, ofImage := "", false
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.MappingNode {
			r.look(value, key.Value, depth+1)
			continue
		}
		_, role := splitKey(key.Value)
		switch f := (&field{key: key, value: value}); role {
		case registryRole:
			host = max(host, f.text())
		case repositoryRole, repoRole, imageRole, nameRole, tagRole, digestRole:
			ofImage = true
		}
	}
	if host = strings.Trim(host, "/"); host != "" && !ofImage {
		r.several = r.several || r.host != "" && r.host != host
		r.host, r.global = host, r.global || name == "global"
	}
}

// precedes reports whether the registry may be that of a name. A name without a
// slash is an official image of Docker Hub, unless charts put the registry before
// every name.
func (r *registry) precedes(name string) bool {
	return r.host != "" && r.host != "docker.io" && !hasHost(name) && (r.global || strings.Contains(name, "/"))
}

// addRegistry adds the names that a pair has behind the registry that the document
// holds elsewhere. The name alone may then be another image.
func (w *walk) addRegistry(p *pair) {
	if w.registry.host == "" {
		return
	}
	var names []joined
	for _, j := range p.names {
		if w.registry.precedes(j.text) {
			names = append(names, joined{text: w.registry.host + "/" + j.text, fields: j.fields})
			j.reason = Ambiguous
		}
		names = append(names, j)
	}
	p.names = names
}

// hasHost reports whether a name begins with the host of a registry.
func hasHost(name string) bool {
	first, _, ok := strings.Cut(name, "/")
	return ok && (strings.ContainsAny(first, ".:") || first == "localhost")
}
