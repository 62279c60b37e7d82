package update

import (
	"path"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

const (
	// maxFamilyFiles and maxFamilyBytes bound the files that are looked into for the
	// versions of one plan's pairs. Files of the same folder and below the same root
	// go before files of the same name elsewhere; what would go beyond is not looked
	// into at all, because whether the names agree could not be told.
	maxFamilyFiles = 2_000
	maxFamilyBytes = 64 << 20
	// maxFamilyKeys bounds the places of pairs that versions are looked for at.
	maxFamilyKeys = 1_000
)

// families are the files of a snapshot among which the versions of its pairs may
// stand. Which of them belong to a pair, judge decides:
//
//	first   those that a release gets together with the pair's file
//	then    the files of the pair's folder
//	then    those below the nearest folder that has a Chart.yaml, a helmfile or a kustomization
//	last    those of the pair's file name, or of that name with an ending, anywhere
type families struct {
	plan     *plan
	roots    map[string]bool // folders
	charts   map[string]bool // those with a Chart.yaml
	files    []member        // that may hold a pair or tell of a release, sorted by path
	releases releases
}

// member is a file that may belong to a family.
type member struct {
	entry     github.Entry
	dir, stem string
	tells     bool // may tell of a release
	chosen    bool // to be looked into
	indexed   bool // pairs is filled in
	pairs     manifest.Pairs
}

// rootFiles make a folder the root of a family.
var rootFiles = map[string]bool{
	"Chart.yaml": true, "helmfile.yaml": true, "helmfile.yml": true, "helmfile.yaml.gotmpl": true,
	"kustomization.yaml": true, "kustomization.yml": true, "Kustomization": true,
}

// newFamilies collects the files of the target that may hold a pair or tell of a
// release, by what is remembered of their words. What is not remembered may hold a
// pair, but is not read for a release.
func (s *Service) newFamilies(p *plan) *families {
	f := &families{plan: p, roots: map[string]bool{}, charts: map[string]bool{}}
	for _, entry := range p.snapshot.Entries {
		dir, base := path.Split(entry.Path)
		if rootFiles[base] {
			f.roots[dir] = true
			f.charts[dir] = f.charts[dir] || base == "Chart.yaml"
		}
		if entry.Mode == github.ModeSymlink || entry.Size > manifest.MaxSize || !p.target.takesKind(entry.Path) {
			continue
		}
		words, known := s.words.get(entry.SHA)
		tells := known && words.MayHoldRelease()
		if known && !words.MayHoldPair() && !tells || !p.target.takesFile(entry.Path) {
			continue
		}
		f.files = append(f.files, member{entry: entry, dir: dir, stem: stemOf(base), tells: tells})
	}
	return f
}

// stemOf is a file's name without its ending.
func stemOf(base string) string { return strings.TrimSuffix(base, path.Ext(base)) }

// circle says which files are to be looked into.
type circle struct{ dirs, roots, stems map[string]bool }

// around is the circle of some files.
func (f *families) around(paths []string) circle {
	c := circle{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for _, p := range paths {
		dir, base := path.Split(p)
		c.dirs[dir] = true
		if root, ok := f.rootOf(dir); ok {
			c.roots[root] = true
		}
		c.stems[stemOf(base)] = true
	}
	return c
}

// rootOf is the nearest root of a folder, which may be the folder itself.
func (f *families) rootOf(dir string) (string, bool) {
	for {
		if f.roots[dir] {
			return dir, true
		}
		if dir == "" {
			return "", false
		}
		dir = parent(dir)
	}
}

// parent is the folder above one that ends in a slash; "" is the repository's root.
func parent(dir string) string {
	return dir[:strings.LastIndexByte(strings.TrimSuffix(dir, "/"), '/')+1]
}

// near reports whether a file is in one of the folders or below one of the roots.
func (c circle) near(m *member) bool {
	if c.dirs[m.dir] {
		return true
	}
	for dir := m.dir; ; dir = parent(dir) {
		if c.roots[dir] {
			return true
		}
		if dir == "" {
			return false
		}
	}
}

// related reports whether a file bears the name of one of the files, with or without
// an ending.
func (c circle) related(m *member) bool {
	for stem := range stems(m.stem) {
		if c.stems[stem] {
			return true
		}
	}
	return false
}

// stems yields a name, and what is left of it without its endings, the longest
// first: values-prod-eu, values-prod, values.
func stems(stem string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for stem != "" && yield(stem) {
			stem = stem[:max(0, strings.LastIndexAny(stem, "-._"))]
		}
	}
}

// choose marks the files that are to be looked into, as far as they are not too many.
func (f *families) choose(c circle) {
	f.mark(c.near)
	f.mark(c.related)
}

// mark chooses the files that fit, or none of them.
func (f *families) mark(fits func(*member) bool) {
	files, bytes := 0, int64(0)
	var fitting []*member
	for i := range f.files {
		m := &f.files[i]
		if !m.chosen && !fits(m) {
			continue
		}
		files++
		bytes += m.entry.Size
		fitting = append(fitting, m)
	}
	if files > maxFamilyFiles || bytes > maxFamilyBytes {
		return
	}
	for _, m := range fitting {
		m.chosen = true
	}
}

// voice is what the files of a folder, a root or a name call the image at a place.
type voice struct {
	here  NamedIn // the first file that names the wanted one
	other bool    // one names another image
}

// voices are what is said at one place for one image.
type voices struct {
	releases           map[int]*voice
	dirs, roots, stems map[string]*voice
}

func say[K comparable](voices map[K]*voice, key K) *voice {
	if voices[key] == nil {
		voices[key] = &voice{}
	}
	return voices[key]
}

// listen collects who names the image of the namings, which have one key and one
// image and are sorted, and who names another one there.
func (f *families) listen(namings []naming) voices {
	v := voices{map[int]*voice{}, map[string]*voice{}, map[string]*voice{}, map[string]*voice{}}
	note := func(file string, note func(*voice)) {
		for _, n := range f.releases.of[file] {
			note(say(v.releases, n))
		}
		dir, base := path.Split(file)
		note(say(v.dirs, dir))
		if root, ok := f.rootOf(dir); ok {
			note(say(v.roots, root))
		}
		note(say(v.stems, stemOf(base)))
	}
	for _, n := range namings {
		note(n.path, func(v *voice) {
			if v.here == (NamedIn{}) {
				v.here = NamedIn{Path: n.path, Line: n.line}
			}
		})
	}
	image := manifest.NewSpellings(f.plan.wanted[namings[0].wanted].Repository, f.plan.target.options())
	for i := range f.files {
		m := &f.files[i]
		if _, other := m.pairs.Names(namings[0].key, image); other {
			note(m.entry.Path, func(v *voice) { v.other = true })
		}
	}
	return v
}

// judge returns who decides about a version without a name in the file, nil when
// nobody does.
func (f *families) judge(v voices, m *member) *voice {
	var together *voice
	for _, n := range f.releases.of[m.entry.Path] {
		together = together.and(v.releases[n])
	}
	if together != nil {
		return together
	}
	if here := v.dirs[m.dir]; here != nil {
		return here
	}
	for dir := m.dir; ; dir = parent(dir) {
		if here := v.roots[dir]; here != nil && f.roots[dir] {
			return here
		}
		if dir == "" {
			break
		}
	}
	var all *voice
	for stem := range stems(m.stem) {
		all = all.and(v.stems[stem])
	}
	return all
}

// and joins what two say; either may be nil.
func (v *voice) and(other *voice) *voice {
	switch {
	case other == nil:
		return v
	case v == nil:
		return new(*other)
	}
	v.other = v.other || other.other
	if v.here == (NamedIn{}) {
		v.here = other.here
	}
	return v
}
