package manifest

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// findInLines returns the sites of a file that the parser refuses, usually a template.
// Only a whole literal image line can be edited; every other line that names an image
// gets a reason.
func findInLines(name string, src *source, want *wanted) ([]*site, error) {
	w := newWalk(src, want)
	w.pipeline = isPipelinePath(name)
	w.ties = tiesOf(src, want)
	masked := &source{content: maskTemplateComments(src.content), lines: src.lines, counts: src.counts}
	for n := 1; n <= len(masked.lines) && len(w.sites) <= MaxReferences; n++ {
		w.line(n, uncommented(bytes.TrimRight(masked.line(n), "\r\n")))
	}
	if len(w.sites) > MaxReferences {
		return nil, errTooMany
	}
	sortSites(w.sites)
	return w.sites, nil
}

// line finds the sites of one line, whose value is treated like a parsed scalar.
func (w *walk) line(n int, text []byte) {
	key, start := lineKey(text)
	value, style := unquoted(text[start:])
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: value, Style: style, Line: n}
	_, node.Column = w.src.lineColumn(w.src.lines[n-1] + start)
	parent := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key, Line: n}, node}}
	at := &step{in: parent}
	imageKey := isImageKey(key)
	first := len(w.sites)
	lines := &lineSet{}
	if t := w.ties[n]; t != nil {
		if tag, digest, reason := splitVersion(node); reason != Ambiguous {
			s := &site{repo: t.repo, spelled: t.spelled, update: t.update, node: node, end: len(value), field: true, tagField: isTagKey(key), tag: tag, digest: digest, reason: reason, lines: []*lineSet{lines}}
			w.place(s, at, 0)
			w.sites = append(w.sites, s)
			return
		}
	}
	for m := range w.want.mentionsUnder(imageKey, registry{}, value) {
		w.mention(node, at, m, imageKey, lines)
	}
	for _, s := range w.sites[first:] {
		if s.embedded && (s.reason == "" || s.reason == Untagged || s.reason == Ambiguous && containsSlash(s.repo)) {
			s.reason = Unparsable
		}
	}
}

// lineKey returns the key of a line of the form "- key: value" and where its
// value begins; without a key, where the text behind the dashes begins.
func lineKey(line []byte) (key string, value int) {
	at := skipBlank(line, 0)
	for at+1 < len(line) && line[at] == '-' && line[at+1] == ' ' {
		at = skipBlank(line, at+1)
	}
	rest := line[at:]
	colon := bytes.IndexByte(rest, ':')
	if colon < 0 || colon+1 >= len(rest) || rest[colon+1] != ' ' && rest[colon+1] != '\t' {
		return "", at
	}
	name := bytes.TrimRight(rest[:colon], " \t")
	if len(name) > 1 && (name[0] == '"' || name[0] == '\'') && name[len(name)-1] == name[0] {
		name = name[1 : len(name)-1]
	}
	if bytes.ContainsAny(name, " \t\"'{}[]") {
		return "", at
	}
	return string(name), skipBlank(line, at+colon+1)
}

// unquoted returns the text inside the quotes of a value that has no escapes;
// any other value is returned as it is.
func unquoted(value []byte) (string, yaml.Style) {
	value = bytes.TrimRight(value, " \t")
	if n := len(value); n > 1 && value[0] == value[n-1] && !bytes.ContainsAny(value[1:n-1], `\"'`) {
		switch value[0] {
		case '"':
			return string(value[1 : n-1]), yaml.DoubleQuotedStyle
		case '\'':
			return string(value[1 : n-1]), yaml.SingleQuotedStyle
		}
	}
	return string(value), 0
}

// uncommented cuts the comment off a line. A quote counts only where a scalar
// may begin, so that an apostrophe in a word does not hide a comment.
func uncommented(line []byte) []byte {
	var quote byte
	for i, c := range line {
		blankBefore := i == 0 || line[i-1] == ' ' || line[i-1] == '\t'
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '#' && blankBefore:
			return line[:i]
		case (c == '"' || c == '\'') && (blankBefore || bytes.IndexByte([]byte("[{,("), line[i-1]) >= 0):
			quote = c
		}
	}
	return line
}

// maskTemplateComments returns content with the comments of Go templates,
// {{/* … */}}, blanked out. Lines keep their length.
func maskTemplateComments(content []byte) []byte {
	const open, end = "/*", "*/"
	masked := content
	for at := 0; ; {
		n := bytes.Index(masked[at:], []byte("{{"))
		if n < 0 {
			return masked
		}
		at += n + len("{{")
		inside := at + len(masked[at:]) - len(bytes.TrimLeft(masked[at:], "- \t"))
		if !bytes.HasPrefix(masked[inside:], []byte(open)) {
			continue
		}
		n = bytes.Index(masked[inside:], []byte(end))
		if n < 0 {
			return masked
		}
		if &masked[0] == &content[0] {
			masked = bytes.Clone(content)
		}
		for i := inside; i < inside+n; i++ {
			if breakAt(masked, i) == 0 && masked[i] < 0x80 {
				masked[i] = ' '
			}
		}
		at = inside + n
	}
}
