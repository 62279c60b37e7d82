package manifest

import (
	"bytes"
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Limits of one walk. Real files stay far below each of them.
const (
	// maxDepth is how deep mappings and sequences may nest.
	maxDepth = 500
	// maxMergeSteps is how many fields the merge keys of a file may pull in, so
	// that a hostile file cannot multiply its size by them.
	maxMergeSteps = 100_000
	// MaxReferences is how many references of interest one file may hold.
	MaxReferences = 10_000
)

var (
	errTooDeep = errors.New("nested too deep")
	errTooMany = errors.New("too many references")
)

// site is one place of a file that names a wanted image.
type site struct {
	Place
	// offset is the byte offset of the place.
	offset int
	repo   image.Repository
	// spelled is the name as the file has it.
	spelled string
	update  int
	// tag and digest are the present ones, in whichever node they are.
	tag, digest string
	// node is the scalar that holds the version: all of it for a field, and
	// Value[name:end] (":tag", "@digest", both or neither) for a reference.
	node      *yaml.Node
	name, end int
	field     bool
	// span is set when Value[name:end] is the version itself, and quote when readers
	// of it want quotes where it looks like a number.
	span, quote bool
	// digestNode is the sibling that holds the digest, or nil.
	digestNode *yaml.Node
	// vacant is the sibling that may hold a digest and is empty, or nil.
	vacant *yaml.Node
	// tagField is set for a field whose key says that it holds a tag, which may be
	// followed by a digest.
	tagField bool
	// inline is the digest that stands in the reference itself, where digestNode
	// holds another one.
	inline string
	// pinsOther is set when the digest is all that another reference has.
	pinsOther bool
	// lines are the lines besides its own on which a directive concerns the site.
	// Sites share them: a pair with many versions has as many sites.
	lines []*lineSet
	// bare is set when a reference without a version may be given one.
	bare bool
	// naming is the pair that the site is of, where it can have a Key; else nil.
	naming *naming
	// unlisted is set where the pair is only known to be one by a search for the image.
	unlisted bool
	// list is the list that the reference is a choice of, if it is one.
	list list
	// text is the YAML text inside a scalar in which the site stands, or nil. Node
	// and digestNode are nodes of that text then.
	text *innerText
	// embedded is set when the reference is found by its text alone.
	embedded bool
	// reason is why the site cannot be edited; empty when it can be.
	reason Reason
}

// walk finds the sites of a file.
type walk struct {
	src  *source
	want *wanted
	// sites in the order in which they were found.
	sites []*site
	// byNode finds the sites of a version that several mappings share.
	byNode map[*yaml.Node][]*site
	// claimed are the scalars that belong to a pair.
	claimed map[*yaml.Node]struct{}
	// serves maps scalars that several places may use to the image that they serve.
	serves map[*yaml.Node]service
	// nameOnly are the scalars that serve as the name of a pair through an alias.
	nameOnly map[*yaml.Node]struct{}
	// aliasLines are the lines on which a scalar is used through an alias.
	aliasLines map[*yaml.Node]*lineSet
	// places are the steps to scalars that an alias or a merge key may reach.
	places map[*yaml.Node]*step

	// runs remembers which mappings run an image.
	runs map[*yaml.Node]bool
	// ties are those of the file by line, and tied are the sites that they make in the
	// document.
	ties map[int]*tie
	tied []*site

	// pairsOnly is set in a text inside a scalar, whose other references are found
	// as those of any text.
	pairsOnly bool
	// nested is how many texts are around the one that is walked.
	nested int
	// lineShift is what the lines of a text inside a scalar lack to be those of the
	// file.
	lineShift int

	document int
	// pipeline is set in a file of a CI system, known by its path or by the shape of
	// the document, and cloudBuild in one of Google Cloud Build.
	pipeline, cloudBuild, pipelinePath bool
	// index is set in the index of a Helm repository.
	index bool
	// registry is the one that the document holds apart from its images.
	registry registry

	anchored   int // how many anchored containers are open
	mergeSteps int
	last       lastRuns
	tooDeep    bool
	tooMany    bool
}

func newWalk(src *source, want *wanted) *walk {
	return &walk{
		src: src, want: want, mergeSteps: maxMergeSteps,
		byNode: map[*yaml.Node][]*site{}, claimed: map[*yaml.Node]struct{}{},
		serves: map[*yaml.Node]service{}, aliasLines: map[*yaml.Node]*lineSet{},
		runs: map[*yaml.Node]bool{}, nameOnly: map[*yaml.Node]struct{}{}, places: map[*yaml.Node]*step{},
	}
}

// findInDocuments returns the sites of parsed documents in file order. The error
// is errTooMany or errTooDeep.
func findInDocuments(name string, src *source, docs []*yaml.Node, want *wanted) ([]*site, error) {
	w := newWalk(src, want)
	w.pipelinePath = isPipelinePath(name)
	w.ties = tiesOf(src, want)
	return w.documents(docs)
}

// documents is findInDocuments for a walk that was made before.
func (w *walk) documents(docs []*yaml.Node) ([]*site, error) {
	signed := signedFile(w.src.content, docs)
	for i, doc := range docs {
		w.document = i
		w.lookAt(rootOf(doc))
		first := len(w.sites)
		for _, root := range doc.Content {
			w.visit(root, &step{}, 0)
		}
		if w.tiedSites(); len(w.tied) > 0 {
			w.addTied(first)
		}
		if signed || signedDocument(doc) {
			for _, s := range w.sites[first:] {
				s.reason = Signed
			}
		}
	}
	switch {
	case w.tooMany || w.mergeSteps < 0 || len(w.sites) > MaxReferences:
		return nil, errTooMany
	case w.tooDeep:
		return nil, errTooDeep
	}
	w.settleShared()
	sortSites(w.sites)
	return w.sites, nil
}

// lookAt detects the kind of a document.
func (w *walk) lookAt(root *yaml.Node) {
	w.pipeline, w.cloudBuild = pipelineOf(root)
	w.pipeline = w.pipeline || w.pipelinePath
	w.index = isIndex(root)
	w.registry = registry{}
	if bytes.Contains(w.src.content, []byte("egistry")) {
		w.registry = registryOf(root)
	}
}

func (w *walk) visit(n *yaml.Node, at *step, depth int) {
	if depth > maxDepth {
		w.tooDeep = true
	}
	if w.tooDeep || len(w.sites) > MaxReferences {
		return
	}
	if n.Anchor != "" {
		w.anchored++
		defer func() { w.anchored-- }()
	}
	switch n.Kind {
	case yaml.ScalarNode:
		w.scalar(n, at)
	case yaml.AliasNode:
		w.alias(n, at)
	case yaml.MappingNode:
		w.mappingPairs(n, at)
		w.templateKeys(n, at, depth)
		for i := 0; i+1 < len(n.Content); i += 2 {
			w.visit(n.Content[i+1], at.to(n, i), depth+1)
		}
	case yaml.SequenceNode:
		w.sequencePairs(n, at)
		for i, item := range n.Content {
			w.visit(item, at.to(n, i), depth+1)
		}
	}
}

// alias notes where an anchored scalar is used. A whole reference serves the
// same image wherever it is used; anything else only where a pair claims it.
func (w *walk) alias(n *yaml.Node, at *step) {
	target := n.Alias
	if target.Kind != yaml.ScalarNode {
		return
	}
	uses := w.aliasLines[target]
	if uses == nil {
		uses = &lineSet{}
		w.aliasLines[target] = uses
	}
	if len(uses.numbers) <= maxUses {
		uses.numbers = append(uses.numbers, n.Line+w.lineShift)
	}
	if _, ok := w.claimed[n]; ok {
		return
	}
	name := ""
	if at.inContainer() {
		if repo, err := image.ParseRepository(target.Value); err == nil {
			name = repo.Name()
		}
	}
	w.serveOne(target, name)
}

// scalar finds the references in the text of a scalar.
func (w *walk) scalar(n *yaml.Node, at *step) {
	if n.Anchor != "" || w.anchored > 0 {
		w.places[n] = at
	}
	if len(w.ties) > 0 {
		w.noteTied(n, at)
	}
	if _, ok := w.claimed[n]; ok {
		return
	}
	if w.pairsOnly {
		w.textPairs(n, at, len(w.sites))
		return
	}
	if at.key() != nil && isMergeKey(at.key()) {
		return
	}
	imageKey := at.underImageKey()
	behind := registry{}
	if imageKey {
		behind = w.registry
	}
	first := len(w.sites)
	var lines *lineSet
	for m := range w.want.mentionsUnder(imageKey, behind, n.Value) {
		if lines == nil {
			lines = w.keyLines(n, at)
		}
		w.mention(n, at, m, imageKey, lines)
	}
	w.textPairs(n, at, first)
}

func containsSlash(r image.Repository) bool { return r.String() != r.Base() }

// keyLines returns the lines of a scalar and of its key.
func (w *walk) keyLines(n *yaml.Node, at *step) *lineSet {
	lines := &lineSet{numbers: []int{n.Line + w.lineShift}}
	if key := at.key(); key != nil && key.Line != n.Line {
		lines.numbers = append(lines.numbers, key.Line+w.lineShift)
	}
	return lines
}

// place fills in where a site stands: at byte start of its scalar's value.
func (w *walk) place(s *site, at *step, start int) {
	s.Document, s.Pointer = w.document, at.pointer()
	var ok bool
	if s.offset, _, ok = sourceRange(w.last.of(w.src, s.node), start, s.end); !ok {
		if s.offset, ok = w.src.valueStart(s.node); !ok {
			s.offset, _ = w.src.offset(s.node.Line, s.node.Column)
		}
		if s.reason == "" || s.reason == DigestOnly {
			s.reason = Escaped
		}
	}
	if (s.reason == "" || s.reason == DigestOnly) && hasForeignTag(s.node) {
		s.reason = Ambiguous
	}
	s.Line, s.Column = w.src.lineColumn(s.offset)
}

// hasForeignTag reports whether a tag of YAML's own makes something else than a
// string of a scalar.
func hasForeignTag(n *yaml.Node) bool {
	tag := n.ShortTag()
	return n.Style&yaml.TaggedStyle != 0 && len(tag) > 1 && tag[:2] == "!!" && tag != "!!str"
}
