package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// outputKeys hold what a build makes.
var outputKeys = []string{"tags", "cache-from", "cache_from", "cache-to", "cache_to", "cacheFrom", "cacheTo", "outputs", "output.image"}

// variableKeys hold variables of a pipeline: what they are for is not known.
var variableKeys = []string{"env", "environment", "variables", "build-args", "args"}

// constraintKeys begins the annotations of Argo CD's image updater, whose versions
// are constraints.
const constraintKeys = "argocd-image-updater.argoproj.io/"

// useOf returns why a mention is no use of its image, or "" if it is one. In files of
// CI systems only known uses count; elsewhere every mention counts that is not known as
// something else.
func (w *walk) useOf(n *yaml.Node, at *step, m *mention) Reason {
	var c command
	if !m.whole || at.key() == nil {
		c = commandBefore(n, at, m.start)
	}
	switch {
	case w.isOutput(at), c.makes():
		return Output
	case strings.HasPrefix(at.name(), constraintKeys):
		return Ambiguous
	case !w.pipeline, w.isPipelineUse(at, m), m.imageKey, c.uses():
		return ""
	}
	return Ambiguous
}

// isOutput reports whether the value of a step is what a build makes.
func (w *walk) isOutput(at *step) bool {
	holder := at
	for holder.up != nil && holder.key() == nil {
		holder = holder.up
	}
	switch name := holder.name(); {
	case slices.Contains(outputKeys, name):
		return true
	case name == "image", name == "name":
		up := holder.up
		return up.name() == "output" || up.name() == "to" && up.up.name() == "output"
	case name == "images":
		return w.cloudBuild && holder.up != nil && holder.up.in == nil
	}
	return false
}

// isPipelineUse reports whether the value of a step is an image that a file of a
// CI system runs.
func (w *walk) isPipelineUse(at *step, m *mention) bool {
	switch {
	case at.up != nil && slices.Contains(variableKeys, at.up.name()):
		return false
	case m.scheme && m.whole && (at.name() == "uses" || at.name() == "pipe"):
		return true
	case !m.whole:
		return false
	}
	switch name := at.name(); {
	case isImageKey(name), name == "container", at.isItem("services"):
		return true
	case name == "name":
		return isImageKey(at.up.name()) || at.up.isItem("services") || w.cloudBuild && at.up.isItem("steps")
	}
	return false
}

// isService reports whether the value of a step is an entry of a services list, as
// CI systems have them: there a name without a slash is an image. In other files
// redis:6379 is a host with its port.
func (w *walk) isService(at *step) bool {
	if at.name() == "name" {
		at = at.up
	}
	return at.isItem("services") && (w.pipeline || at.up.hasSibling("image", "script", "stage", "before_script"))
}

// isPort reports whether a tag may be a port.
func isPort(tag string) bool {
	const longestPort = 5
	if tag == "" || len(tag) > longestPort {
		return false
	}
	return strings.Trim(tag, "0123456789") == ""
}

// longestReference is longer than any text that is nothing but a reference.
const longestReference = 4096

// surrounded reports whether anything but blanks stands in a text around a mention
// with its scheme.
func surrounded(text string, m *mention) bool {
	if len(text) > longestReference {
		return true
	}
	before := strings.TrimSpace(text[:m.start])
	if m.scheme {
		before = strings.TrimSpace(text[:strings.LastIndex(text[:m.start], "://")])
		before = strings.TrimRight(before, "abcdefghijklmnopqrstuvwxyz-")
	}
	return before != "" || strings.TrimSpace(text[m.end:]) != ""
}
