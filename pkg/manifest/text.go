package manifest

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// innerText is YAML inside a literal block scalar, such as the values of a chart in an
// Argo CD Application or a file in a ConfigMap.
type innerText struct {
	// node is the scalar.
	node *yaml.Node
	src  *source
	docs []*yaml.Node
}

// textPairs finds the pairs in a scalar that is YAML by itself. Those in a literal
// block scalar can be edited. Those in a scalar of another style, or in a text that
// is itself in a text, are only reported. The sites from first on are those of the
// references in the text.
func (w *walk) textPairs(n *yaml.Node, at *step, first int) {
	if w.nested >= maxNested || len(w.sites) > MaxReferences ||
		n.Style&yaml.LiteralStyle == 0 && !strings.ContainsAny(n.Value, "\n{") || !w.want.mayPair(n.Value) {
		return
	}
	content := []byte(n.Value)
	docs, err := parse(content)
	if err != nil {
		return
	}
	t := &innerText{node: n, src: newSource(content), docs: docs}
	inner := newWalk(t.src, w.want)
	start, _ := w.src.valueStart(n)
	inner.lineShift, _ = w.src.lineColumn(start)
	inner.pairsOnly, inner.mergeSteps, inner.nested = true, w.mergeSteps, w.nested+1
	inner.pipelinePath = w.pipeline
	sites, err := inner.documents(docs)
	w.mergeSteps = inner.mergeSteps
	if err != nil {
		w.tooMany = w.tooMany || errors.Is(err, errTooMany)
		return
	}
	lines := w.keyLines(n, at)
	editable := n.Style&yaml.LiteralStyle != 0 && !w.pairsOnly
	for _, s := range sites {
		s.lines = append(s.lines, lines)
		if editable {
			w.liftSite(s, t, at, start)
		} else {
			w.reportSite(s, n, at)
		}
	}
	w.sites = append(withoutTwins(w.sites, first, sites), sites...)
}

// withoutTwins drops the references of a text, those of sites from first on, that
// a pair holds as well.
func withoutTwins(sites []*site, first int, pairs []*site) []*site {
	offsets := map[int]struct{}{}
	for _, p := range pairs {
		if !p.field {
			offsets[p.offset] = struct{}{}
		}
	}
	kept := slices.DeleteFunc(sites[first:], func(s *site) bool {
		_, ok := offsets[s.offset]
		return ok
	})
	return sites[:first+len(kept)]
}

// reportSite gives a site of a text that cannot be edited the place of its scalar.
func (w *walk) reportSite(s *site, n *yaml.Node, at *step) {
	s.node, s.digestNode, s.name, s.end, s.embedded = n, nil, 0, len(n.Value), true
	s.list, s.pinsOther = list{}, false
	w.place(s, at, 0)
	if s.reason == "" || s.reason.literal() || s.reason == DigestOnly {
		s.reason = Escaped
	}
}

// pairMarks are endings of keys, in quotes or without, of which each pair has one.
var pairMarks = [...]string{"ag:", "ersion:", "epository:", "igest:", `ag":`, `ersion":`, `epository":`, `igest":`}

// maxNested is how deep text is looked for in text.
const maxNested = 2

// mayPair reports whether a text is worth parsing for pairs.
func (w *wanted) mayPair(value string) bool {
	if !slices.ContainsFunc(pairMarks[:], func(mark string) bool { return strings.Contains(value, mark) }) {
		return false
	}
	if w.every {
		return true
	}
	for base := range w.bases {
		if strings.Contains(value, base) {
			return true
		}
	}
	return false
}

// liftSite gives a site of a text its place in the file. A literal block scalar
// begins on the line after its indicator and keeps every line.
func (w *walk) liftSite(s *site, t *innerText, at *step, start int) {
	s.text, s.embedded = t, true
	s.Document, s.Pointer = w.document, at.pointer()
	offset, _, ok := sourceRange(w.last.of(w.src, t.node), s.offset, s.offset+1)
	if !ok {
		offset = start
		s.reason = Escaped
	}
	s.offset = offset
	s.Line, s.Column = w.src.lineColumn(offset)
}

// outward turns a patch of a node in the text into one of the scalar itself.
func (t *innerText) outward(p patch) (patch, bool) {
	sp, ok := t.src.splice(p, t.src.runs(p.node))
	return patch{node: t.node, from: sp.Start, to: sp.End, text: sp.Text}, ok
}

// holds reports whether the text keeps its shape under a new value.
func (t *innerText) holds(value string) bool {
	after, err := parse([]byte(value))
	if err != nil || len(after) != len(t.docs) {
		return false
	}
	for i := range after {
		if !sameShape(t.docs[i], after[i]) {
			return false
		}
	}
	return true
}

// sameShape compares two trees without the values of their scalars.
func sameShape(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameShape(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
