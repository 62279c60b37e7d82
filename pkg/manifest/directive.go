package manifest

import (
	"bytes"
	"slices"
)

// directive is the request of a comment "# versions-service: …".
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

// headDirective reads the directive on a line of its own before the first content of
// the file.
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

// lineSet is lines of a file. Its strongest directive is read once, however many
// sites share it.
type lineSet struct {
	numbers []int
	found   directive
	read    bool
}

// directives reads the directives of a file, each line once: many sites may stand
// on one long line.
type directives struct {
	src    *source
	byLine map[int]directive
}

func (r *directives) line(n int) directive {
	d, ok := r.byLine[n]
	if !ok {
		d = directiveIn(r.src.line(n))
		r.byLine[n] = d
	}
	return d
}

func (r *directives) lines(l *lineSet) directive {
	if !l.read {
		l.read = true
		for _, n := range l.numbers {
			l.found = max(l.found, r.line(n))
		}
	}
	return l.found
}

// direct applies the directives of a file to its sites: ignored ones are
// dropped, held ones get their reason.
func direct(src *source, sites []*site) []*site {
	if !bytes.Contains(src.content, directiveMark) {
		return sites
	}
	head := headDirective(src)
	r := directives{src: src, byLine: map[int]directive{}}
	return slices.DeleteFunc(sites, func(s *site) bool {
		d := max(head, r.line(s.Line))
		for _, lines := range s.lines {
			d = max(d, r.lines(lines))
		}
		if d == holdDirective {
			s.reason = Held
		}
		return d == ignoreDirective
	})
}
