package inventory

import (
	"context"
	"maps"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// Pin is an image with the versions that it has.
type Pin struct {
	Name string
	// Versions are the different ones, sorted; none where no reference has a version.
	// One that stands with different digests is there once for each, as version@digest.
	Versions []string
	// Digest is that of the only version; "" where there are several, or it is not known.
	Digest string
}

// Pins returns the images of the query in the order of their names. Its memory grows with
// the number of images, and of versions of each.
func (inv *Inventory) Pins(ctx context.Context, q Query) ([]Pin, error) {
	found := map[string]versions{}
	for r, err := range inv.References(ctx, q) {
		if err != nil {
			return nil, err
		}
		if found[r.Name] == nil {
			found[r.Name] = versions{}
		}
		if r.used() && r.State != string(manifest.SeveralVersions) {
			found[r.Name].add(&r)
		}
	}
	pins := make([]Pin, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		pins = append(pins, found[name].pin(name))
	}
	return pins, nil
}

// versions are the digests of each version of an image.
type versions map[string]map[string]bool

func (v versions) add(r *Reference) {
	if _, err := image.ParseTag(r.Version); err != nil {
		return
	}
	if v[r.Version] == nil {
		v[r.Version] = map[string]bool{}
	}
	if r.Digest != "" {
		v[r.Version][r.Digest] = true
	}
}

func (v versions) pin(name string) Pin {
	p := Pin{Name: name}
	for _, version := range slices.Sorted(maps.Keys(v)) {
		digests := slices.Sorted(maps.Keys(v[version]))
		if len(digests) < 2 {
			p.Versions = append(p.Versions, version)
			continue
		}
		for _, digest := range digests {
			p.Versions = append(p.Versions, version+"@"+digest)
		}
	}
	if len(p.Versions) == 1 {
		for digest := range v[p.Versions[0]] {
			p.Digest = digest
		}
	}
	return p
}
