package api

import (
	"context"
	"iter"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// maxPast bounds the updates in which an earlier version is looked for.
const maxPast = 2_000

// past yields the versions that the image had in the target, the newest first, as far as
// the store knows its updates. An error is the last that is yielded.
func (s *server) past(ctx context.Context, target string, repository image.Repository) iter.Seq2[version, error] {
	return func(yield func(version, error) bool) {
		filter := queue.Filter{Image: repository.Name(), Limit: 200}
		for seen := 0; seen < maxPast; seen += filter.Limit {
			page, err := s.queue.List(ctx, filter)
			if err != nil {
				yield(version{}, asStoreError(err))
				return
			}
			for _, u := range page.Updates {
				for _, v := range writtenTo(u, target, repository) {
					if !yield(v, nil) {
						return
					}
				}
			}
			if filter.Cursor = page.Next; filter.Cursor == "" {
				return
			}
		}
	}
}

// writtenTo returns the version that an update wrote to the target, and those that it
// replaced there.
func writtenTo(u queue.Update, target string, repository image.Repository) []version {
	var versions []version
	add := func(tag, digest string) {
		v := version{}
		var err error
		if v.tag, err = image.ParseTag(tag); err != nil {
			return
		}
		if digest != "" {
			if v.digest, err = image.ParseDigest(digest); err != nil {
				return
			}
		}
		versions = append(versions, v)
	}
	for _, t := range u.Tasks {
		result, err := update.DecodeResult(t.Result)
		if t.Target != target || t.Status != queue.Committed || err != nil {
			continue
		}
		changes := changesOf(result, repository)
		for _, c := range changes {
			add(c.To, c.ToDigest)
		}
		for _, c := range changes {
			add(c.From, c.FromDigest)
		}
	}
	return versions
}

// changesOf returns the changes of a result that are of the image.
func changesOf(r update.Result, repository image.Repository) (changes []update.Change) {
	for _, f := range r.Files {
		for _, c := range f.Changes {
			named, err := image.ParseRepository(c.Image)
			if c.Image == "" || err == nil && named.Equal(repository) {
				changes = append(changes, c)
			}
		}
	}
	return changes
}
