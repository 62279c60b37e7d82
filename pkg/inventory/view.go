package inventory

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unique"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// checkEvery is after how many files a walk looks whether its time is over.
const checkEvery = 256

// view is a target on a snapshot, or why there is none.
type view struct {
	target   *target
	snapshot *github.Snapshot
	frame    *frame
	records  []*record // of the frame's files
	err      error
}

// frame is what is known of a target on one tree beside the records.
type frame struct {
	// files are the indexes of the entries that the target looks into.
	files []int32
	// overrides are the versions that stand in other files than their names, by index
	// into files.
	overrides map[int32][]reference
}

// frameKey is what a frame depends on.
type frameKey struct {
	whole string
	repo  github.Repo // a release may tell of it by name
	tree  github.SHA
}

func (k frameKey) key() cache.Key {
	key := k.tree.Key()
	key.Variant = unique.Make(fmt.Sprint(k.whole, k.repo, k.tree))
	return key
}

// cost returns about how many bytes of memory the frame takes.
func (f *frame) cost() int64 {
	n := cache.Overhead + 4*len(f.files)
	for _, found := range f.overrides {
		n += stringCost + len(found)*referenceCost
		for i := range found {
			n += found[i].texts()
		}
	}
	return int64(n)
}

// open reads what is missing for the view of a target.
func (l *Look) open(ctx context.Context, v *view) (err error) {
	inv, t := l.inventory, v.target
	if v.snapshot, err = l.snapshot(ctx, t.Repository); err != nil {
		return err
	}
	key := frameKey{t.whole, v.snapshot.Repo, v.snapshot.Tree}
	known, ok := inv.frames.Get(key)
	v.frame = known
	if !ok {
		v.frame = &frame{}
		if v.frame.files, err = t.files(ctx, v.snapshot); err != nil {
			return err
		}
	}
	if v.records, err = inv.recordsOf(ctx, t, v.snapshot, v.frame.files); err != nil {
		return err
	}
	if !ok {
		v.frame.overrides = v.findOverrides()
		inv.frames.Put(key, v.frame)
	}
	return nil
}

// files returns the indexes of the entries that the target looks into.
func (t *target) files(ctx context.Context, s *github.Snapshot) ([]int32, error) {
	var files []int32
	for i, entry := range s.Entries {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if entry.Mode != github.ModeSymlink && entry.Size <= manifest.MaxSize && t.Reads(entry.Path) {
			files = append(files, int32(i))
		}
	}
	return slices.Clip(files), nil
}

// references yields those of the view that the query asks for, and reports whether it
// wants more.
func (v *view) references(q *Query, yield func(Reference) bool) bool {
	after := q.After
	if v.target.id != after.Target {
		after = Position{}
	}
	entries := v.snapshot.Entries
	first := sort.Search(len(v.frame.files), func(i int) bool { return entries[v.frame.files[i]].Path >= after.Path })
	wanted := map[text]bool{} // names, for this walk
	for i := first; i < len(v.frame.files); i++ {
		all := v.records[i].references
		if more := v.frame.overrides[int32(i)]; more != nil { //nolint:gosec // an index into files
			all = append(slices.Clone(all), more...)
			sortReferences(all)
		}
		path := entries[v.frame.files[i]].Path
		if len(all) == 0 || q.Path != "" && !matches(q.Path, path) {
			continue
		}
		for _, found := range all {
			r := v.reference(path, found)
			if !q.takes(v.target, &found, wanted) || path == after.Path && r.Position().Compare(after) <= 0 {
				continue
			}
			if !yield(r) {
				return false
			}
		}
	}
	return true
}

// takes reports whether the query asks for a reference of a target. wanted remembers
// the names.
func (q *Query) takes(t *target, r *reference, wanted map[text]bool) bool {
	ok, known := wanted[r.name]
	if !known {
		ok = q.takesImage(t, r.name.Value())
		wanted[r.name] = ok
	}
	return ok && (q.Version == "" || r.version.Value() == q.Version)
}

// reference completes a reference of a file.
func (v *view) reference(path string, found reference) Reference {
	r := Reference{
		Image: found.image.Value(), Name: found.name.Value(), Target: v.target.id, Repo: v.snapshot.Repo, Branch: v.snapshot.Branch,
		Path: path, Line: int(found.line), Column: int(found.column), Pointer: found.pointer.Value(),
		Version: found.version.Value(), Digest: found.digest.Value(), State: found.reason.Value(),
	}
	if r.State == "" {
		r.State = Current
	}
	return r
}

// recordsOf returns the records of a target's files. Those that are not remembered are
// made of the files' contents, by one caller at a time for each branch.
func (inv *Inventory) recordsOf(ctx context.Context, t *target, s *github.Snapshot, files []int32) ([]*record, error) {
	records := make([]*record, len(files))
	if len(inv.missing(t, s, files, records)) == 0 {
		return records, nil
	}
	select {
	case inv.reading[t.Repository] <- struct{}{}:
		defer func() { <-inv.reading[t.Repository] }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	missing := inv.missing(t, s, files, records)
	entries := make([]github.Entry, len(missing))
	for i, at := range missing {
		entries[i] = s.Entries[files[at]]
	}
	made := map[recordKey]*record{}
	err := t.Repository.Read(ctx, s, entries, func(i int, content []byte) error {
		return update.Guard(func() error {
			key := t.key(entries[i])
			if made[key] == nil {
				made[key] = newRecord(t.lister.List(entries[i].Path, content))
				inv.records.Put(key, made[key])
				inv.learn(entries[i].SHA, content)
			}
			records[missing[i]] = made[key]
			return nil
		})
	})
	return records, err
}

// missing fills in the records that are remembered, and returns the indexes of the
// others.
func (inv *Inventory) missing(t *target, s *github.Snapshot, files []int32, records []*record) (missing []int) {
	for i, at := range files {
		if records[i] != nil {
			continue
		}
		if known, ok := inv.records.Get(t.key(s.Entries[at])); ok {
			records[i] = known
		} else {
			missing = append(missing, i)
		}
	}
	return missing
}

func (t *target) key(entry github.Entry) recordKey {
	return recordKey{blob: entry.SHA, sight: t.sights[manifest.KindOf(entry.Path)]}
}

// domain returns the registry of a normalised name.
func domain(name string) string {
	host, _, _ := strings.Cut(name, "/")
	return host
}
