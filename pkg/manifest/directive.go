package manifest

import (
	"bytes"
	"slices"
)

// directive is what a comment "# versions-service: …" asks for.
type directive int

const (
	noDirective directive = iota
	// holdDirective freezes a reference or a file at its version.
	holdDirective
	// ignoreDirective hides a reference or a file.
	ignoreDirective
)

// directiveMark opens a directive inside a comment; a reason may follow its word.
var directiveMark = []byte("versions-service:")

// directiveIn reads the directive of one line.
func directiveIn(line []byte) directive {
	for {
		mark := bytes.Index(line, directiveMark)
		if mark < 0 {
			return noDirective
		}
		before := bytes.TrimRight(line[:mark], " \t")
		line = line[mark+len(directiveMark):]
		hash := len(before) - 1
		if hash < 0 || before[hash] != '#' || hash > 0 && before[hash-1] != ' ' && before[hash-1] != '\t' {
			continue
		}
		word := bytes.TrimLeft(line, " \t")
		switch end := bytes.IndexFunc(word, func(r rune) bool { return r < 'a' || r > 'z' }); {
		case end < 0:
		default:
			word = word[:end]
		}
		switch string(word) {
		case "hold":
			return holdDirective
		case "ignore":
			return ignoreDirective
		}
	}
}

// headDirective reads the directive that stands on a line of its own before the
// first content of the file.
func headDirective(src *source) directive {
	for n := 1; n <= len(src.lines); n++ {
		line := bytes.TrimSpace(src.line(n))
		switch {
		case len(line) > 0 && line[0] == '#':
			if d := directiveIn(line); d != noDirective {
				return d
			}
		case len(line) > 0 && line[0] != '%' && !bytes.Equal(line, []byte("---")):
			return noDirective
		}
	}
	return noDirective
}

// direct applies the directives of a file to its sites: ignored ones are
// dropped, held ones get their reason.
func direct(src *source, sites []*site) []*site {
	if !bytes.Contains(src.content, directiveMark) {
		return sites
	}
	head := headDirective(src)
	byLine := map[int]directive{} // many sites may stand on one long line
	return slices.DeleteFunc(sites, func(s *site) bool {
		d := head
		for _, n := range s.lines {
			if _, ok := byLine[n]; !ok {
				byLine[n] = directiveIn(src.line(n))
			}
			d = max(d, byLine[n])
		}
		if d == holdDirective {
			s.reason = Held
		}
		return d == ignoreDirective
	})
}
