package manifest

import (
	"bytes"
	"sort"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// byteOrderMark may open a file; the parser does not count it as a column.
var byteOrderMark = []byte("\ufeff")

// mileage is the distance in bytes between two known counts of characters. It
// keeps every look-up short, also in a file that is one long line.
const mileage = 4096

// source is a UTF-8 file with the means to turn lines and columns into offsets
// and back.
//
// The parser counts columns in characters and ends a line at every break of
// YAML 1.1: LF, CRLF, CR, NEL, LS and PS.
type source struct {
	content []byte
	json    bool  // the file is JSON, not only YAML
	lines   []int // offset of each line's first byte, after a byte order mark
	counts  []int // counts[i] is the number of characters before byte i*mileage
}

func newSource(content []byte) *source {
	s := &source{content: content}
	first := 0
	if bytes.HasPrefix(content, byteOrderMark) {
		first = len(byteOrderMark)
	}
	s.lines = append(s.lines, first)
	count := 0
	for i, c := range content {
		if i%mileage == 0 {
			s.counts = append(s.counts, count)
		}
		if utf8.RuneStart(c) {
			count++
		}
		if ' ' <= c && c < utf8.RuneSelf {
			continue
		}
		if n := breakAt(content, i); n > 0 && (c != '\r' || n == 1) {
			s.lines = append(s.lines, i+n)
		}
	}
	return s
}

// breakAt returns the length of the line break at offset i, or 0.
func breakAt(b []byte, i int) int {
	switch b[i] {
	case '\n':
		return 1
	case '\r':
		if i+1 < len(b) && b[i+1] == '\n' {
			return 2
		}
		return 1
	case 0xC2:
		if i+1 < len(b) && b[i+1] == 0x85 {
			return 2
		}
	case 0xE2:
		if i+2 < len(b) && b[i+1] == 0x80 && (b[i+2] == 0xA8 || b[i+2] == 0xA9) {
			return 3
		}
	}
	return 0
}

// skipBlank returns the offset of the first byte from i on that is neither
// blank nor part of a line break.
func skipBlank(b []byte, i int) int {
	for i < len(b) {
		if b[i] == ' ' || b[i] == '\t' {
			i++
		} else if n := breakAt(b, i); n > 0 {
			i += n
		} else {
			break
		}
	}
	return i
}

// wordEnd returns the offset at which the word that begins at i ends.
func wordEnd(b []byte, i int) int {
	for i < len(b) && b[i] != ' ' && b[i] != '\t' && breakAt(b, i) == 0 {
		i++
	}
	return i
}

// characters returns the number of characters before offset.
func (s *source) characters(offset int) int {
	if len(s.counts) == 0 {
		return 0
	}
	mile := min(offset/mileage, len(s.counts)-1)
	n := s.counts[mile]
	for _, c := range s.content[mile*mileage : offset] {
		if utf8.RuneStart(c) {
			n++
		}
	}
	return n
}

// offset returns the offset of a place that the parser named.
func (s *source) offset(line, column int) (int, bool) {
	if line < 1 || line > len(s.lines) || column < 1 {
		return 0, false
	}
	want := s.characters(s.lines[line-1]) + column - 1
	mile := sort.SearchInts(s.counts, want+1) - 1
	if mile < 0 {
		return 0, false
	}
	n := s.counts[mile]
	for i := mile * mileage; i < len(s.content); i++ {
		if utf8.RuneStart(s.content[i]) {
			if n == want {
				return i, true
			}
			n++
		}
	}
	return 0, false
}

// lineColumn returns the place of an offset as an editor shows it.
func (s *source) lineColumn(offset int) (line, column int) {
	line = max(sort.SearchInts(s.lines, offset+1), 1)
	start := min(s.lines[line-1], offset)
	return line, s.characters(offset) - s.characters(start) + 1
}

// line returns the text of a line, counted from 1, with its break.
func (s *source) line(n int) []byte {
	if n < 1 || n > len(s.lines) {
		return nil
	}
	if n == len(s.lines) {
		return s.content[s.lines[n-1]:]
	}
	return s.content[s.lines[n-1]:s.lines[n]]
}

// valueStart returns the offset of a scalar's first byte, its quote or block
// indicator included. The parser's own place is that of a tag or an anchor
// where there is one.
func (s *source) valueStart(n *yaml.Node) (int, bool) {
	i, ok := s.offset(n.Line, n.Column)
	if !ok {
		return 0, false
	}
	for i < len(s.content) && (s.content[i] == '!' || s.content[i] == '&') {
		i = skipBlank(s.content, wordEnd(s.content, i))
		for i < len(s.content) && s.content[i] == '#' {
			for i < len(s.content) && breakAt(s.content, i) == 0 {
				i++
			}
			i = skipBlank(s.content, i)
		}
	}
	return i, i < len(s.content)
}
