package inventory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// manyBlobs is from how many contents of one tree on it is read as a whole, which may
// take one archive.
const manyBlobs = 40

// advance looks at the next commits of a trail, side by side.
func (inv *Inventory) advance(ctx context.Context, q *HistoryQuery, t *trail) error {
	var commits []github.Ancestor
	for next := t.next; next != "" && len(commits) < stride; {
		a, err := t.past.Ancestor(ctx, t.view.snapshot.Repo, next)
		if err != nil {
			return err
		}
		commits = append(commits, a)
		next = a.Parent
	}
	changes, errs := make([][]Change, len(commits)), make([]error, len(commits))
	var all sync.WaitGroup
	for i, a := range commits {
		all.Go(func() {
			errs[i] = update.Guard(func() (err error) { changes[i], err = inv.changesOf(ctx, q, t, a); return err })
		})
	}
	all.Wait()
	for i, a := range commits {
		if errs[i] != nil {
			if i > 0 { // what was found is kept
				return nil
			}
			return errs[i]
		}
		if len(changes[i]) > 0 {
			t.found = append(t.found, step{a.Commit, changes[i]})
		}
		t.next, t.looked = a.Parent, a.At
	}
	return nil
}

// changesOf returns what a commit changed of the image's versions in the target.
func (inv *Inventory) changesOf(ctx context.Context, q *HistoryQuery, t *trail, a github.Ancestor) ([]Change, error) {
	said := trailersOf(a.Message)
	updateID, recorded := only(said.updateIDs), false
	for _, id := range said.updateIDs {
		if q.Recorded != nil && q.Recorded(ctx, t.view.target.id, id, a.Commit) {
			updateID, recorded = id, true
			break
		}
	}
	if recorded && said.leavesOut(q.Image) {
		return nil, nil
	}
	before, after, err := inv.versionsAround(ctx, q.Image.Name(), t, a)
	if err != nil {
		return nil, err
	}
	from := before.most(after)
	var changes []Change
	for _, to := range after.beyond(before) {
		c := Change{
			Target: t.view.target.id, Repo: t.view.snapshot.Repo, Branch: t.view.snapshot.Branch,
			Version: to.version, Digest: to.digest, From: cmp.Or(from.version, from.digest),
			Commit: a.Commit, URL: a.URL, At: a.At, Author: a.Author,
			RequestedBy: only(said.requestedBy), UpdateID: updateID, Source: said.source(), Recorded: recorded,
		}
		if from.version != "" {
			c.FromDigest = from.digest
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// stated is a version with its digest.
type stated struct{ version, digest string }

// tally is how many references have each version.
type tally map[stated]int

// beyond returns what v has more of than other, sorted.
func (v tally) beyond(other tally) []stated {
	var more []stated
	for _, s := range slices.SortedFunc(maps.Keys(v), stated.compare) {
		if v[s] > other[s] {
			more = append(more, s)
		}
	}
	return more
}

// most returns what v has the most more of than other, zero for nothing.
func (v tally) most(other tally) (most stated) {
	for _, s := range v.beyond(other) {
		if n := v[s] - other[s]; most == (stated{}) || n > v[most]-other[most] {
			most = s
		}
	}
	return most
}

func (s stated) compare(other stated) int {
	return cmp.Or(strings.Compare(s.version, other.version), strings.Compare(s.digest, other.digest))
}

// versionsAround returns the versions that references had before and after a commit, of
// the files that it changed.
func (inv *Inventory) versionsAround(ctx context.Context, name string, t *trail, a github.Ancestor) (before, after tally, err error) {
	before, after = tally{}, tally{}
	var parent github.Ancestor
	if a.Parent != "" {
		if parent, err = t.past.Ancestor(ctx, t.view.snapshot.Repo, a.Parent); err != nil {
			return nil, nil, err
		}
		if parent.Tree == a.Tree {
			return before, after, nil
		}
	}
	different, ok, err := t.past.Differences(ctx, t.view.snapshot.Repo, parent.Tree, a.Tree, t.enter)
	if err == nil && !ok {
		different, err = t.listed(ctx, parent, a)
	}
	if err != nil {
		return nil, nil, err
	}
	var olds, news []github.Entry
	for _, d := range different {
		if !t.view.target.Reads(d.Path) {
			continue
		}
		olds, news = appendFile(olds, d.Old), appendFile(news, d.New)
	}
	if err := inv.count(ctx, name, t, parent, olds, before); err != nil {
		return nil, nil, err
	}
	return before, after, inv.count(ctx, name, t, a, news, after)
}

// appendFile appends an entry that updates would look into.
func appendFile(entries []github.Entry, e github.Entry) []github.Entry {
	if e.SHA == "" || e.Mode == github.ModeSymlink || e.Size > manifest.MaxSize {
		return entries
	}
	return append(entries, e)
}

// listed compares two trees as a whole.
func (t *trail) listed(ctx context.Context, parent, a github.Ancestor) ([]github.Difference, error) {
	byPath := map[string]github.Difference{}
	for _, side := range []github.Ancestor{parent, a} {
		if side.Commit == "" {
			continue
		}
		s, err := t.past.At(ctx, t.view.snapshot, side.Commit, side.Tree)
		if err != nil {
			return nil, err
		}
		for _, e := range s.Entries {
			d := byPath[e.Path]
			if d.Path = e.Path; side.Commit == a.Commit {
				d.New = e
			} else {
				d.Old = e
			}
			if byPath[e.Path] = d; d.Old == d.New {
				delete(byPath, e.Path)
			}
		}
	}
	return slices.Collect(maps.Values(byPath)), nil
}

// count adds the versions that files of a commit have of the image.
func (inv *Inventory) count(ctx context.Context, name string, t *trail, at github.Ancestor, entries []github.Entry, sum tally) error {
	records, err := inv.pastRecords(ctx, t, at, entries)
	if err != nil {
		return err
	}
	for i, r := range records {
		for _, found := range r.references {
			if reason := manifest.Reason(found.reason.Value()); found.name.Value() == name && reason != manifest.Output && reason != manifest.Ambiguous {
				sum.add(found)
			}
		}
		if pointers := t.overrides[entries[i].Path]; pointers != nil {
			for j := range r.lone {
				if pointers[r.lone[j].pointer] {
					sum.add(r.lone[j].reference)
				}
			}
		}
	}
	return nil
}

func (v tally) add(r reference) {
	if s := (stated{r.version.Value(), r.digest.Value()}); s != (stated{}) {
		v[s]++
	}
}

// pastRecords returns the records of files of a commit.
func (inv *Inventory) pastRecords(ctx context.Context, t *trail, at github.Ancestor, entries []github.Entry) ([]*record, error) {
	records := make([]*record, len(entries))
	var missing []int
	var wanted []github.Entry
	for i, e := range entries {
		if known, ok := inv.records.Get(t.view.target.key(e)); ok {
			records[i] = known
			continue
		}
		missing, wanted = append(missing, i), append(wanted, e)
	}
	learn := func(i int, content []byte) error {
		return update.Guard(func() error {
			r := newRecord(t.view.target.lister.List(wanted[i].Path, content))
			inv.records.Put(t.view.target.key(wanted[i]), r)
			records[missing[i]] = r
			return nil
		})
	}
	switch {
	case len(missing) == 0:
		return records, nil
	case len(missing) < manyBlobs:
		return records, t.past.Blobs(ctx, t.view.snapshot.Repo, wanted, learn)
	}
	s, err := t.past.At(ctx, t.view.snapshot, at.Commit, at.Tree)
	if err != nil {
		return nil, err
	}
	return records, t.view.target.Repository.Read(ctx, s, wanted, learn)
}
