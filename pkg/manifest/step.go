package manifest

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxPointer is the longest JSON pointer in bytes that is reported. Keys have no
// limit of their own, and a file may repeat a long one before each reference.
const MaxPointer = 1024

// step is the place of a node under its parent. Steps are linked upwards, so
// that only what is reported pays for a pointer. The root's step has no parent.
type step struct {
	up    *step
	key   *yaml.Node // nil in a sequence and at the root
	index int
}

// name returns the key of the step, or "" in a sequence and at the root.
func (s *step) name() string {
	if s == nil || s.key == nil {
		return ""
	}
	return resolve(s.key).Value
}

// isItem reports whether the step leads to an item of the sequence under key.
func (s *step) isItem(key string) bool {
	return s.up != nil && s.key == nil && s.up.name() == key
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the JSON pointer of the step, or "" when there is none to
// report.
func (s *step) pointer() string {
	var parts []string
	length := 0
	for ; s.up != nil; s = s.up {
		part := strconv.Itoa(s.index)
		if s.key != nil {
			if resolve(s.key).Kind != yaml.ScalarNode {
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
		return s.up.key != nil && group.up.up == nil
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
