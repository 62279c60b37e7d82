package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of the text before a reference in a command. Real ones are shorter.
const (
	commandWindow = 512
	commandItems  = 8
	longestWord   = 64
)

// command is the shell command or the list of arguments around a reference.
type command struct {
	// words stand before the reference.
	words []string
	// prefix is the text directly before the reference, such as --tag=.
	prefix string
}

// commandBefore reads the command of a reference that begins at byte start of a
// scalar. The command of an item of a list includes the items before it.
func commandBefore(n *yaml.Node, at *step, start int) command {
	text := n.Value[max(0, start-commandWindow):start]
	cut := commandStart(text)
	inside := cut > 0 || start > commandWindow
	text = text[cut:]
	space := strings.LastIndexAny(text, " \t\n")
	c := command{prefix: strings.TrimLeft(text[space+1:], `"'([{`)}
	if !inside {
		c.words = itemsBefore(at)
	}
	for _, word := range strings.Fields(text[:space+1]) {
		c.words = append(c.words, strings.Trim(word, `"',()[]{}`))
	}
	return c
}

// commandStart returns where the last command of a text begins.
func commandStart(text string) int {
	for i := len(text) - 1; i >= 0; i-- {
		switch text[i] {
		case ';', '|', '&', '`':
			return i + 1
		case '(':
			if i > 0 && text[i-1] == '$' {
				return i + 1
			}
		case '\n':
			before := strings.TrimRight(text[:i], " \t\r")
			if !strings.HasSuffix(before, `\`) {
				return i + 1
			}
		}
	}
	return 0
}

// itemsBefore returns the items before a step's item in its list, back to the last one
// that is not a single word.
func itemsBefore(at *step) []string {
	if at.in == nil || at.in.Kind != yaml.SequenceNode {
		return nil
	}
	var words []string
	for i := at.index - 1; i >= max(0, at.index-commandItems); i-- {
		item := at.in.Content[i]
		if item.Kind != yaml.ScalarNode || item.Value == "" || len(item.Value) > longestWord || strings.ContainsAny(item.Value, " \t\n") {
			break
		}
		words = append(words, item.Value)
	}
	slices.Reverse(words)
	return words
}

func (c *command) has(words ...string) bool {
	return slices.ContainsFunc(c.words, func(word string) bool { return slices.Contains(words, word) })
}

func (c *command) last() string {
	if len(c.words) == 0 {
		return ""
	}
	return c.words[len(c.words)-1]
}

// makes reports whether the command makes, names, moves or signs the image rather
// than uses it.
func (c *command) makes() bool {
	switch {
	case strings.HasPrefix(c.prefix, "--cache-"), strings.HasPrefix(c.prefix, "--tag="), strings.HasPrefix(c.prefix, "-t="),
		strings.HasPrefix(c.prefix, "--destination="), strings.HasPrefix(c.prefix, "-Dimage="), strings.HasPrefix(c.prefix, "--tags="):
		return true
	case strings.HasPrefix(c.prefix, "ref="), strings.HasSuffix(c.prefix, ",ref="), strings.HasSuffix(c.prefix, ",name=") && strings.Contains(c.prefix, "type="):
		return true
	case c.prefix != "":
	case strings.HasPrefix(c.last(), "--cache-"), slices.Contains([]string{"--tag", "--tags", "--destination"}, c.last()):
		return true
	case c.last() == "-t" && !c.has("run", "exec", "create"):
		return true
	case c.last() == "build" && c.has("pack"):
		return true
	}
	switch {
	case c.has("push", "tag"), c.has("sign", "attest") && c.has("cosign", "notation", "slsctl"), c.has("commit") && c.has("docker", "podman", "buildah"):
		return true
	case c.has("imagetools", "manifest") && c.has("create", "annotate"):
		return true
	}
	return c.copiesTo()
}

// copiesTo reports whether the reference is the destination of a copy by a registry
// tool: it has another argument before it.
func (c *command) copiesTo() bool {
	verb := slices.IndexFunc(c.words, func(word string) bool { return word == "copy" || word == "cp" })
	if verb < 0 || !c.has("skopeo", "crane", "gcrane", "regctl", "oras", "imgpkg") {
		return false
	}
	return slices.ContainsFunc(c.words[verb+1:], func(word string) bool { return strings.ContainsAny(word, "/:") && word[0] != '-' })
}

// uses reports whether the command runs or fetches the image, or builds on it.
func (c *command) uses() bool {
	tool := c.has("docker", "podman", "nerdctl", "buildah", "finch", "crane", "skopeo", "ctr")
	switch {
	case tool && c.has("run", "pull", "create", "from"):
		return true
	case len(c.words) > 0 && strings.EqualFold(c.words[0], "FROM"), strings.HasPrefix(c.prefix, "--from=") && c.has("COPY"):
		return true
	case strings.HasPrefix(c.prefix, "--") && strings.HasSuffix(c.prefix, "image="):
		return true
	}
	return c.prefix == "" && strings.HasPrefix(c.last(), "--") && strings.HasSuffix(c.last(), "image")
}
