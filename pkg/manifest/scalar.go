package manifest

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// run is a stretch of a scalar's value that stands in the file byte for byte.
// Blanks, folded line breaks and escapes lie between runs, so that a word that
// does not fit into one run is spelled with escapes.
type run struct{ value, source, length int }

const quoteStyles = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle

const blockStyles = yaml.LiteralStyle | yaml.FoldedStyle

func isPlain(n *yaml.Node) bool { return n.Style&(quoteStyles|blockStyles) == 0 }

// runs maps the value of a scalar to the file. There are none when file and value
// do not agree, which must not happen: nothing of the value can be replaced then.
func (s *source) runs(n *yaml.Node) []run {
	start, ok := s.valueStart(n)
	if !ok {
		return nil
	}
	switch first := s.content[start]; {
	case n.Value == "" && n.Style&quoteStyles != 0 && start+1 < len(s.content) && s.content[start+1] == first:
		return []run{{value: 0, source: start + 1, length: 0}}
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return s.escapedRuns(n.Value, start)
	case n.Style&yaml.SingleQuotedStyle != 0:
		if first != '\'' {
			return nil
		}
		return s.wordRuns(n.Value, start+1, true)
	case n.Style&blockStyles != 0:
		if first != '|' && first != '>' {
			return nil
		}
		for start < len(s.content) && breakAt(s.content, start) == 0 {
			start++
		}
	}
	return s.wordRuns(n.Value, start, false)
}

// wordRuns aligns a value word by word. Folding changes blanks and line breaks
// only, never a word, which holds for all styles but the double-quoted one.
func (s *source) wordRuns(text string, at int, quoted bool) []run {
	value := []byte(text)
	var runs []run
	v := skipBlank(value, 0)
	for v < len(value) {
		at = skipBlank(s.content, at)
		end := wordEnd(value, v)
		for v < end {
			stop := end
			if quoted {
				if i := strings.IndexByte(text[v:end], '\''); i >= 0 {
					stop = v + i + 1
				}
			}
			n := stop - v
			if at+n > len(s.content) || string(s.content[at:at+n]) != text[v:stop] {
				return nil
			}
			runs = append(runs, run{v, at, n})
			v, at = stop, at+n
			if quoted && text[stop-1] == '\'' {
				at++
			}
		}
		v = skipBlank(value, v)
	}
	return runs
}

// escapedRuns reads a double-quoted scalar from its opening quote on.
func (s *source) escapedRuns(text string, at int) []run {
	if s.content[at] != '"' {
		return nil
	}
	at++
	var runs []run
	v := 0
	for at < len(s.content) && s.content[at] != '"' {
		if s.content[at] == '\\' {
			decoded, n := unescape(s.content[at:])
			if n == 0 || !strings.HasPrefix(text[v:], decoded) {
				return nil
			}
			v, at = v+len(decoded), at+n
			continue
		}
		if end := skipBlank(s.content, at); end > at {
			folded, n := fold(s.content[at:end])
			if !strings.HasPrefix(text[v:], folded) {
				return nil
			}
			v, at = v+len(folded), at+n
			continue
		}
		end := at
		for end < len(s.content) && s.content[end] != '"' && s.content[end] != '\\' && skipBlank(s.content, end) == end {
			end++
		}
		if !strings.HasPrefix(text[v:], string(s.content[at:end])) {
			return nil
		}
		runs = append(runs, run{v, at, end - at})
		v, at = v+end-at, end
	}
	if v != len(text) {
		return nil
	}
	return runs
}

// fold returns what a stretch of blanks and line breaks inside quotes reads as,
// and its length. Blanks before an escaped line break stay, and blanks after
// the last break belong to the indentation.
func fold(blank []byte) (string, int) {
	breaks := strings.Builder{}
	first := -1
	for i := 0; i < len(blank); i++ {
		n := breakAt(blank, i)
		if n == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		if blank[i] == 0xE2 {
			breaks.Write(blank[i : i+n])
		} else {
			breaks.WriteByte('\n')
		}
		i += n - 1
	}
	switch all := breaks.String(); {
	case first < 0:
		return string(blank), len(blank)
	case all == "\n":
		return " ", len(blank)
	case all[0] == '\n':
		return all[1:], len(blank)
	default:
		return all, len(blank)
	}
}

// unescape returns what the escape at the beginning of b reads as and how long
// it is; 0 when it is none.
func unescape(b []byte) (string, int) {
	if len(b) < 2 {
		return "", 0
	}
	if n := breakAt(b, 1); n > 0 {
		return "", skipBlank(b, 1)
	}
	const letters, meanings = `0abt nvfre"/\N_LP` + "\t", "\x00\a\b\t \n\v\f\r\x1b\"/\\\u0085\u00a0\u2028\u2029\t"
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[b[1]]
	if digits == 0 {
		i := strings.IndexByte(letters, b[1])
		if i < 0 {
			return "", 0
		}
		return string([]rune(meanings)[i]), 2
	}
	if len(b) < 2+digits {
		return "", 0
	}
	code, err := strconv.ParseInt(string(b[2:2+digits]), 16, 32)
	if err != nil || !utf8.ValidRune(rune(code)) {
		return "", 0
	}
	return string(rune(code)), 2 + digits
}

// sourceRange returns where the bytes from..to of a value stand in the file. It
// reports false when they are not one run.
func sourceRange(runs []run, from, to int) (start, end int, ok bool) {
	i := sort.Search(len(runs), func(i int) bool { return runs[i].value > from }) - 1
	if i < 0 || to > runs[i].value+runs[i].length {
		return 0, 0, false
	}
	start = runs[i].source + from - runs[i].value
	return start, start + to - from, true
}

// lastRuns remembers the runs of the scalar that was asked for last, because a
// text may hold many references.
type lastRuns struct {
	node *yaml.Node
	runs []run
}

// of returns the runs of a scalar.
func (l *lastRuns) of(s *source, n *yaml.Node) []run {
	if l.node != n {
		l.node = n
		l.runs = s.runs(n)
	}
	return l.runs
}
