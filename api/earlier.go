package api

import (
	"context"
	"iter"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
)

const (
	// pastPage is how many changes are read at once to find an earlier version, and
	// maxPastPages bounds the pages. Most rollbacks need the first one.
	pastPage     = 20
	maxPastPages = 10
)

// past yields the versions that the image had in the target, the newest first, by the
// branch's own history. An error is the last that is yielded.
func (s *server) past(ctx context.Context, target string, repository image.Repository) iter.Seq2[version, error] {
	return func(yield func(version, error) bool) {
		q := inventory.HistoryQuery{Image: repository, Targets: []string{target}, Limit: pastPage}
		for range maxPastPages {
			h, err := s.images.History(ctx, q)
			if err != nil {
				yield(version{}, err)
				return
			}
			for _, c := range h.Changes {
				for _, stated := range [][2]string{{c.Version, c.Digest}, {c.From, c.FromDigest}} {
					if v, ok := parseVersion(stated[0], stated[1]); ok && !yield(v, nil) {
						return
					}
				}
			}
			if q.Resume = h.Next; len(q.Resume) == 0 {
				return
			}
		}
	}
}

// parseVersion reads a version of a file, and reports whether it is one.
func parseVersion(tag, digest string) (v version, ok bool) {
	var err error
	if v.tag, err = image.ParseTag(tag); err != nil {
		return version{}, false
	}
	if digest != "" {
		if v.digest, err = image.ParseDigest(digest); err != nil {
			return version{}, false
		}
	}
	return v, true
}
