package update

import (
	"path"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// Layout says which files of a snapshot belong together. A version that stands in
// another file than the name of its image is that of a name, as Voices.Judge decides:
//
//	first   in a file that a release gets together with the version's file
//	then    in the version's folder
//	then    below the nearest folder around it that has a Chart.yaml, a helmfile or a kustomization
//	last    in files of the version's file name, or of that name without an ending, anywhere
type Layout struct {
	repo     github.Repo
	roots    map[string]bool // folders
	charts   map[string]bool // those with a Chart.yaml
	releases releases
}

// NewLayout returns the layout of a snapshot without its releases.
func NewLayout(s *github.Snapshot) *Layout {
	l := &Layout{repo: s.Repo, roots: map[string]bool{}, charts: map[string]bool{}}
	for _, entry := range s.Entries {
		dir, base := path.Split(entry.Path)
		if rootFiles[base] {
			l.roots[dir] = true
			l.charts[dir] = l.charts[dir] || base == "Chart.yaml"
		}
	}
	return l
}

// Join adds the releases that a file tells of. Only files that are present count.
func (l *Layout) Join(file string, told []manifest.Release, present map[string]bool) {
	dir, _ := path.Split(file)
	for _, release := range told {
		l.join(dir, release, present)
	}
}

// Joined ends the adding: where there are too many releases, none counts.
func (l *Layout) Joined() {
	if l.releases.count > maxReleaseMembers {
		l.releases = releases{}
	}
}

// rootFiles make a folder the root of a family.
var rootFiles = map[string]bool{
	"Chart.yaml": true, "helmfile.yaml": true, "helmfile.yml": true, "helmfile.yaml.gotmpl": true,
	"kustomization.yaml": true, "kustomization.yml": true, "Kustomization": true,
}

// stemOf returns a file's name without its extension.
func stemOf(base string) string { return strings.TrimSuffix(base, path.Ext(base)) }

// rootOf returns the nearest root of a folder, which may be the folder itself.
func (l *Layout) rootOf(dir string) (string, bool) {
	for {
		if l.roots[dir] {
			return dir, true
		}
		if dir == "" {
			return "", false
		}
		dir = parent(dir)
	}
}

// parent returns the folder above dir, which ends in a slash. "" is the repository's
// root.
func parent(dir string) string {
	return dir[:strings.LastIndexByte(strings.TrimSuffix(dir, "/"), '/')+1]
}

// stems yields a name and then the name without its last ending, again and again:
// values-prod-eu, values-prod, values.
func stems(stem string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for stem != "" && yield(stem) {
			stem = stem[:max(0, strings.LastIndexAny(stem, "-._"))]
		}
	}
}

// Voices are what files say about one place, by everything that may make other files
// listen to them.
type Voices[V any] struct {
	layout             *Layout
	join               func(V, V) V
	releases           map[int]*V
	dirs, roots, stems map[string]*V
}

// NewVoices returns no voices yet. join puts two together, of which the first was
// heard before, and changes neither.
func NewVoices[V any](l *Layout, join func(V, V) V) *Voices[V] {
	return &Voices[V]{layout: l, join: join, releases: map[int]*V{}, dirs: map[string]*V{}, roots: map[string]*V{}, stems: map[string]*V{}}
}

// Say adds what a file says.
func (v *Voices[V]) Say(file string, what V) {
	for _, n := range v.layout.releases.of[file] {
		say(v.releases, n, what, v.join)
	}
	dir, base := path.Split(file)
	say(v.dirs, dir, what, v.join)
	if root, ok := v.layout.rootOf(dir); ok {
		say(v.roots, root, what, v.join)
	}
	say(v.stems, stemOf(base), what, v.join)
}

func say[K comparable, V any](voices map[K]*V, key K, what V, join func(V, V) V) {
	heard := voices[key]
	if heard == nil {
		heard = new(V)
		voices[key] = heard
	}
	*heard = join(*heard, what)
}

// Judge returns what decides about a version in a file, and whether anything does.
func (v *Voices[V]) Judge(file string) (verdict V, ok bool) {
	listen := func(said *V) {
		if said != nil {
			verdict, ok = v.join(verdict, *said), true
		}
	}
	for _, n := range v.layout.releases.of[file] {
		listen(v.releases[n])
	}
	if ok {
		return verdict, true
	}
	dir, base := path.Split(file)
	if here := v.dirs[dir]; here != nil {
		return *here, true
	}
	for around := dir; ; around = parent(around) {
		if here := v.roots[around]; here != nil && v.layout.roots[around] {
			return *here, true
		}
		if around == "" {
			break
		}
	}
	for stem := range stems(stemOf(base)) {
		listen(v.stems[stem])
	}
	return verdict, ok
}
