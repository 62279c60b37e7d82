package manifest

import "go.yaml.in/yaml/v3"

// EditUnscreened is Edit without the screen before it, so that a test sees what
// the screen would hide.
func (e *Editor) EditUnscreened(content []byte) Result { return e.edit("", content) }

// NeedsQuotes is needsQuotes.
func NeedsQuotes(s string) bool { return needsQuotes(s) }

// SameDocuments compares two files as Edit does before it lets an edit out: the
// only scalar of the first file that equals from is wanted to be to.
func SameDocuments(before, after []byte, from, to string) bool {
	was, err := parse(before)
	if err != nil {
		return false
	}
	is, err := parse(after)
	if err != nil {
		return false
	}
	values := map[*yaml.Node]string{}
	var find func(n *yaml.Node)
	find = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Value == from {
			values[n] = to
		}
		for _, child := range n.Content {
			find(child)
		}
	}
	for _, doc := range was {
		find(doc)
	}
	return sameDocuments(was, is, values)
}
