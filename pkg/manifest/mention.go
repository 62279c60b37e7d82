package manifest

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// mention is an image name in a text, with what stands behind it.
type mention struct {
	start, name, end int // text[start:name] is the repository, text[name:end] :tag and @digest
	repo             image.Repository
	spelled          string // the name as the text has it
	update           int
	tag, digest      string
	// scheme is set when docker:// or its like stands before it.
	scheme bool
	// imageKey is set when the text itself has an image key before it.
	imageKey bool
	// whole is set when the text is nothing but the reference and its scheme.
	whole bool
	// reason is why the mention is no literal reference; empty when it is one.
	reason Reason
}

// schemes are the ones behind which an image reference stands. Everything else
// with :// is an address.
var schemes = [...]string{"docker", "oci", "docker-image"}

// reader reads the mentions of images out of one text.
type reader struct {
	want *wanted
	text string
	// lines is set when the text has several lines: # begins a comment there.
	lines bool
	// registry may be that of a whole reference that names none.
	registry registry
	// versioned is set when a name counts only with a version or behind a scheme.
	versioned bool

	// comment is set from a # to the end of its line.
	comment bool
	// template and variable are where the {{ }} and the ${ } that were entered last
	// end.
	template, variable int
	// noTemplate and noVariable are set when no closing mark follows any more.
	noTemplate, noVariable bool
}

// mentions returns the mentions of wanted images in a text, in order.
func (w *wanted) mentions(text string) iter.Seq[mention] {
	return w.mentionsUnder(false, registry{}, text)
}

// mentionsUnder is mentions for a text that stands under an image key or not, and that,
// if it is a reference without a registry, may be one behind this. Where every image is
// wanted, a name without a version is one under an image key alone: any other word
// might be a name.
func (w *wanted) mentionsUnder(imageKey bool, behind registry, text string) iter.Seq[mention] {
	return func(yield func(mention) bool) {
		r := reader{want: w, text: text, registry: behind, lines: strings.IndexByte(text, '\n') >= 0, versioned: w.every && !imageKey}
		for i := 0; i < len(text); {
			if !isTokenByte(text[i]) {
				r.mark(i)
				i++
				continue
			}
			end := i + 1
			for end < len(text) && isTokenByte(text[end]) {
				end++
			}
			if !r.comment {
				if m, ok := r.read(i, end); ok && !yield(m) {
					return
				}
			}
			i = end
		}
	}
}

// mark tracks comments and template actions, so that each byte is read a bounded number
// of times.
func (r *reader) mark(i int) {
	switch r.text[i] {
	case '\n':
		r.comment = false
	case '#':
		if r.lines && (i == 0 || r.text[i-1] == ' ' || r.text[i-1] == '\t' || r.text[i-1] == '\n') {
			r.comment = true
		}
	case '{':
		if i+1 < len(r.text) && r.text[i+1] == '{' && i >= r.template {
			r.template = r.closing(i, "}}", &r.noTemplate)
		}
		if i > 0 && r.text[i-1] == '$' && i >= r.variable {
			r.variable = r.closing(i, "}", &r.noVariable)
		}
	}
}

// closing returns where the closing mark after i stands, or 0. Once there is
// none it is not looked for again.
func (r *reader) closing(i int, mark string, none *bool) int {
	if *none {
		return 0
	}
	n := strings.Index(r.text[i:], mark)
	if n < 0 {
		*none = true
		return 0
	}
	return i + n
}

// read reads the token text[i:end], a longest stretch of bytes that references
// are made of.
func (r *reader) read(i, end int) (mention, bool) {
	m := mention{start: i}
	if r.text[i] == '/' && i > 0 && r.text[i-1] == '\\' {
		return r.readEscaped(i, end)
	}
	if start, ok := variableBefore(r.text, i); ok {
		m.start = start
	} else if i < r.variable {
		m.reason = Variable
		m.start = r.defaultValue(i, end)
	}
	if i < r.template {
		m.reason = Templated
	}
	if !r.leftEdge(&m, end) {
		return mention{}, false
	}
	if n := strings.Index(r.text[m.start:end], "@@"); n > 0 {
		end, m.reason = m.start+n, Templated
	}
	if reason := interpolation(r.text[:end], r.text[end:]); reason != "" {
		m.reason = reason
	} else if !r.rightEdge(end) {
		return mention{}, false
	}
	m.end = end
	if !r.split(&m) {
		return mention{}, false
	}
	m.imageKey = r.afterImageKey(m.start)
	return m, true
}

// maxEscapedSlashes is how many slashes a name may have that is written with
// escapes.
const maxEscapedSlashes = 10

// readEscaped reads a name whose slashes are written \/ in JSON text.
func (r *reader) readEscaped(i, end int) (mention, bool) {
	start := i
	for range maxEscapedSlashes {
		if start == 0 || r.text[start] != '/' || r.text[start-1] != '\\' {
			break
		}
		start--
		for start > 0 && isTokenByte(r.text[start-1]) {
			start--
		}
	}
	plain := strings.ReplaceAll(r.text[start:end], `\/`, "/")
	name := plain
	if slash := strings.LastIndexByte(plain, '/'); slash >= 0 {
		if n := strings.IndexAny(plain[slash:], ":@"); n >= 0 {
			name = plain[:slash+n]
		}
	}
	m := mention{start: start, name: end, end: end, spelled: name, reason: Escaped}
	var ok bool
	m.repo, m.update, ok = r.want.match(name)
	return m, ok && len(name) < len(plain)
}

// defaultValue returns where the default begins in NAME:-default and NAME-default.
func (r *reader) defaultValue(i, end int) int {
	token := r.text[i:end]
	if n := strings.Index(token, ":-"); n >= 0 {
		return i + n + 2
	}
	if n := strings.IndexByte(token, '-'); n >= 0 && i > 0 && r.text[i-1] == '{' {
		return i + n + 1
	}
	return i
}

// leftEdge moves the start behind a scheme or an escaped control character and
// reports whether a reference may begin there.
func (r *reader) leftEdge(m *mention, end int) bool {
	if n := strings.Index(r.text[m.start:end], "://"); n >= 0 {
		scheme := r.text[m.start : m.start+n]
		for _, s := range schemes {
			if scheme == s {
				m.start += n + len("://")
				m.scheme = true
				return true
			}
		}
		return false
	}
	if m.start == 0 || m.reason == Variable {
		return true
	}
	before, _ := utf8.DecodeLastRuneInString(r.text[:m.start])
	if before == '\\' {
		if c := r.text[m.start]; c == 'n' || c == 't' || c == 'r' {
			m.start++
		}
		return true
	}
	return isBlankRune(before) || strings.ContainsRune("\"'`=,([{<>|;&", before) ||
		before >= utf8.RuneSelf && unicode.IsPunct(before)
}

// rightEdge reports whether a reference may end at offset end.
func (r *reader) rightEdge(end int) bool {
	if end == len(r.text) {
		return true
	}
	after, _ := utf8.DecodeRuneInString(r.text[end:])
	return isBlankRune(after) || strings.ContainsRune("\"'`,)]}<>|;&\\", after) ||
		after >= utf8.RuneSelf && unicode.IsPunct(after)
}

// endSentence removes the full stops at the end of a reference in a sentence, except
// those of a wanted version that ends in some.
func (r *reader) endSentence(m *mention) {
	last := &m.tag
	if m.digest != "" {
		last = &m.digest
	}
	bare := strings.TrimRight(*last, ".")
	if m.update >= 0 && last == &m.tag && len(r.want.versions[m.update]) > len(bare) && strings.HasPrefix(*last, r.want.versions[m.update]) {
		bare = r.want.versions[m.update]
	}
	m.end -= len(*last) - len(bare)
	*last = bare
}

// split cuts the reference into its parts and looks its name up. It reports whether the
// text is a reference to a wanted image.
func (r *reader) split(m *mention) bool {
	ref := r.text[m.start:m.end]
	m.name = m.end
	digest := strings.IndexByte(ref, '@')
	named := ref
	if digest >= 0 {
		named, m.digest = ref[:digest], ref[digest+1:]
		m.name = m.start + digest
	}
	slash := strings.LastIndexByte(named, '/')
	colon := strings.IndexByte(named[slash+1:], ':')
	if colon >= 0 {
		colon += slash + 1
		named, m.tag = named[:colon], named[colon+1:]
		m.name = m.start + colon
	}
	if named == "" || colon >= 0 && m.tag == "" && m.reason == "" {
		return false
	}
	m.whole = m.end == len(r.text) && r.opensText(m)
	if colon < 0 && digest < 0 && (!m.whole || r.versioned && !m.scheme) {
		return false
	}
	if !r.matchName(m, named) {
		return false
	}
	if !m.whole {
		r.endSentence(m)
	}
	if m.reason != "" {
		return true
	}
	good := (colon < 0 || isTag(m.tag)) && (digest < 0 || isDigest(m.digest))
	if !good && m.whole {
		m.reason = Ambiguous
		m.tag, m.digest = "", ""
	}
	return good || m.whole
}

// matchName matches a name with the wanted images, and reports whether one matches. A name
// that is the whole text belongs to the registry of the mapping, if there is one.
func (r *reader) matchName(m *mention, named string) bool {
	behind := m.whole && !m.scheme && r.registry.precedes(named)
	m.spelled = named
	var ok bool
	if behind {
		if m.repo, m.update, ok = r.want.match(r.registry.host + "/" + named); ok {
			return true
		}
	}
	if m.repo, m.update, ok = r.want.match(named); ok && behind && m.reason == "" {
		m.reason = Ambiguous
	}
	return ok
}

// opensText reports whether nothing but a scheme stands before a mention.
func (r *reader) opensText(m *mention) bool {
	return m.start == 0 || m.scheme && strings.Index(r.text, "://")+len("://") == m.start
}

// afterImageKey reports whether the text before start ends in a key such as
// image: or "image":, as in a manifest inside a ConfigMap.
func (r *reader) afterImageKey(start int) bool {
	const trims = " \t\"'\\"
	const window = 64
	before := strings.TrimRight(r.text[max(0, start-window):start], trims)
	key, ok := strings.CutSuffix(before, ":")
	return ok && isImageKey(strings.TrimRight(key, trims))
}

// isImageKey reports whether a key ends in image, in any case.
func isImageKey(key string) bool {
	const suffix = "image"
	return len(key) >= len(suffix) && strings.EqualFold(key[len(key)-len(suffix):], suffix)
}

// tokenBytes marks the bytes that references with a scheme are made of.
var tokenBytes = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@") {
		set[c] = true
	}
	return set
}()

func isTokenByte(c byte) bool { return tokenBytes[c] }

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func isBlankRune(r rune) bool { return unicode.IsSpace(r) }

func isTag(s string) bool { _, err := image.ParseTag(s); return err == nil }

func isDigest(s string) bool { _, err := image.ParseDigest(s); return err == nil }
