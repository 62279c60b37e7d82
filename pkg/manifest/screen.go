package manifest

import "bytes"

// screen tells, without parsing, which files cannot name a wanted image.
//
// Every spelling of a repository, also one that is split over a registry and a
// repository field, ends in its last path part as a word of its own. So a file
// that lacks that word lacks the image, unless an escape hides it.
type screen struct {
	bases [][]byte
	set   map[string]struct{}
}

// manyBases is the number of words from which on one pass that looks each word
// up is faster than a search for each.
const manyBases = 12

func newScreen(bases map[string]struct{}) screen {
	s := screen{set: bases}
	for base := range bases {
		s.bases = append(s.bases, []byte(base))
	}
	return s
}

// Mentions reports whether a file may name one of the images: a false answer is
// certain, a true one is worth an Edit. It allocates nothing.
func (e *Editor) Mentions(content []byte) bool {
	if isUTF16(content) || hidesWords(content) {
		return true
	}
	if len(e.screen.bases) >= manyBases {
		return e.screen.lookUp(content)
	}
	for _, base := range e.screen.bases {
		if hasWord(content, base) {
			return true
		}
	}
	return false
}

// hasWord reports whether a word stands in content as the last path part of a
// name may.
func hasWord(content, word []byte) bool {
	for at := 0; ; {
		n := bytes.Index(content[at:], word)
		if n < 0 {
			return false
		}
		start := at + n
		if wordStarts(content, start) && wordEnds(content, start+len(word)) {
			return true
		}
		at = start + 1
	}
}

// lookUp is hasWord for many words at once.
func (s *screen) lookUp(content []byte) bool {
	for start, end := nextWord(content, 0); start < end; start, end = nextWord(content, end) {
		if _, ok := s.set[string(content[start:end])]; ok {
			return true
		}
		if inner := innerWord(content, start, end); inner < end {
			if _, ok := s.set[string(content[inner:end])]; ok {
				return true
			}
		}
	}
	return false
}

// nextWord returns the next longest stretch of name bytes from at on, or an
// empty one at the end.
func nextWord(content []byte, at int) (start, end int) {
	for at < len(content) && !isNameByte(content[at]) {
		at++
	}
	start = at
	for at < len(content) && isNameByte(content[at]) {
		at++
	}
	return start, at
}

// innerWord returns where the name begins in a word that has something before
// it: the letter of an escape such as \n, or a variable whose default it is, as
// in ${X:-name} and ${X-name}. It returns end when there is no such thing.
func innerWord(content []byte, start, end int) int {
	if start == 0 {
		return end
	}
	switch content[start-1] {
	case '\\':
		return start + 1
	case ':':
		if content[start] == '-' {
			return start + 1
		}
	case '{':
		if n := bytes.IndexByte(content[start:end], '-'); n >= 0 {
			return start + n + 1
		}
	}
	return end
}

// isNameByte reports whether c may stand in a path part of a name, or next to
// one without a break, as an upper-case letter does.
func isNameByte(c byte) bool { return nameBytes[c] }

var nameBytes = func() (set [256]bool) {
	for c := range set {
		set[c] = isWordByte(byte(c)) || c == '.' || c == '-'
	}
	return set
}()

// wordStarts reports whether a word may begin at offset at: what of a name stands
// before it is one that innerWord passes over.
func wordStarts(content []byte, at int) bool {
	if at == 0 || !isNameByte(content[at-1]) {
		return true
	}
	if at > 1 && content[at-2] == '\\' {
		return true
	}
	if content[at-1] != '-' {
		return false
	}
	start := at - 1
	for start > 0 && isNameByte(content[start-1]) {
		if start--; at-start > longestVariable {
			return true
		}
	}
	return innerWord(content, start, at+1) == at
}

// longestVariable is how far back a variable is looked for whose default a word
// may be. Beyond it the word passes: a false hit costs less than a long look.
const longestVariable = 64

// wordEnds reports whether a word may end at offset at.
func wordEnds(content []byte, at int) bool {
	return at == len(content) || !isNameByte(content[at])
}

func isUTF16(content []byte) bool {
	return len(content) > 1 && (content[0] == 0xFF && content[1] == 0xFE || content[0] == 0xFE && content[1] == 0xFF)
}

// hidesWords reports whether an escape of a double-quoted scalar may spell a
// part of a word: \x, \u and \U, and a line break that is escaped in the midst
// of a word.
func hidesWords(content []byte) bool {
	for at := 0; ; {
		n := bytes.IndexByte(content[at:], '\\')
		if n < 0 {
			return false
		}
		at += n + 1
		if at == len(content) {
			return false
		}
		switch c := content[at]; {
		case c == 'x' || c == 'u' || c == 'U':
			if at+1 < len(content) && isHex(content[at+1]) {
				return true
			}
		case breakAt(content, at) > 0:
			next := skipBlank(content, at)
			if at > 1 && isNameByte(content[at-2]) && next < len(content) && isNameByte(content[next]) {
				return true
			}
		case c == '\\':
			at++
		}
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
