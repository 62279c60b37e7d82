package github

import (
	"encoding/hex"
	"unique"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
)

// Key is the one of what is remembered of the object.
func (s SHA) Key() cache.Key {
	var k cache.Key
	if n, err := hex.Decode(k.Name[:min(len(s)/2, len(k.Name))], []byte(s[:min(len(s), 2*len(k.Name))])); err != nil || 2*n != len(s) {
		return cache.Key{Variant: unique.Make(string(s))} // no name that GitHub gives
	}
	return k
}

// blobCost is what a cached blob takes, in bytes.
func blobCost(content []byte) int64 { return int64(cap(content)) + cache.Overhead }

// cost is about what the snapshot takes, in bytes.
func (s *Snapshot) cost() int64 {
	const fixed = 512
	n := int64(fixed + cache.Overhead)
	for _, entries := range [][]Entry{s.listing.files, s.listing.modules, s.listing.dirs} {
		for i := range entries {
			n += entrySize + int64(len(entries[i].Path)+len(entries[i].SHA))
		}
	}
	return n
}

// entrySize is what an Entry takes beside its texts, in bytes.
const entrySize = 56
