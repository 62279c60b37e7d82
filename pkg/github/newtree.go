package github

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	gh "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"
)

const (
	opNewTree = "POST /repos/{owner}/{repo}/git/trees"
	opNewBlob = "POST /repos/{owner}/{repo}/git/blobs"
	// maxTreeBytes and maxTreeEntries bound one request that makes a tree. GitHub documents
	// no limit; users report timeouts from 2.5 MB on, which were 200 files. Where GitHub says
	// that a request was too much for it, later ones have half of its entries, and
	// leastTreeEntries at least.
	maxTreeBytes     = 1 << 20
	maxTreeEntries   = 1000
	leastTreeEntries = 50
	// sideBySideFrom is the least number of requests for one tree that are sent side by
	// side, parallelTrees of them at a time.
	sideBySideFrom = 3
	parallelTrees  = 4
	// workflows is the folder whose files only a special permission may change.
	workflows = ".github/workflows/"
)

// newTree makes the tree of the snapshot with the edits, which are sorted by path. next
// is the listing with them, nil when its hashes are not known.
//
// What is too much for one request is made in several. Two come one after the other,
// more side by side: then each has the files of some folders, and one more names the
// folders.
func (b *Branch) newTree(ctx context.Context, s *Snapshot, edits []Edit, next *listing) (SHA, error) {
	if b.client.fits(edits) {
		return b.graft(ctx, s.Repo, s.Tree, edits)
	}
	requests := b.client.together(units("", edits, b.client.fits))
	if len(requests) < sideBySideFrom || next == nil {
		return b.chain(ctx, s, requests)
	}
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(parallelTrees)
	var names []*gh.TreeEntry
	for _, request := range requests {
		for _, u := range request {
			names = append(names, u.named(next))
		}
		group.Go(func() error {
			_, err := b.graft(each, s.Repo, s.Tree, editsOf(request))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	tree, err := b.postTree(ctx, s.Repo, s.Tree, names)
	if refused := new(Error); errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity {
		return b.chain(ctx, s, requests) // a server that names no folders, or too few at a time
	}
	return tree, err
}

// chain makes a tree by one request after the other, each of which builds on the tree of
// the one before.
func (b *Branch) chain(ctx context.Context, s *Snapshot, requests [][]unit) (tree SHA, err error) {
	tree = s.Tree
	for _, request := range requests {
		if tree, err = b.graft(ctx, s.Repo, tree, editsOf(request)); err != nil {
			return "", err
		}
	}
	return tree, nil
}

// unit are edits that one request makes: all below a folder, or of a single file.
type unit struct {
	folder string // or "" for a file
	edits  []Edit
}

func editsOf(units []unit) []Edit {
	var edits []Edit
	for _, u := range units {
		edits = append(edits, u.edits...)
	}
	return edits
}

// units splits the edits below a folder, which are sorted by path, into the largest
// folders that fit into a request, and the files beside them.
func units(folder string, edits []Edit, fits func([]Edit) bool) []unit {
	if folder != "" && fits(edits) {
		return []unit{{folder, edits}}
	}
	var all []unit
	for len(edits) > 0 {
		n := 1
		name, _, deeper := strings.Cut(strings.TrimPrefix(edits[0].Path[len(folder):], "/"), "/")
		if !deeper {
			all = append(all, unit{"", edits[:1]})
		} else {
			sub := path.Join(folder, name)
			for n < len(edits) && strings.HasPrefix(edits[n].Path, sub+"/") {
				n++
			}
			all = append(all, units(sub, edits[:n], fits)...)
		}
		edits = edits[n:]
	}
	return all
}

// named is the entry of what the unit becomes.
func (u unit) named(next *listing) *gh.TreeEntry {
	if u.folder != "" {
		return &gh.TreeEntry{
			Path: gh.String(u.folder), Mode: gh.String(string(modeTree)), Type: gh.String("tree"), SHA: gh.String(string(next.dir(u.folder))),
		}
	}
	e := u.edits[0]
	return &gh.TreeEntry{
		Path: gh.String(e.Path), Mode: gh.String(string(e.writtenMode())), Type: gh.String("blob"), SHA: gh.String(string(blobSHA(e.Content))),
	}
}

// together puts units into as few requests as keep their order.
func (c *Client) together(all []unit) [][]unit {
	var requests [][]unit
	entries, size, most := 0, 0, c.treeEntries()
	for _, u := range all {
		bytes := 0
		for _, e := range u.edits {
			bytes += jsonSize(e)
		}
		if len(requests) == 0 || entries+len(u.edits) > most || size+bytes > maxTreeBytes {
			requests, entries, size = append(requests, nil), 0, 0
		}
		last := len(requests) - 1
		requests[last] = append(requests[last], u)
		entries, size = entries+len(u.edits), size+bytes
	}
	return requests
}

// fits reports whether one request may have all of the edits. A single one always fits.
func (c *Client) fits(edits []Edit) bool {
	if len(edits) > c.treeEntries() {
		return false
	}
	size := 0
	for n, e := range edits {
		if size += jsonSize(e); n > 0 && size > maxTreeBytes {
			return false
		}
	}
	return true
}

// treeEntries is how many entries a request for a tree may have.
func (c *Client) treeEntries() int {
	if learned := int(c.fewerEntries.Load()); learned > 0 {
		return learned
	}
	return maxTreeEntries
}

// tooMuch takes in that a tree of so many entries was too much for GitHub.
func (c *Client) tooMuch(entries int) {
	if entries = max(entries/2, leastTreeEntries); entries < c.treeEntries() {
		c.fewerEntries.Store(int64(entries))
	}
}

// jsonSize estimates the bytes of an edit in a request's body.
func jsonSize(e Edit) int {
	const around = 80 // names, mode and quotes
	size := around + len(e.Path) + len(e.Content)
	for _, c := range e.Content {
		switch {
		case c == '<' || c == '>' || c == '&':
			size += len(`\u003c`) - 1
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			size++
		case c < ' ':
			size += len(`\u0000`) - 1
		}
	}
	return size
}

// graft makes the tree of base with the edits. If that takes GitHub too long, graft
// asks for one half after the other.
func (b *Branch) graft(ctx context.Context, repo Repo, base SHA, edits []Edit) (SHA, error) {
	entries := make([]*gh.TreeEntry, len(edits))
	for i, e := range edits {
		var err error
		if entries[i], err = b.treeEntry(ctx, repo, e); err != nil {
			return "", err
		}
	}
	tree, err := b.postTree(ctx, repo, base, entries)
	if !tookTooLong(err) || len(edits) == 1 {
		return tree, err
	}
	b.client.tooMuch(len(edits))
	half := len(edits) / 2
	if tree, err = b.graft(ctx, repo, base, edits[:half]); err != nil {
		return "", err
	}
	return b.graft(ctx, repo, tree, edits[half:])
}

func tookTooLong(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusUnprocessableEntity && strings.Contains(e.text, "timed out")
}

// treeEntry returns an edit as GitHub takes it. Text is part of the entry; content
// that is not UTF-8, which JSON cannot hold, is stored as a blob first.
func (b *Branch) treeEntry(ctx context.Context, repo Repo, e Edit) (*gh.TreeEntry, error) {
	entry := &gh.TreeEntry{Path: gh.String(e.Path), Mode: gh.String(string(e.writtenMode())), Type: gh.String("blob")}
	if utf8.Valid(e.Content) {
		entry.Content = gh.String(string(e.Content))
		return entry, nil
	}
	sha, err := b.postBlob(ctx, repo, e.Content)
	entry.SHA = gh.String(string(sha))
	return entry, err
}

// writtenMode is the mode with which the edit is written.
func (e Edit) writtenMode() Mode {
	if e.Mode == ModeExecutable {
		return e.Mode
	}
	return ModeFile
}

func (b *Branch) postBlob(ctx context.Context, repo Repo, content []byte) (SHA, error) {
	var made *gh.Blob
	blob := &gh.Blob{Content: gh.String(base64.StdEncoding.EncodeToString(content)), Encoding: gh.String("base64")}
	err := b.client.ask(ctx, request{op: opNewBlob, repo: repo, write: true}, func(ctx context.Context) (resp *gh.Response, err error) {
		made, resp, err = b.client.api.Git.CreateBlob(ctx, repo.Owner, repo.Name, blob)
		if want := blobSHA(content); err == nil && made.GetSHA() != string(want) {
			err = fmt.Errorf("the blob is %.60q and not %s", made.GetSHA(), want)
		}
		return resp, err
	})
	return SHA(made.GetSHA()), err
}

func (b *Branch) postTree(ctx context.Context, repo Repo, base SHA, entries []*gh.TreeEntry) (SHA, error) {
	var made *gh.Tree
	r := request{op: opNewTree, repo: repo, write: true, again: notReplicated}
	err := b.client.ask(ctx, r, func(ctx context.Context) (resp *gh.Response, err error) {
		made, resp, err = b.client.api.Git.CreateTree(ctx, repo.Owner, repo.Name, string(base), entries)
		if err == nil && !SHA(made.GetSHA()).valid() {
			err = fmt.Errorf("%.60q is not the name of a tree", made.GetSHA())
		}
		return resp, err
	})
	return SHA(made.GetSHA()), err
}
