package github

import (
	"bytes"
	"context"
	"slices"
)

// draft is a commit on a head that has just won the race, made while that head
// is still being read: when the new plan turns out to be the old one, only the
// ref update is left to do. It is on no branch, so one that is not wanted does
// no harm.
//
// It keeps short what others may come between: the way from reading a head to
// moving it. Against somebody who pushes all the while that decides. Somebody who
// pushed once is not worth two requests that may be in vain, so drafts begin
// with the second race that is lost in a row.
type draft struct {
	on      head
	changes Changeset
	cancel  context.CancelFunc

	done chan struct{} // closed when the rest is there
	tree SHA
	made Commit
	err  error
}

// draftFrom is how many races are lost in a row before drafts are made.
const draftFrom = 2

// draftNext begins a draft of the same edits on the head that a commit ran into.
func (b *Branch) draftNext(ctx context.Context, c Changeset) {
	b.mu.Lock()
	b.lost++
	on, contended := b.news, b.lost >= draftFrom
	b.mu.Unlock()
	if on.commit == "" || !contended {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &draft{on: on, changes: c, cancel: cancel, done: make(chan struct{})}
	b.replaceDraft(d)
	go func() {
		defer close(d.done)
		base := &Snapshot{Repo: on.repo, Branch: on.branch, Commit: on.commit, Tree: on.tree}
		if d.tree, d.err = b.newTree(ctx, base, c.Edits); d.err == nil {
			d.made, d.err = b.newCommit(ctx, base, d.tree, c)
		}
	}()
}

// replaceDraft puts d, or nil, in place of the draft there is, and returns that.
func (b *Branch) replaceDraft(d *draft) (old *draft) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, b.draft = b.draft, d
	if old != nil && d != nil {
		old.cancel()
	}
	return old
}

// takeDraft returns the draft of exactly this commit, once it is made. ok is
// false when there is none or it failed.
func (b *Branch) takeDraft(ctx context.Context, s *Snapshot, c Changeset) (d *draft, ok bool) {
	d = b.replaceDraft(nil)
	if d == nil {
		return nil, false
	}
	defer d.cancel()
	if !d.is(s, c) {
		return nil, false
	}
	select {
	case <-d.done:
		return d, d.err == nil
	case <-ctx.Done():
		return nil, false
	}
}

func (d *draft) is(s *Snapshot, c Changeset) bool {
	return d.on.repo == s.Repo && d.on.commit == s.Commit && d.on.tree == s.Tree && d.changes.Message == c.Message && d.changes.Author == c.Author &&
		slices.EqualFunc(d.changes.Edits, c.Edits, func(x, y Edit) bool {
			return x.Path == y.Path && x.Mode == y.Mode && bytes.Equal(x.Content, y.Content)
		})
}
