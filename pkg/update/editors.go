package update

import (
	"bytes"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// wanted is an image that a plan moves, for one request or for several that are alike,
// where its paths and its present version count.
type wanted struct {
	Image
	paths   []string
	present image.Pattern
}

// takesFile reports whether the paths take the file in.
func (w *wanted) takesFile(path string) bool {
	return len(w.paths) == 0 || matchesAny(w.paths, path)
}

// editor edits files for some of a plan's images.
type editor struct {
	*manifest.Editor
	updates []manifest.Update
	options manifest.Options
	wanted  []int // the image behind each of the updates
}

// mentioned returns the images that the content may name. It is asked for the rare file
// that is skipped as a whole.
func (e *editor) mentioned(content []byte) []int {
	var mentioned []int
	for i, u := range e.updates {
		alone, err := manifest.NewEditor([]manifest.Update{u}, e.options)
		if err == nil && alone.Mentions(content) {
			mentioned = append(mentioned, e.wanted[i])
		}
	}
	return mentioned
}

// editors has the editor for each file. Requests may be narrowed by paths, so
// files can differ in the images that they are edited for.
type editors struct {
	target *Target
	wanted []wanted
	all    *editor            // of every image
	made   map[string]*editor // by the marks
	marks  []byte             // scratch: a byte for each image, 1 when the file is edited for it
}

// newEditors fails when an image is wanted twice.
func newEditors(t *Target, w []wanted) (*editors, error) {
	e := &editors{target: t, wanted: w, made: map[string]*editor{}, marks: bytes.Repeat([]byte{1}, len(w))}
	if err := e.make(); err != nil {
		return nil, err
	}
	e.all = e.made[string(e.marks)]
	return e, nil
}

// of returns the editor for a file or a symbolic link, nil when it is no manifest,
// not the target's, or no request wants it.
func (e *editors) of(entry github.Entry) *editor {
	if !e.target.takesKind(entry.Path) || !e.target.takesFile(entry.Path) || !e.mark(entry.Path) {
		return nil
	}
	if made, ok := e.made[string(e.marks)]; ok {
		return made
	}
	if err := e.make(); err != nil {
		return nil // a part of what newEditors made an editor of is not refused
	}
	return e.made[string(e.marks)]
}

// mark marks the images that the file is edited for and reports whether there is one.
func (e *editors) mark(path string) bool {
	anyone := false
	for i := range e.wanted {
		e.marks[i] = 0
		if e.wanted[i].takesFile(path) {
			e.marks[i] = 1
			anyone = true
		}
	}
	return anyone
}

// make compiles the editor of the marked images.
func (e *editors) make() error {
	var updates []manifest.Update
	var marked []int
	for i, w := range e.wanted {
		if e.marks[i] == 1 {
			updates = append(updates, e.target.update(w))
			marked = append(marked, i)
		}
	}
	options := e.target.options()
	compiled, err := manifest.NewEditor(updates, options)
	if err != nil {
		return err
	}
	e.made[string(e.marks)] = &editor{Editor: compiled, updates: updates, options: options, wanted: marked}
	return nil
}

// update is what is asked of the target's files.
func (t *Target) update(w wanted) manifest.Update {
	return manifest.Update{Image: w.Repository, Version: w.Version, Digest: w.Digest, Present: given(t.Present, w.present)}
}

func (t *Target) options() manifest.Options {
	return manifest.Options{SkipEmbedded: t.SkipEmbedded, Unpin: t.Unpin, Pin: t.PinDigests, Proxies: t.Proxies}
}

// given leaves out the patterns that are none.
func given(patterns ...image.Pattern) []image.Pattern {
	return slices.DeleteFunc(patterns, image.Pattern.IsZero)
}
