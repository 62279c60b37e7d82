package inventory

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const (
	// MaxTrails bounds the targets of one history.
	MaxTrails = 20
	// maxSpent is after how many requests to GitHub a history stops and says where.
	maxSpent = 250
	// spare is how much of its time a history leaves for its answer.
	spare = 5 * time.Second
	// stride is how many commits of a target are compared side by side.
	stride = 16
)

// Past is what a History needs of a branch beside update.Repository. *github.Branch is
// one. What it returns is named by its content or by a commit, so that it stays true.
type Past interface {
	Ancestor(ctx context.Context, repo github.Repo, commit github.SHA) (github.Ancestor, error)
	At(ctx context.Context, now *github.Snapshot, commit, tree github.SHA) (*github.Snapshot, error)
	Differences(ctx context.Context, repo github.Repo, from, to github.SHA, enter func(dir string) bool) ([]github.Difference, bool, error)
	Blobs(ctx context.Context, repo github.Repo, entries []github.Entry, visit func(i int, content []byte) error) error
}

// Change is one commit that gave references of an image a version.
type Change struct {
	Target string
	Repo   github.Repo
	Branch string
	// Version and Digest are the new ones; either may be empty.
	Version, Digest string
	// From is the version that references had before, or the digest of those that had
	// no version; empty where the reference is new. Of several versions it is the one
	// that most references had.
	From string
	// FromDigest is the digest that stood beside From.
	FromDigest string
	Commit     github.SHA
	URL        string // for people
	At         time.Time
	Author     string // a name
	// RequestedBy, Source and UpdateID are what the commit's trailers say. Anybody can
	// write a trailer.
	RequestedBy, UpdateID string
	Source                update.Source
	// Recorded reports that the store knows the commit as one of the update.
	Recorded bool
}

// HistoryQuery asks for the history of an image.
type HistoryQuery struct {
	Image image.Repository
	// Targets are ids; none means those that name the image now.
	Targets []string
	// Limit is after how many changes the history stops; those of one commit are never
	// parted.
	Limit int
	// Resume are the commits from which on older changes are looked for, by target: the
	// Next of the page before. Other targets are at their end then.
	Resume map[string]github.SHA
	// Reads and Covers are those of Query.
	Reads  func(target string) bool
	Covers func(target, name string) bool
	// Recorded reports whether the store knows the commit as one of the update in the
	// target. It may be nil.
	Recorded func(ctx context.Context, target, updateID string, commit github.SHA) bool
}

// History is one page of the history of an image.
type History struct {
	Changes []Change // newest first
	// Next is where the next page begins, by target; empty at the end.
	Next map[string]github.SHA
	// Stopped is set when the page ends because looking further would cost too much now,
	// with the time of the oldest commit that was looked at.
	Stopped time.Time
}

// NotNamedError reports that no target names the image, as far as the caller may read.
type NotNamedError struct {
	Image string
}

// Error is a sentence for the caller.
func (e *NotNamedError) Error() string {
	return fmt.Sprintf("no target names the image %s now; choose a target to look at its past", e.Image)
}

// ManyTargetsError reports that more than MaxTrails targets name the image.
type ManyTargetsError struct {
	Targets int
}

// Error is a sentence for the caller.
func (e *ManyTargetsError) Error() string {
	return fmt.Sprintf("%d targets name the image, and a history has at most %d; choose one", e.Targets, MaxTrails)
}

// History returns the changes of an image's version, read from the branches' own
// commits: along the first parents, so that a merge counts as the one change that it was
// for the branch. It looks into files and believes no message. The cost is bounded: it
// stops at the limit, after maxSpent requests, or before ctx ends, and goes on where it
// stopped. The error is a *ManyTargetsError, a *NotNamedError, or as that of References.
func (inv *Inventory) History(ctx context.Context, q HistoryQuery) (History, error) {
	ctx, spending := github.WithSpending(ctx)
	trails, err := inv.trails(ctx, &q)
	if err != nil {
		return History{}, err
	}
	h := History{Next: map[string]github.SHA{}}
	exhausted := func() bool {
		deadline, ok := ctx.Deadline()
		return spending.Requests() >= maxSpent || ok && time.Until(deadline) < spare
	}
	for first := true; len(h.Changes) < q.Limit; first = false {
		newest, err := inv.newest(ctx, &q, trails, func() bool { return !first && exhausted() })
		if err != nil {
			return History{}, err
		}
		if newest == nil {
			break
		}
		h.Changes = append(h.Changes, newest.found[0].changes...)
		newest.found = newest.found[1:]
	}
	for _, t := range trails {
		if next := t.position(); next != "" {
			h.Next[t.view.target.id] = next
		}
		if len(h.Changes) < q.Limit && t.next != "" && len(t.found) == 0 && (h.Stopped.IsZero() || t.looked.After(h.Stopped)) {
			h.Stopped = t.looked
		}
	}
	return h, nil
}

// trail is a walk down the commits of a target.
type trail struct {
	view  *view
	past  Past
	enter func(dir string) bool
	next  github.SHA // the first commit that was not looked at; "" at the end
	found []step     // that were not told yet, newest first
	// looked is the time of the oldest commit that was looked at.
	looked time.Time
	// overrides are the pointers of versions that stand in another file than the name,
	// by path, as the branch is now.
	overrides map[string]map[text]bool
}

// step is a commit that changes the image's version.
type step struct {
	commit  github.SHA
	changes []Change
}

// position is where the trail goes on.
func (t *trail) position() github.SHA {
	if len(t.found) > 0 {
		return t.found[0].commit
	}
	return t.next
}

// trails begins a trail in each target of the query.
func (inv *Inventory) trails(ctx context.Context, q *HistoryQuery) ([]*trail, error) {
	name := q.Image.Name()
	look := inv.Look()
	chosen := inv.historians(q)
	var trails []*trail
	named := 0
	for len(chosen) > 0 {
		group := chosen[:min(len(chosen), maxOpen)]
		chosen = chosen[len(group):]
		for _, v := range look.openAll(ctx, group) {
			if v.err != nil {
				return nil, update.OnTarget(v.target.Place(), v.err)
			}
			past, ok := v.target.Repository.(Past)
			if !ok || len(q.Targets) == 0 && q.Resume == nil && !v.names(name) {
				continue
			}
			if named++; named > MaxTrails {
				trails = nil // what is read of so many is not kept
				continue
			}
			t := &trail{view: v, past: past, enter: entersFor(v.target.Include), next: v.snapshot.Commit, overrides: v.overridesOf(name)}
			if q.Resume != nil {
				t.next = q.Resume[v.target.id]
			}
			v.records, v.frame = nil, nil // the walk needs no more of them
			trails = append(trails, t)
		}
	}
	switch {
	case named > MaxTrails:
		return nil, &ManyTargetsError{Targets: named}
	case named == 0 && q.Resume == nil:
		return nil, &NotNamedError{Image: q.Image.String()}
	}
	return trails, nil
}

// historians returns the targets that a query's history may be of.
func (inv *Inventory) historians(q *HistoryQuery) []*target {
	var chosen []*target
	for _, t := range inv.chosen(&Query{Targets: q.Targets, Reads: q.Reads}) {
		_, resumed := q.Resume[t.id]
		if t.TakesImage(q.Image) && (q.Covers == nil || q.Covers(t.id, q.Image.Name())) && (resumed || q.Resume == nil) {
			chosen = append(chosen, t)
		}
	}
	return chosen
}

// names reports whether a reference of the view is one to the image.
func (v *view) names(name string) bool {
	named := false
	v.references(&Query{Image: doublestarQuote(name)}, func(Reference) bool { named = true; return false })
	return named
}

// doublestarQuote returns a glob that matches a name alone, which has no braces.
func doublestarQuote(name string) string {
	return strings.NewReplacer("[", `\[`, "*", `\*`, "?", `\?`).Replace(name)
}

// overridesOf returns where versions of the image stand in other files than its name.
func (v *view) overridesOf(name string) map[string]map[text]bool {
	found := map[string]map[text]bool{}
	for file, all := range v.frame.overrides {
		for _, r := range all {
			if r.name.Value() != name {
				continue
			}
			path := v.path(int(file))
			if found[path] == nil {
				found[path] = map[text]bool{}
			}
			found[path][r.pointer] = true
		}
	}
	return found
}

// entersFor reports of a folder whether files below it can match one of the globs.
func entersFor(globs []string) func(dir string) bool {
	var bases []string
	for _, glob := range globs {
		base, _ := doublestar.SplitPattern(glob)
		bases = append(bases, base)
	}
	return func(dir string) bool {
		for _, base := range bases {
			if base == "." || base == dir || strings.HasPrefix(base, dir+"/") || strings.HasPrefix(dir, base+"/") {
				return true
			}
		}
		return len(bases) == 0
	}
}

// newest returns the trail whose next change is the newest of all, nil at the end or
// when that is not known and stop reports that it has to do.
func (inv *Inventory) newest(ctx context.Context, q *HistoryQuery, trails []*trail, stop func() bool) (*trail, error) {
	var newest *trail
	for _, t := range trails {
		for len(t.found) == 0 && t.next != "" {
			if stop() {
				return nil, nil
			}
			if err := inv.advance(ctx, q, t); err != nil {
				return nil, update.OnTarget(t.view.target.Place(), err)
			}
		}
		if len(t.found) > 0 && (newest == nil || cmp.Or(
			t.found[0].changes[0].At.Compare(newest.found[0].changes[0].At),
			strings.Compare(newest.view.target.id, t.view.target.id)) > 0) {
			newest = t
		}
	}
	return newest, nil
}
