package update

import (
	"bytes"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// editor edits files for some of a plan's requests.
type editor struct {
	*manifest.Editor
	updates  []manifest.Update
	options  manifest.Options
	requests []int // the request behind each of the updates
}

// mentioned returns the requests whose image the content may name. It is asked
// for the rare file that is skipped as a whole.
func (e *editor) mentioned(content []byte) []int {
	var requests []int
	for i, u := range e.updates {
		alone, err := manifest.NewEditor([]manifest.Update{u}, e.options)
		if err == nil && alone.Mentions(content) {
			requests = append(requests, e.requests[i])
		}
	}
	return requests
}

// editors has the editor for each file. Requests may be narrowed by paths, so
// files can differ in the requests that they are edited for.
type editors struct {
	target   *Target
	requests []Request
	all      *editor            // of every request
	made     map[string]*editor // by the wanted requests, a byte for each
	wanted   []byte             // scratch
}

// newEditors fails when two requests are for one image.
func newEditors(t *Target, requests []Request) (*editors, error) {
	e := &editors{target: t, requests: requests, made: map[string]*editor{}, wanted: bytes.Repeat([]byte{1}, len(requests))}
	if err := e.make(); err != nil {
		return nil, err
	}
	e.all = e.made[string(e.wanted)]
	return e, nil
}

// of returns the editor for a file or a symbolic link, nil when it is no manifest,
// not the target's, or no request wants it.
func (e *editors) of(entry github.Entry) *editor {
	if !e.target.takesKind(entry.Path) || !e.target.takesFile(entry.Path) || !e.want(entry.Path) {
		return nil
	}
	if made, ok := e.made[string(e.wanted)]; ok {
		return made
	}
	if err := e.make(); err != nil {
		return nil // a part of what newEditors made an editor of is not refused
	}
	return e.made[string(e.wanted)]
}

// want marks the requests that want the file and reports whether there is one.
func (e *editors) want(path string) bool {
	anyone := false
	for i, r := range e.requests {
		e.wanted[i] = 0
		if r.wants(path) {
			e.wanted[i] = 1
			anyone = true
		}
	}
	return anyone
}

// make compiles the editor of the wanted requests.
func (e *editors) make() error {
	var updates []manifest.Update
	var requests []int
	for i, r := range e.requests {
		if e.wanted[i] == 1 {
			updates = append(updates, e.target.update(r))
			requests = append(requests, i)
		}
	}
	options := e.target.options()
	compiled, err := manifest.NewEditor(updates, options)
	if err != nil {
		return err
	}
	e.made[string(e.wanted)] = &editor{Editor: compiled, updates: updates, options: options, requests: requests}
	return nil
}

// update is what a request asks of the target's files.
func (t *Target) update(r Request) manifest.Update {
	return manifest.Update{Image: r.Image, Version: r.Version, Digest: r.Digest, Present: given(t.Present, r.Present)}
}

func (t *Target) options() manifest.Options {
	return manifest.Options{SkipEmbedded: t.SkipEmbedded, Unpin: t.Unpin, Proxies: t.Proxies}
}

// given leaves out the patterns that are none.
func given(patterns ...image.Pattern) []image.Pattern {
	return slices.DeleteFunc(patterns, image.Pattern.IsZero)
}

// wants reports whether the request's paths take the file in.
func (r *Request) wants(path string) bool {
	return len(r.Paths) == 0 || matchesAny(r.Paths, path)
}
