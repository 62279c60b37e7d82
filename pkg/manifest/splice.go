package manifest

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// patch replaces Value[from:to] of one scalar.
type patch struct {
	node     *yaml.Node
	from, to int
	text     string
}

// decision is the effect of an update on a site.
type decision struct {
	// current is set when there is nothing to do.
	current bool
	// to and toDigest are the version and digest after the edit.
	to, toDigest string
	patches      []patch
}

// decide returns the effect of an update on a site that can be edited, with pin also
// that of its digest where none stands.
func decide(s *site, u *Update, pin bool) decision {
	version, digest := u.Version.String(), u.Digest.String()
	repinned := s.digest != "" && digest != "" && s.digest != digest
	if s.digestOnly() {
		return decision{current: !repinned, toDigest: digest, patches: []patch{s.patchDigest(digest)}}
	}
	unpinned := pin && s.digest == ""
	if s.tag == version && !s.misread() && !repinned && !unpinned {
		return decision{current: true}
	}
	d := decision{to: version}
	text := version
	if s.digest != "" || unpinned {
		d.toDigest = digest
		inline := s.inline != "" || s.digestNode == nil && (s.vacant == nil || s.digest != "")
		if inline && digest != "" {
			text += "@" + digest
		}
	}
	switch {
	case s.span:
		if s.quote && needsQuotes(text) {
			text = `"` + text + `"`
		}
		d.patches = append(d.patches, patch{s.node, s.name, s.end, text})
	case s.field:
		d.patches = append(d.patches, patch{s.node, 0, len(s.node.Value), text})
	case s.tag != "":
		d.patches = append(d.patches, patch{s.node, s.name + len(":"), s.end, text})
	default:
		d.patches = append(d.patches, patch{s.node, s.name, s.end, ":" + text})
	}
	switch {
	case s.digestNode != nil && s.digest != digest:
		d.patches = append(d.patches, s.patchDigest(digest))
	case s.vacant != nil && unpinned:
		d.patches = append(d.patches, patch{s.vacant, 0, 0, digest})
	}
	return d
}

// digestOnly reports whether nothing but a digest field says the version.
func (s *site) digestOnly() bool { return s.field && s.digestNode != nil && s.tag == "" }

// pinnable reports whether the site has a digest, or a place for one.
func (s *site) pinnable() bool {
	return s.digest != "" || s.vacant != nil || s.tagField || !s.field && !s.span
}

// patchDigest writes a digest as the field spells one, with its algorithm or without.
func (s *site) patchDigest(digest string) patch {
	if isBareDigest(s.digestNode.Value) {
		bare, ok := strings.CutPrefix(digest, sha256Prefix)
		if digest = bare; !ok {
			digest = ""
		}
	}
	return patch{s.digestNode, 0, len(s.digestNode.Value), digest}
}

// misread reports whether a version field is a plain scalar that YAML readers take for
// another value, such as 1.10 for 1.1. Such a version is not current, even if its text
// is the wanted one.
func (s *site) misread() bool {
	return s.field && isPlain(s.node) && s.node.Style&yaml.TaggedStyle == 0 && !readsAsItself(s.node.Value)
}

// longestOddity is the length above which no plain scalar is taken for a number or a
// date.
const longestOddity = 512

// splice turns a patch into bytes of the file. It reports false if the scalar's
// spelling does not allow it: escapes, several lines, or no quotes where the new value
// would not be a string.
func (s *source) splice(p patch, runs []run) (Splice, bool) {
	start, end, ok := locate(p, runs)
	if !ok {
		return Splice{}, false
	}
	text := p.text
	whole := p.from == 0 && p.to == len(p.node.Value)
	if isPlain(p.node) && p.node.Style&yaml.TaggedStyle == 0 && len(p.node.Value) < longestOddity {
		if s.json || needsQuotes(p.node.Value[:p.from]+p.text+p.node.Value[p.to:]) {
			if !whole {
				return Splice{}, false
			}
			text = `"` + text + `"`
		}
	}
	if text == "" && whole && p.node.Style&quoteStyles == 0 {
		return Splice{}, false
	}
	return Splice{Start: start, End: end, Text: text}, true
}

// locate returns where the replaced piece stands. An empty piece stands behind
// the byte before it.
func locate(p patch, runs []run) (start, end int, ok bool) {
	if p.from == p.to && p.from > 0 {
		_, end, ok = sourceRange(runs, p.from-1, p.to)
		return end, end, ok
	}
	return sourceRange(runs, p.from, p.to)
}

// spliced returns content with the splices of all changes applied. Changes that
// share an anchored value have its splice in common.
func spliced(content []byte, changes []Change) []byte {
	var all []Splice
	for _, c := range changes {
		all = append(all, c.Splices...)
	}
	sortSplices(all)
	all = slices.Compact(all)
	grown := 0
	for _, s := range all {
		grown += len(s.Text)
	}
	out := make([]byte, 0, len(content)+grown)
	at := 0
	for _, s := range all {
		out = append(out, content[at:s.Start]...)
		out = append(out, s.Text...)
		at = s.End
	}
	return append(out, content[at:]...)
}

func sortSplices(all []Splice) {
	slices.SortFunc(all, func(a, b Splice) int { return cmp.Compare(a.Start, b.Start) })
}
