package update

import (
	"path"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

const (
	// maxFamilyFiles and maxFamilyBytes bound the files that are read for the versions
	// of one plan's pairs. Files of the same folder and below the same root come before
	// files of the same name elsewhere. A group of files beyond the bounds is not read
	// at all, because a part of it cannot show whether the names agree.
	maxFamilyFiles = 2_000
	maxFamilyBytes = 64 << 20
	// maxFamilyKeys bounds the places of pairs at which versions are looked for.
	maxFamilyKeys = 1_000
)

// families are the files of a snapshot among which the versions of its pairs may
// stand.
type families struct {
	*Layout
	plan  *plan
	files []member // that may hold a pair or tell of a release, sorted by path
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

// newFamilies collects the files of the target whose remembered words show that they
// may hold a pair or describe a release. A file whose words are not remembered may
// hold a pair, but is not read for a release.
func (s *Service) newFamilies(p *plan) *families {
	f := &families{Layout: NewLayout(p.snapshot), plan: p}
	for _, entry := range p.snapshot.Entries {
		dir, base := path.Split(entry.Path)
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

// circle holds the folders, roots and file names whose files are to be read.
type circle struct{ dirs, roots, stems map[string]bool }

// around returns the circle of some files.
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

// related reports whether a file has the name of one of the circle's files, with or
// without endings.
func (c circle) related(m *member) bool {
	for stem := range stems(m.stem) {
		if c.stems[stem] {
			return true
		}
	}
	return false
}

// choose marks the files of the circle to be read, within the bounds.
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

// voice is what files call the image at a place.
type voice struct {
	here  NamedIn // the first file that names the wanted one
	other bool    // one names another image
}

// listen collects the voices at the place of the namings, which are sorted and have one
// key and one image: who names that image there, and who names another one.
func (f *families) listen(namings []naming) *Voices[voice] {
	v := NewVoices[voice](f.Layout, voice.and)
	for _, n := range namings {
		v.Say(n.path, voice{here: NamedIn{Path: n.path, Line: n.line}})
	}
	image := manifest.NewSpellings(f.plan.wanted[namings[0].wanted].Repository, f.plan.target.options())
	for i := range f.files {
		m := &f.files[i]
		if _, other := m.pairs.Names(namings[0].key, image); other {
			v.Say(m.entry.Path, voice{other: true})
		}
	}
	return v
}

// and joins what two say, of which the first was heard before.
func (v voice) and(other voice) voice {
	v.other = v.other || other.other
	if v.here == (NamedIn{}) {
		v.here = other.here
	}
	return v
}
