package inventory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unique"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// maxOpen is how many targets are looked into at the same time.
const maxOpen = 16

// Options say what Inventories share.
type Options struct {
	// Memory is what is remembered of files a part of. Nil remembers nothing.
	Memory *cache.Budget
	// Learn is told the content of every file that is read, one at a time for each
	// branch. It may be nil.
	Learn func(sha github.SHA, content []byte)
}

// Inventory finds the references of targets. It is safe for concurrent use.
type Inventory struct {
	targets []*target // sorted by id
	records *cache.Cache[recordKey, *record]
	frames  *cache.Cache[frameKey, *frame]
	learn   func(github.SHA, []byte)
	// reading has one place for each branch: who reads files leaves the others theirs.
	reading map[update.Repository]chan struct{}
}

// target is one target with how its files are listed.
type target struct {
	update.Target
	id     string
	lister *manifest.Lister
	// sights are, for each kind of file, equal for targets whose options make the same of
	// a file. whole is equal for those that look into the same files besides.
	sights map[manifest.Kind]text
	whole  string
}

// New returns an Inventory without targets.
func New(o Options) *Inventory {
	inv := &Inventory{
		records: cache.New(o.Memory, "references", recordKey.key, (*record).cost),
		frames:  cache.New(o.Memory, "targets", frameKey.key, (*frame).cost),
		learn:   o.Learn,
	}
	if inv.learn == nil {
		inv.learn = func(github.SHA, []byte) {}
	}
	return inv
}

// With returns an Inventory of targets, whose ids are unique. It shares what is
// remembered with inv and asks nothing of GitHub.
func (inv *Inventory) With(targets []update.Target) (*Inventory, error) {
	other := *inv
	other.targets, other.reading = nil, map[update.Repository]chan struct{}{}
	for _, t := range targets {
		id := t.Place().ID
		lister, err := t.Lister()
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", id, err)
		}
		sight := fmt.Sprintf("%t %t %t %q %q", t.SkipEmbedded, t.Unpin, t.PinDigests, t.Proxies, t.Present)
		whole := fmt.Sprintf("%s %q %q %q %q", sight, t.Include, t.Exclude, t.Files, t.Overrides)
		sights := map[manifest.Kind]text{}
		for _, kind := range manifest.Kinds() {
			sights[kind] = unique.Make(fmt.Sprint(kind, sight))
		}
		other.targets = append(other.targets, &target{Target: t, id: id, lister: lister, sights: sights, whole: whole})
		if other.reading[t.Repository] = inv.reading[t.Repository]; other.reading[t.Repository] == nil {
			other.reading[t.Repository] = make(chan struct{}, 1)
		}
	}
	slices.SortFunc(other.targets, func(a, b *target) int { return strings.Compare(a.id, b.id) })
	return &other, nil
}

// References is that of a new Look.
func (inv *Inventory) References(ctx context.Context, q Query) iter.Seq2[Reference, error] {
	return inv.Look().References(ctx, q)
}

// Has reports whether there is a target of this id.
func (inv *Inventory) Has(id string) bool {
	return slices.ContainsFunc(inv.targets, func(t *target) bool { return t.id == id })
}

// chosen returns the targets of a query.
func (inv *Inventory) chosen(q *Query) []*target {
	var chosen []*target
	for _, t := range inv.targets {
		if t.id >= q.After.Target && (len(q.Targets) == 0 || slices.Contains(q.Targets, t.id)) && (q.Reads == nil || q.Reads(t.id)) {
			chosen = append(chosen, t)
		}
	}
	return chosen
}

// Query narrows a walk. Its zero value asks for everything.
type Query struct {
	// Targets are the ids of those that are asked for; none means all.
	Targets []string
	// Image and Path are doublestar globs, which must be valid, over an image's
	// normalised name and a file's path; empty means any.
	Image, Path string
	// Version is the one that a reference must have; empty means any.
	Version string
	// After is the position behind which the walk begins.
	After Position
	// Reads and Covers report whether the caller may read anything of a target, and an
	// image in it, by its normalised name. Either may be nil.
	Reads  func(target string) bool
	Covers func(target, name string) bool
	// Unread is told of a target that could not be read, which is then left out. Where
	// it is nil, that ends the walk.
	Unread func(update.Place, error)
}

// takesImage reports whether the query asks for an image of a target.
func (q *Query) takesImage(t *target, name string) bool {
	if q.Image != "" && !matches(q.Image, name) {
		return false
	}
	if len(t.Images) > 0 {
		if repo, err := image.ParseRepository(name); err != nil || !t.TakesImage(repo) {
			return false
		}
	}
	return q.Covers == nil || q.Covers(t.id, name)
}
