package manifest

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxPointer is the longest JSON pointer in bytes that is reported. Keys have no
// limit of their own, and a file may repeat a long one before each reference.
const MaxPointer = 1024

// step is the place of a node in its parent. Steps are linked upwards, so that a JSON
// pointer is built only for a reported node. The root's step has no parent.
type step struct {
	up *step
	// in is the parent node, a mapping or a sequence; nil at the root.
	in *yaml.Node
	// index is that of the item in a sequence, and of the key in a mapping.
	index int
}

// to returns the step to the item or the value at an index of a parent.
func (s *step) to(in *yaml.Node, index int) *step { return &step{up: s, in: in, index: index} }

// key returns the key of the step, or nil in a sequence and at the root.
func (s *step) key() *yaml.Node {
	if s == nil || s.in == nil || s.in.Kind != yaml.MappingNode {
		return nil
	}
	return s.in.Content[s.index]
}

// name returns the key of the step, or "" in a sequence and at the root.
func (s *step) name() string {
	if key := s.key(); key != nil {
		return resolve(key).Value
	}
	return ""
}

// isItem reports whether the step leads to an item of the sequence under key.
func (s *step) isItem(key string) bool {
	return s != nil && s.up != nil && s.in.Kind == yaml.SequenceNode && s.up.name() == key
}

// maxSiblings is how many fields of a mapping are looked at for one reference.
const maxSiblings = 256

// sibling returns the value of a key in the mapping that the step is in, or nil.
func (s *step) sibling(key string) *yaml.Node {
	if s == nil || s.in == nil || s.in.Kind != yaml.MappingNode {
		return nil
	}
	return valueOf(s.in, key)
}

// hasSibling reports whether the mapping that the step is in has one of the keys.
func (s *step) hasSibling(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return s.sibling(key) != nil })
}

// valueOf returns the value of a key among the first of a mapping, or nil.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < min(len(n.Content), 2*maxSiblings); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the JSON pointer of the step, or "" when there is none to
// report.
func (s *step) pointer() string {
	var parts []string
	length := 0
	for ; s.up != nil; s = s.up {
		part := strconv.Itoa(s.index)
		if key := s.key(); key != nil {
			if resolve(key).Kind != yaml.ScalarNode {
				return ""
			}
			part = s.name()
		}
		if length += len(part) + 1; length > MaxPointer {
			return ""
		}
		parts = append(parts, part)
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteByte('/')
		_, _ = pointerEscapes.WriteString(&b, parts[i])
	}
	return b.String()
}

// underImageKey reports whether the value of the step is an image by its key,
// so that a name without a slash is one, too: a key that ends in image, the
// name of GitLab's {name: …} under such a key, an entry of a services list, or
// an override in Argo CD's kustomize.images.
func (s *step) underImageKey() bool {
	switch {
	case isImageKey(s.name()):
		return true
	case s.name() == "name":
		return isImageKey(s.up.name()) || s.up.isItem("services")
	case s.isItem("images"):
		return s.up.up.name() == "kustomize"
	}
	return s.isItem("services")
}

// inContainer reports whether the step is the image of a container in a Pod or
// of a Compose service: there a bare name may be given a tag.
func (s *step) inContainer() bool {
	if s.name() != "image" || s.up == nil || s.up.up == nil {
		return false
	}
	switch group := s.up.up; group.name() {
	case "containers", "initContainers", "ephemeralContainers":
		return true
	case "services":
		return s.up.key() != nil && group.up.up == nil
	}
	return false
}

// resolve follows an alias to the node that it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
