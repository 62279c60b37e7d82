package inventory

import (
	"cmp"
	"slices"
	"unique"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// text is a string that is in memory once, however many records hold it: files of a
// repository have most of their pointers, names and versions in common.
type text = unique.Handle[string]

// record is what one file says of images. It is immutable.
type record struct {
	references []reference // in the order of their positions
	lone       []lone
	named      []named
	releases   []manifest.Release
}

// recordKey is what a record depends on.
type recordKey struct {
	blob  github.SHA
	sight text // of the target, and of the kind of the file
}

func (k recordKey) key() cache.Key {
	key := k.blob.Key()
	if key.Variant != (text{}) { // a fake's name
		return cache.Key{Variant: unique.Make(string(k.blob) + " " + k.sight.Value())}
	}
	key.Variant = k.sight
	return key
}

// reference is a Reference without what its file and its target add.
type reference struct {
	line, column                                  int32
	image, name, pointer, version, digest, reason text
}

// lone is a version whose name stands in another file; its image and name are empty.
type lone struct {
	reference
	key      unique.Handle[manifest.Key]
	registry text
}

// named is a place at which fields name an image. The name is empty where it is not
// known to be one.
type named struct {
	key            unique.Handle[manifest.Key]
	image, spelled text
	line           int32
}

func newRecord(l manifest.Listing) *record {
	r := &record{releases: l.Releases}
	for _, found := range l.References {
		r.references = append(r.references, newReference(found.Place, found.Spelled, found.Image.Name(), found.Tag, found.Digest, found.Reason))
	}
	sortReferences(r.references)
	r.references = slices.Clip(slices.CompactFunc(r.references, func(a, b reference) bool { return a.compare(b) == 0 }))
	for _, found := range l.Lone {
		r.lone = append(r.lone, lone{
			reference: newReference(found.Place, "", "", found.Tag, found.Digest, found.Reason),
			key:       unique.Make(found.Key), registry: unique.Make(found.Registry),
		})
	}
	for _, found := range l.Named {
		r.named = append(r.named, named{
			key: unique.Make(found.Key), image: unique.Make(found.Image.Name()), spelled: unique.Make(found.Spelled), line: int32(found.Line), //nolint:gosec // a file has at most manifest.MaxSize lines
		})
	}
	return r
}

func newReference(at manifest.Place, spelled, name, tag, digest string, reason manifest.Reason) reference {
	return reference{
		line: int32(at.Line), column: int32(at.Column), //nolint:gosec // a file has at most manifest.MaxSize bytes
		image: unique.Make(spelled), name: unique.Make(name), pointer: unique.Make(at.Pointer),
		version: unique.Make(tag), digest: unique.Make(digest), reason: unique.Make(string(reason)),
	}
}

func (r reference) compare(other reference) int {
	return cmp.Or(cmp.Compare(r.line, other.line), cmp.Compare(r.column, other.column), cmp.Compare(r.name.Value(), other.name.Value()))
}

func sortReferences(all []reference) { slices.SortFunc(all, reference.compare) }

// The memory of the parts of a record in bytes. A text that several records share is
// counted for each of them.
const (
	referenceCost = 56
	loneCost      = 72
	namedCost     = 32
	releaseCost   = 64
	stringCost    = 16
)

// cost returns about how many bytes of memory the record takes.
func (r *record) cost() int64 {
	n := cache.Overhead + len(r.references)*referenceCost + len(r.lone)*loneCost + len(r.named)*namedCost
	for i := range r.references {
		n += r.references[i].texts()
	}
	for i := range r.lone {
		n += r.lone[i].texts() + len(r.lone[i].key.Value().Place()) + stringCost
	}
	for i := range r.named {
		n += len(r.named[i].image.Value()) + len(r.named[i].spelled.Value()) + len(r.named[i].key.Value().Place()) + stringCost
	}
	for i := range r.releases {
		n += releaseCost + len(r.releases[i].Repository) + len(r.releases[i].Chart)
		for _, file := range r.releases[i].Files {
			n += stringCost + len(file)
		}
	}
	return int64(n)
}

func (r *reference) texts() int {
	n := 0
	for _, t := range []text{r.image, r.name, r.pointer, r.version, r.digest} {
		n += len(t.Value())
	}
	return n
}
