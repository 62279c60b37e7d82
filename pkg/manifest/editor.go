package manifest

import (
	"fmt"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Update is one wanted move: every reference to the image gets the version.
type Update struct {
	// Image is the repository to look for; it is compared by its normalised name.
	Image image.Repository
	// Version is the tag to write.
	Version image.Tag
	// Digest is written where a file pins one, or everywhere with Options.Pin; zero
	// removes the file's digest.
	Digest image.Digest
	// Present are patterns that must all match a reference's present version, which is
	// the empty text if there is none. Other references are skipped as OtherVersion,
	// unless they have the wanted version already.
	Present []image.Pattern
}

// takes reports whether a reference with the tag is to be moved.
func (u *Update) takes(tag string) bool {
	return !slices.ContainsFunc(u.Present, func(p image.Pattern) bool { return !p.Matches(tag) })
}

// Options change what counts as a reference. The zero value is what most files
// want.
type Options struct {
	// SkipEmbedded skips references that only their text identifies: environment
	// values, arguments, block scalars, JSON text. Values of keys that end in image,
	// pairs of fields, and docker:// addresses are still edited.
	SkipEmbedded bool
	// Unpin replaces a digest without a version, as in NAME@sha256:…, by the version even
	// if the update has no digest.
	Unpin bool
	// Pin writes the update's digest also where none stands: a version becomes
	// VERSION@DIGEST, or the empty digest field beside it is filled in. A reference
	// without a place for one is skipped as Unpinnable. An update that has no digest
	// changes nothing: what it would move is skipped as DigestUnknown.
	Pin bool
	// Proxies are prefixes that stand for a registry, in addition to those of GitLab's
	// dependency proxy.
	Proxies []Proxy
}

// Editor is a compiled set of updates. It is immutable and safe for concurrent
// use.
type Editor struct {
	updates []Update
	options Options
	want    wanted
	screen  screen
}

// DuplicateError is the error of two updates for one image.
type DuplicateError struct {
	// Image is the normalised name.
	Image string
	// First and Second are the indexes of the updates.
	First, Second int
}

// Error returns a sentence without a full stop.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("updates %d and %d both name the image %s", e.First, e.Second, e.Image)
}

// IncompleteError is the error of an update without an image or a version.
type IncompleteError struct {
	// Index is that of the update.
	Index int
}

// Error returns a sentence without a full stop.
func (e *IncompleteError) Error() string {
	return fmt.Sprintf("update %d has no image or no version", e.Index)
}

// NewEditor compiles updates, which it copies. The error is a *DuplicateError or
// an *IncompleteError.
func NewEditor(updates []Update, options Options) (*Editor, error) {
	e := &Editor{
		updates: append([]Update(nil), updates...),
		options: options,
		want:    wanted{names: map[string]int{}, bases: map[string]struct{}{}, proxies: newProxies(options.Proxies)},
	}
	for i, u := range e.updates {
		if u.Image.IsZero() || u.Version.IsZero() {
			return nil, &IncompleteError{Index: i}
		}
		name := u.Image.Name()
		if first, ok := e.want.names[name]; ok {
			return nil, &DuplicateError{Image: name, First: first, Second: i}
		}
		e.want.names[name] = i
		e.want.versions = append(e.want.versions, u.Version.String())
		e.want.bases[u.Image.Base()] = struct{}{}
	}
	e.screen = newScreen(e.want.bases)
	return e, nil
}

// Edit moves every reference of one file that an update asks for.
//
// It never fails: a reference that cannot be edited safely is reported as a Skip. The
// content is neither changed nor kept. It takes about the time of parsing the file,
// twice that if something changes; a file for which Mentions is false is returned at
// once.
func (e *Editor) Edit(content []byte) Result { return e.EditFile("", content) }

// EditFile is Edit for a file with a known path in its repository, with slashes, which
// identifies files of CI systems.
func (e *Editor) EditFile(name string, content []byte) Result {
	if !e.Mentions(content) {
		return Result{Content: content}
	}
	return e.edit(name, content)
}

// edit is EditFile without the screen.
func (e *Editor) edit(name string, content []byte) Result {
	f, reason := read(name, content, &e.want)
	if reason != "" {
		return Result{Content: content, Skips: []Skip{{Update: -1, Reason: reason}}}
	}
	return e.apply(f)
}
