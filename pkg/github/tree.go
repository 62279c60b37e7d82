package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	gh "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"
)

// compareFrom is the number of files from which on a changed tree is compared
// level by level; below it one recursive listing is cheaper.
const compareFrom = 5000

// treeEntry is one entry as GitHub lists it.
type treeEntry struct {
	Path string `json:"path"`
	Mode string `json:"mode"`
	Type string `json:"type"`
	SHA  SHA    `json:"sha"`
	Size int64  `json:"size"`
}

// mode returns one of the constants where there is one, which saves the memory
// of a string for each entry.
func (e treeEntry) mode() Mode {
	for _, m := range []Mode{ModeFile, ModeTree, ModeExecutable, ModeSymlink, ModeSubmodule} {
		if e.Mode == string(m) {
			return m
		}
	}
	switch e.Type {
	case "tree":
		return ModeTree
	case "commit":
		return ModeSubmodule
	}
	return Mode(e.Mode)
}

// list returns what the tree holds. What old, which may be nil, holds already is
// not asked for again where that is cheaper.
func (c *Client) list(ctx context.Context, repo Repo, tree SHA, old *listing) (*listing, error) {
	if old != nil && old.root() == tree {
		return old, nil
	}
	w := &walk{client: c, repo: repo, old: old}
	w.out.dirs, w.out.split = []Entry{{Mode: ModeTree, SHA: tree}}, map[string]bool{}
	var err error
	switch {
	case old != nil && old.split[""]:
		err = w.split(ctx, "", tree, nil)
	case old == nil || len(old.files) < compareFrom:
		err = w.whole(ctx, "", tree)
	default:
		err = w.compare(ctx, tree)
	}
	if err != nil {
		return nil, err
	}
	return w.out.sorted(), nil
}

// walk collects a listing from several answers.
type walk struct {
	client *Client
	repo   Repo
	old    *listing // may be nil

	mu  sync.Mutex
	out listing
}

// compare reads the root alone. When one directory differs from the old
// listing's it reads that one, when several do the whole: two requests at most.
func (w *walk) compare(ctx context.Context, root SHA) error {
	level, _, err := w.client.tree(ctx, w.repo, root, false)
	if err != nil {
		return err
	}
	changed := slices.Clone(level)
	changed = slices.DeleteFunc(changed, func(e treeEntry) bool {
		return e.mode() != ModeTree || w.old.dir(e.Path) == e.SHA
	})
	if len(changed) > 1 {
		return w.whole(ctx, "", root)
	}
	w.add("", level)
	for _, e := range level {
		if e.mode() == ModeTree && w.old.dir(e.Path) == e.SHA {
			w.take(w.old, e.Path)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return w.whole(ctx, changed[0].Path, changed[0].SHA)
}

// whole reads a directory with all below it in one answer, or in parts when it
// is too large for that.
func (w *walk) whole(ctx context.Context, dir string, tree SHA) error {
	entries, truncated, err := w.client.tree(ctx, w.repo, tree, true)
	if err != nil {
		return err
	}
	if truncated {
		part := &listing{}
		part.add(dir, entries)
		return w.split(ctx, dir, tree, part.sorted())
	}
	w.add(dir, entries)
	return nil
}

// split reads one level of a directory and then, side by side, the directories
// in it that neither the old listing holds nor part, which may be nil: what an
// answer held that was cut off.
func (w *walk) split(ctx context.Context, dir string, tree SHA, part *listing) error {
	level, truncated, err := w.client.tree(ctx, w.repo, tree, false)
	if err != nil {
		return err
	}
	if truncated {
		return &Error{Kind: ErrUpstream, Op: opTree, Detail: fmt.Sprintf("the directory %.80q is too large for GitHub's API", dir)}
	}
	w.mu.Lock()
	w.out.split[dir] = true
	w.mu.Unlock()
	w.add(dir, level)
	var whole map[string]bool
	if part != nil {
		whole = part.whole()
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, e := range level {
		sub := path.Join(dir, e.Path)
		switch {
		case e.mode() != ModeTree:
		case w.old != nil && w.old.dir(sub) == e.SHA:
			w.take(w.old, sub)
		case whole[sub]:
			w.take(part, sub)
		case w.old != nil && (w.old.split[sub] || w.old.count(sub) >= compareFrom):
			group.Go(func() error { return w.split(ctx, sub, e.SHA, nil) })
		default:
			group.Go(func() error { return w.whole(ctx, sub, e.SHA) })
		}
	}
	return group.Wait()
}

func (w *walk) take(from *listing, dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.take(from, dir)
}

func (w *walk) add(dir string, entries []treeEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.add(dir, entries)
}

const opTree = "GET /repos/{owner}/{repo}/git/trees/{tree_sha}"

// tree reads one tree, with all below it when recursive is set. truncated tells
// that entries are missing.
func (c *Client) tree(ctx context.Context, repo Repo, tree SHA, recursive bool) (entries []treeEntry, truncated bool, err error) {
	if !tree.valid() {
		return nil, false, nonsense(opTree, http.StatusOK, fmt.Errorf("%.60q is not the name of a tree", tree))
	}
	address := fmt.Sprintf("repos/%s/%s/git/trees/%s", repo.Owner, repo.Name, tree)
	if recursive {
		address += "?recursive=1"
	}
	err = c.ask(ctx, request{op: opTree, repo: repo}, func(ctx context.Context) (*gh.Response, error) {
		req, err := c.api.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		resp, err := c.api.BareDo(ctx, req)
		if err != nil {
			return resp, err
		}
		defer closeBody(resp.Body)
		entries, truncated, err = decodeTree(resp.Body)
		return resp, err
	})
	return entries, truncated, err
}

// decodeTree reads an answer entry by entry: a listing of 100,000 entries is
// tens of megabytes of JSON, most of which nobody needs.
func decodeTree(r io.Reader) (entries []treeEntry, truncated bool, err error) {
	d := json.NewDecoder(r)
	if err := expect(d, '{'); err != nil {
		return nil, false, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false, err
		}
		switch key {
		case "tree":
			entries, err = decodeEntries(d)
		case "truncated":
			err = d.Decode(&truncated)
		default:
			var skipped json.RawMessage
			err = d.Decode(&skipped)
		}
		if err != nil {
			return nil, false, err
		}
	}
	return entries, truncated, expect(d, '}')
}

func decodeEntries(d *json.Decoder) ([]treeEntry, error) {
	if err := expect(d, '['); err != nil {
		return nil, err
	}
	var entries []treeEntry
	for d.More() {
		var e treeEntry
		if err := d.Decode(&e); err != nil {
			return nil, err
		}
		if !e.SHA.valid() || e.Path == "" || strings.HasPrefix(e.Path, "/") {
			return nil, fmt.Errorf("the tree lists %.80q as %.60q", e.Path, e.SHA)
		}
		entries = append(entries, e)
	}
	return entries, expect(d, ']')
}

func expect(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%q was expected", want.String())
	}
	return nil
}
