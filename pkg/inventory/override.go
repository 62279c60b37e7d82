package inventory

import (
	"slices"
	"unique"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// maxMeant is how many images may be meant by a version whose name stands in another
// file, for it to be listed under each of them.
const maxMeant = 8

// meeting are the versions and the names at one place.
type meeting struct {
	versions []versionAt
	names    []nameAt
}

type versionAt struct {
	file int
	lone *lone
}

type nameAt struct {
	file  int
	named *named
}

// claim is one image that files name at a place.
type claim struct{ named *named }

// meant are the images that a version may be of.
type meant struct {
	claims []claim // of different images
	// foreign is set where something else is named as well, and many where there are
	// more than maxMeant images.
	foreign, many bool
}

// findOverrides returns the versions that stand in another file than the name of their
// image. It takes time that is linear in the number of files and fields.
func (v *view) findOverrides() map[int32][]reference {
	if v.target.Overrides == update.IgnoreOverrides {
		return nil
	}
	places := v.meetings()
	if len(places) == 0 {
		return nil
	}
	layout := v.layout()
	found := map[int32][]reference{}
	for _, m := range places {
		if !slices.ContainsFunc(m.names, func(n nameAt) bool { return n.named.image.Value() != "" }) {
			continue
		}
		voices := update.NewVoices(layout, meant.and)
		for _, n := range m.names {
			voices.Say(v.path(n.file), meantBy(n.named))
		}
		for _, lone := range m.versions {
			if images, ok := voices.Judge(v.path(lone.file)); ok {
				at := int32(lone.file) //nolint:gosec // an index into files
				found[at] = append(found[at], v.overrides(lone.lone, images)...)
			}
		}
	}
	return found
}

func (v *view) path(file int) string { return v.snapshot.Entries[v.frame.files[file]].Path }

// meetings returns the places at which versions stand without a name.
func (v *view) meetings() map[string]*meeting {
	places := map[string]*meeting{}
	for i, r := range v.records {
		for j := range r.lone {
			place := r.lone[j].key.Value().Place()
			if places[place] == nil {
				places[place] = &meeting{}
			}
			places[place].versions = append(places[place].versions, versionAt{i, &r.lone[j]})
		}
	}
	for i, r := range v.records {
		for j := range r.named {
			if m := places[r.named[j].key.Value().Place()]; m != nil {
				m.names = append(m.names, nameAt{i, &r.named[j]})
			}
		}
	}
	return places
}

// layout returns which files belong together.
func (v *view) layout() *update.Layout {
	layout := update.NewLayout(v.snapshot)
	var present map[string]bool
	for i, r := range v.records {
		if len(r.releases) == 0 {
			continue
		}
		if present == nil {
			present = map[string]bool{}
			for file := range v.frame.files {
				present[v.path(file)] = true
			}
		}
		layout.Join(v.path(i), r.releases, present)
	}
	layout.Joined()
	return layout
}

func meantBy(n *named) meant {
	if n.image.Value() == "" {
		return meant{foreign: true}
	}
	return meant{claims: []claim{{n}}}
}

// and joins what may be meant.
func (m meant) and(other meant) meant {
	m.foreign = m.foreign || other.foreign
	m.many = m.many || other.many
	for _, c := range other.claims {
		same := func(known claim) bool { return known.named.image == c.named.image && known.named.key == c.named.key }
		switch {
		case slices.ContainsFunc(m.claims, same):
		case len(m.claims) == maxMeant:
			m.many = true
		default:
			m.claims = append(slices.Clip(m.claims), c)
		}
	}
	return m
}

// overrides returns the references that a version is, one for each image that may be
// meant; none where there are too many of them.
func (v *view) overrides(lone *lone, images meant) []reference {
	if images.many {
		return nil
	}
	several := images.foreign || slices.ContainsFunc(images.claims, func(c claim) bool {
		return c.named.image != images.claims[0].named.image
	})
	var found []reference
	for _, c := range images.claims {
		if !c.named.key.Value().Meets(lone.key.Value()) {
			continue
		}
		r := lone.reference
		r.name, r.image = c.named.image, c.named.spelled
		r.reason = unique.Make(string(v.overrideReason(lone, c.named.image.Value(), several)))
		found = append(found, r)
	}
	return found
}

// overrideReason returns why an update of the image leaves the version alone, or "".
func (v *view) overrideReason(lone *lone, name string, several bool) manifest.Reason {
	reason := manifest.Reason(lone.reason.Value())
	registry := lone.registry.Value()
	switch edits := v.target.Overrides == update.EditOverrides; {
	case reason != "" && reason != manifest.DigestOnly && (reason != manifest.Escaped || edits):
		return reason
	case several, registry != "" && registry != domain(name):
		return manifest.OverrideAmbiguous
	case !edits:
		return manifest.Overrides
	}
	return reason
}
