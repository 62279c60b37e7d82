package manifest

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Listing is what one file says of images, whichever they are.
type Listing struct {
	// References are those to an image that the file names, in file order.
	References []Reference
	// Lone are the versions of pairs whose name stands in another file.
	Lone []Lone
	// Named are the places at which fields of their own name an image, or may.
	Named []Named
	// Releases are those that the file tells of.
	Releases []Release
}

// Reference is one reference to an image.
type Reference struct {
	Place
	// Spelled is the name as the file has it, without the version.
	Spelled string
	Image   image.Repository
	// Tag and Digest are as the file has them; empty means none.
	Tag, Digest string
	// Reason is why an update leaves the reference alone; empty if it moves it.
	Reason Reason
}

// Lone is a version that stands in a file without a name.
type Lone struct {
	Place
	Key Key
	// Registry is the one that stands beside the version, or empty.
	Registry    string
	Tag, Digest string
	Reason      Reason
}

// Named is a place at which fields of their own name something.
type Named struct {
	Key Key
	// Image is zero where the name is none of an image, or none that is known, as that
	// of a template.
	Image image.Repository
	// Spelled is the name as the file has it.
	Spelled string
	Line    int
}

// Meets reports whether a version at one key can be that of a name at the other: the
// place is the same, and the version has the name that the pair expects.
func (k Key) Meets(other Key) bool { return k.place == other.place && k.kind&other.kind != 0 }

// Place returns what all keys of one place have in common. It is no text for people.
func (k Key) Place() string { return k.place }

// Lister lists the references of files: those that an update of any image would find.
// It is immutable and safe for concurrent use.
type Lister struct {
	options Options
	want    wanted
	probes  [2]Update // without a digest, and with one
}

// The version and the digest that a Lister asks for to find out whether a reference
// can be moved.
const (
	probeTag    = "versions-service-probe"
	probeDigest = sha256Prefix + "0000000000000000000000000000000000000000000000000000000000000000"
)

// NewLister returns a Lister that sees files as updates with these options and these
// patterns of Update.Present do.
func NewLister(options Options, present []image.Pattern) (*Lister, error) {
	tag, err := image.ParseTag(probeTag)
	if err != nil {
		return nil, err
	}
	digest, err := image.ParseDigest(probeDigest)
	if err != nil {
		return nil, err
	}
	return &Lister{
		options: options,
		want:    wanted{every: true, versions: []string{""}, proxies: newProxies(options.Proxies)},
		probes:  [2]Update{{Version: tag, Present: present}, {Version: tag, Digest: digest, Present: present}},
	}, nil
}

// Kind is what of a file's path matters to how it is read: files of equal content and
// kind have one Listing. It is comparable.
type Kind struct{ json, pipeline bool }

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{{}, {json: true}, {pipeline: true}, {json: true, pipeline: true}} }

// KindOf returns the kind of a path in its repository, with slashes.
func KindOf(name string) Kind { return Kind{json: IsJSON(name), pipeline: isPipelinePath(name)} }

// List lists one file, which is neither changed nor kept. A file that is skipped as a
// whole has an empty listing.
//
// A word without a version is a reference under a key that ends in image, in a pair, or
// behind a scheme; a name without a slash also needs one of those if it has a version.
// An update may tell of more places of its image, but moves none that is not listed.
func (l *Lister) List(name string, content []byte) Listing {
	f, reason := read(name, content, &l.want)
	if reason != "" {
		return Listing{}
	}
	listing := Listing{References: l.references(f)}
	if f.parsed && utf8.Valid(content) {
		listing.addGroups(l, f)
		listing.Releases = releasesOf(f.docs)
	}
	return listing
}

// references judges the sites of a file as an update of each image would.
func (l *Lister) references(f *file) []Reference {
	e := &Editor{options: l.options}
	updates := map[string]int{}
	for _, s := range f.sites {
		name := s.repo.Name()
		index, ok := updates[name]
		if !ok {
			index = len(e.updates)
			updates[name] = index
			e.updates = append(e.updates, l.probe(s.repo, 0), l.probe(s.repo, 1))
		}
		s.update = index
	}
	several := e.severalVersions(f.sites)
	a := &application{editor: e, file: f}
	var all []Reference
	for _, s := range f.sites {
		if s.unlisted || l.options.SkipEmbedded && s.embedded {
			continue
		}
		r := Reference{Place: s.Place, Spelled: strings.Clone(s.spelled), Image: s.repo, Tag: s.tag, Digest: s.digest}
		if s.list.node != nil && several[listOfUpdate{s.list.node, s.update}] && s.reason != Held && (s.list.releases || e.updates[s.update].takes(s.tag)) {
			r.Reason = SeveralVersions
		} else {
			r.Reason = a.verdict(s)
		}
		all = append(all, r)
	}
	return all
}

// probe returns an update of an image, with a digest or without.
func (l *Lister) probe(repo image.Repository, kind int) Update {
	u := l.probes[kind]
	u.Image = repo
	return u
}

// verdict returns why an update leaves a site alone. Its update is followed by one with
// a digest, which is what a pinned reference gets, and with Options.Pin each.
func (a *application) verdict(s *site) Reason {
	if s.tag != "" && s.digest != "" || a.editor.options.Pin {
		s.update++
	}
	a.result.Changes = a.result.Changes[:0]
	a.result.Skips = a.result.Skips[:0]
	if a.site(s); len(a.result.Skips) > 0 {
		return a.result.Skips[0].Reason
	}
	return ""
}

// addGroups adds what fields of their own say: names at places, and versions without a
// name.
func (l *Listing) addGroups(by *Lister, f *file) {
	groups := fieldGroups(f.docs)
	l.addNamed(groups, f.sites)
	w := newWalk(f.src, &by.want)
	var of []*fieldGroup // of each site of w
	for i := range groups {
		if g := groups[i]; g.lone() && len(w.sites) <= MaxReferences {
			before := len(w.sites)
			g.registry = "" // which image it must be of, nobody knows yet
			w.override(&g, 0, &Override{})
			of = append(of, slices.Repeat([]*fieldGroup{&groups[i]}, len(w.sites)-before)...)
		}
	}
	signed := signedFile(f.original, f.docs)
	groupOf := map[*site]*fieldGroup{}
	for i, s := range w.sites {
		groupOf[s] = of[i]
		if signed || signedDocument(f.docs[s.Document]) {
			s.reason = Signed
		}
	}
	sites := direct(f.src, w.sites)
	sortSites(sites)
	a := &application{editor: &Editor{options: by.options, updates: by.probes[:]}, file: f}
	for _, s := range sites {
		g := groupOf[s]
		l.Lone = append(l.Lone, Lone{
			Place: s.Place, Key: Key{strings.Clone(g.place), g.kinds}, Registry: strings.Clone(g.registry),
			Tag: s.tag, Digest: s.digest, Reason: a.verdict(s),
		})
	}
}

// addNamed adds the names at places. Those of sites are of the images that an update
// would look for overrides of.
func (l *Listing) addNamed(groups []fieldGroup, sites []*site) {
	type naming struct {
		key  Key
		line int
	}
	known := map[naming]*site{}
	for _, s := range sites {
		if s.naming == nil || s.text != nil || len(known) == maxNamings {
			continue
		}
		if place, ok := placeOf(s.naming.mapping, s.naming.prefix); ok {
			known[naming{Key{place, s.naming.kind}, s.naming.line}] = s
		}
	}
	for i := range groups {
		g := &groups[i]
		if g.lone() {
			continue
		}
		n := Named{Key: Key{strings.Clone(g.place), g.named}, Spelled: strings.Clone(g.names[0]), Line: g.lines[0]}
		for _, line := range g.lines {
			if s := known[naming{n.Key, line}]; s != nil {
				n.Image, n.Spelled, n.Line = s.repo, strings.Clone(s.spelled), line
				break
			}
		}
		l.Named = append(l.Named, n)
	}
}
