package update

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// naming is a pair of fields that names a wanted image.
type naming struct {
	wanted int
	path   string
	line   int
	key    manifest.Key
}

// override is a version that stands in another file than the name of its image.
type override struct {
	wanted  int
	key     manifest.Key
	namedIn NamedIn
	reason  manifest.Reason // for leaving it alone; or empty
}

// findOverrides adds overrides to the plan: a chart's values.yaml names the image, and
// values-prod.yaml holds the version in production. It reads files only if a pair of
// fields names a wanted image, and only those that may belong to the pair.
func (s *Service) findOverrides(ctx context.Context, p *plan) error {
	if p.target.Overrides == IgnoreOverrides || len(p.namings) == 0 {
		return nil
	}
	slices.SortStableFunc(p.namings, func(a, b naming) int {
		return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.line, b.line))
	})
	families := s.newFamilies(p)
	groups := groupNamings(p.namings)
	if err := s.lookInto(ctx, families, groups); err != nil {
		return err
	}
	return p.editOverrides(ctx, families.overrides(groups))
}

// groupNamings splits sorted namings by image and key.
func groupNamings(namings []naming) [][]naming {
	type group struct {
		wanted int
		key    manifest.Key
	}
	at := map[group]int{}
	var groups [][]naming
	for _, n := range namings {
		g := group{n.wanted, n.key}
		i, ok := at[g]
		if !ok {
			if len(groups) == maxFamilyKeys {
				continue
			}
			i = len(groups)
			at[g] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], n)
	}
	return groups
}

// lookInto indexes the files around the pairs, and then the files around the versions
// without a name that it finds: a file beside such a version may name another image.
func (s *Service) lookInto(ctx context.Context, f *families, groups [][]naming) error {
	if err := s.readReleases(ctx, f); err != nil {
		return err
	}
	var named []string
	for _, g := range groups {
		for _, n := range g {
			named = append(named, n.path)
		}
	}
	f.mark(f.releases.with(named))
	f.choose(f.around(named))
	if err := s.index(ctx, f); err != nil {
		return err
	}
	var lone []string
	for i := range f.files {
		m := &f.files[i]
		if slices.ContainsFunc(groups, func(g []naming) bool { return m.pairs.Lone(g[0].key) }) {
			lone = append(lone, m.entry.Path)
		}
	}
	f.mark(f.releases.with(lone))
	f.mark(f.around(lone).near)
	return s.index(ctx, f)
}

// index sets the pairs of the chosen files.
func (s *Service) index(ctx context.Context, f *families) error {
	var chosen []*member
	for i := range f.files {
		if m := &f.files[i]; m.chosen && !m.indexed {
			m.indexed = true
			chosen = append(chosen, m)
		}
	}
	return s.pairsOf(ctx, f.plan, chosen, func(i int, pairs manifest.Pairs) { chosen[i].pairs = pairs })
}

// pairsOf calls take with the pairs of each file. It reads the files whose pairs are
// not remembered.
func (s *Service) pairsOf(ctx context.Context, p *plan, files []*member, take func(int, manifest.Pairs)) error {
	var missing []int
	var entries []github.Entry
	for i, m := range files {
		if pairs, ok := s.pairs.Get(m.entry.SHA); ok {
			take(i, pairs)
			continue
		}
		missing = append(missing, i)
		entries = append(entries, m.entry)
	}
	if len(entries) == 0 {
		return nil
	}
	return p.target.Repository.Read(ctx, p.snapshot, entries, func(i int, content []byte) error {
		return guard(func() error {
			s.words.learn(entries[i].SHA, content)
			pairs := manifest.IndexPairs(content)
			s.pairs.Put(entries[i].SHA, pairs)
			take(missing[i], pairs)
			return nil
		})
	})
}

// overrides returns the versions without a name that belong to a pair, by the path of
// their file.
func (f *families) overrides(groups [][]naming) map[string][]override {
	found := map[string][]override{}
	for _, g := range groups {
		key, wanted := g[0].key, g[0].wanted
		var said *Voices[voice]
		for i := range f.files {
			m := &f.files[i]
			if !m.pairs.Lone(key) || !f.plan.wanted[wanted].takesFile(m.entry.Path) {
				continue
			}
			if said == nil {
				said = f.listen(g)
			}
			by, ok := said.Judge(m.entry.Path)
			if !ok || by.here == (NamedIn{}) {
				continue
			}
			o := override{wanted: wanted, key: key, namedIn: by.here}
			switch {
			case by.other:
				o.reason = manifest.OverrideAmbiguous
			case f.plan.target.Overrides != EditOverrides:
				o.reason = manifest.Overrides
			}
			found[m.entry.Path] = append(found[m.entry.Path], o)
		}
	}
	return found
}

// editOverrides edits the files that hold overrides, or reports the overrides as
// skipped.
func (p *plan) editOverrides(ctx context.Context, found map[string][]override) error {
	var entries []github.Entry
	for _, entry := range p.snapshot.Entries {
		if found[entry.Path] != nil {
			entries = append(entries, entry)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	planned := map[string]int{}
	for i, f := range p.files {
		planned[f.entry.Path] = i
	}
	return p.target.Repository.Read(ctx, p.snapshot, entries, func(i int, content []byte) error {
		return guard(func() error {
			path := entries[i].Path
			file := plannedFile{entry: entries[i], before: content, after: content}
			at, ok := planned[path]
			if ok {
				file = p.files[at]
			}
			switch changed := p.editOverridesOf(&file, found[path]); {
			case ok:
				p.files[at] = file
			case changed:
				p.files = append(p.files, file)
			}
			return nil
		})
	})
}

// editOverridesOf adds the overrides of one file to what is planned for the file, and
// reports whether they change it.
func (p *plan) editOverridesOf(file *plannedFile, found []override) bool {
	asked := make([]manifest.Override, len(found))
	for i, o := range found {
		asked[i] = manifest.Override{Key: o.key, Update: p.target.update(p.wanted[o.wanted]), Reason: o.reason}
	}
	result := manifest.EditOverrides(file.entry.Path, file.after, asked, p.target.options())
	file.after = result.Content
	path := file.entry.Path
	changes := make([][]Change, len(found))
	for _, c := range result.Changes {
		changes[c.Update] = append(changes[c.Update], Change{Change: c, NamedIn: found[c.Update].namedIn})
	}
	for i, o := range found {
		if len(changes[i]) > 0 {
			p.findings[o.wanted].add(File{Path: path, Changes: changes[i], before: versionsBefore(&result, i)})
		}
	}
	for _, s := range result.Skips {
		o := found[s.Update]
		f := &p.findings[o.wanted]
		f.skipped = append(f.skipped, Skip{Path: path, Line: s.Line, Reason: s.Reason, NamedIn: o.namedIn})
	}
	return len(result.Changes) > 0
}

// add joins a file's further changes with those found before.
func (f *finding) add(more File) {
	f.named[more.Path] = true
	at := slices.IndexFunc(f.files, func(file File) bool { return file.Path == more.Path })
	if at < 0 {
		f.files = append(f.files, more)
		return
	}
	file := &f.files[at]
	file.Changes = append(file.Changes, more.Changes...)
	slices.SortStableFunc(file.Changes, byPlace)
	file.before = append(file.before, more.before...)
	slices.Sort(file.before)
	file.before = slices.Compact(file.before)
}
