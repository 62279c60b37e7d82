package api

import (
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// sight is what one caller may read: everything, or what its rules cover. Every answer is
// bounded by it and by nothing else.
type sight struct {
	rules  *policy.Policy // nil: everything
	caller policy.Caller
}

// sightOf returns the sight of the caller.
func (s *server) sightOf(g *gin.Context) sight {
	p := principalOf(g)
	if s.policy == nil || s.policy.Watched() || p.ReadsAll() {
		return sight{}
	}
	return sight{rules: s.policy, caller: asCaller(p)}
}

// all reports whether nothing is hidden.
func (v sight) all() bool { return v.rules == nil }

// reaches reports whether the caller may read anything of a target, by its id.
func (v sight) reaches(target string) bool { return v.all() || v.rules.Reaches(v.caller, target) }

// covers reports whether the caller may read of an image, by its name, in a target.
func (v sight) covers(target, name string) bool {
	if v.all() {
		return true
	}
	repository, err := image.ParseRepository(name)
	return err == nil && v.rules.Covers(v.caller, repository, target)
}

// places returns those of which the caller may read anything.
func (v sight) places(all []update.Place) []update.Place {
	return slices.DeleteFunc(slices.Clone(all), func(p update.Place) bool { return !v.reaches(p.ID) })
}

// bounds returns reaches and covers for a query of the inventory: nil where nothing is
// hidden.
func (v sight) bounds() (reads func(target string) bool, covers func(target, name string) bool) {
	if v.all() {
		return nil, nil
	}
	return v.reaches, v.covers
}

// of returns the update without the targets in which the caller may not read of all of its
// images. It reports whether any target is left.
func (v sight) of(u queue.Update) (queue.Update, bool) {
	if v.all() {
		return u, true
	}
	hidden := map[string]bool{}
	for _, t := range u.Tasks {
		hidden[t.Target] = hidden[t.Target] || !v.covers(t.Target, t.Image)
	}
	u.Tasks = slices.DeleteFunc(slices.Clone(u.Tasks), func(t queue.Task) bool { return hidden[t.Target] })
	return u, len(u.Tasks) > 0
}
