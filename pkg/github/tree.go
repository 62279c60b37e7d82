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
	"sync"

	gh "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"
)

const (
	// compareFrom is the least number of files for which a changed directory is compared
	// level by level; below it one recursive listing is cheaper.
	compareFrom = 5000
	// comparedMost bounds the changed directories of a level that are read one by one;
	// above it one recursive listing is cheaper.
	comparedMost = 4
)

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
	for _, m := range []Mode{ModeFile, modeTree, ModeExecutable, ModeSymlink, modeSubmodule} {
		if e.Mode == string(m) {
			return m
		}
	}
	switch e.Type {
	case "tree":
		return modeTree
	case "commit":
		return modeSubmodule
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
	ctx, w.stop = context.WithCancelCause(ctx)
	defer w.stop(nil)
	w.out.dirs, w.out.split = []Entry{{Mode: modeTree, SHA: tree}}, map[string]bool{}
	var err error
	switch {
	case old != nil && old.split[""]:
		err = w.split(ctx, folder{sha: tree}, nil)
	case old == nil || len(old.files) < compareFrom:
		err = w.whole(ctx, folder{sha: tree})
	default:
		err = w.compare(ctx, folder{sha: tree})
	}
	var beyond *Error
	if errors.As(context.Cause(ctx), &beyond) {
		return nil, beyond
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

	mu   sync.Mutex
	out  listing
	text int // bytes of paths in out
	sent int // requests
	stop context.CancelCauseFunc
}

// folder is one that is read: its path, its tree, and the folders around it.
type folder struct {
	path  string
	sha   SHA
	above *folder // nil for the root
}

// in returns the folder that an entry of f is. A folder that holds itself, which no
// tree of git can, is an error.
func (f *folder) in(e treeEntry) (folder, error) {
	sub := folder{path: path.Join(f.path, e.Path), sha: e.SHA, above: f}
	for around := f; around != nil; around = around.above {
		if around.sha == e.SHA {
			return sub, nonsense(opTree, http.StatusOK, fmt.Errorf("the folder %.80q holds itself", sub.path))
		}
	}
	return sub, nil
}

// read is Client.tree within the bounds of a walk.
func (w *walk) read(ctx context.Context, f folder, recursive bool) (entries []treeEntry, truncated bool, err error) {
	w.mu.Lock()
	w.sent++
	sent := w.sent
	w.mu.Unlock()
	if sent > maxWalk {
		err := beyondBounds(fmt.Sprintf("the commit takes more than %d requests to list", maxWalk))
		w.stop(err)
		return nil, false, err
	}
	return w.client.tree(ctx, w.repo, f.sha, f.path, recursive)
}

// beyondBounds is the error of a listing that is not read to its end.
func beyondBounds(detail string) *Error {
	return &Error{Kind: ErrUpstream, Op: opTree, Err: errTooMuch, Detail: detail + "; make a repository of its own for what is updated"}
}

// compare reads one level of a directory and then, side by side, the directories in it
// that differ from those of the old listing: large ones in the same way, others whole.
func (w *walk) compare(ctx context.Context, f folder) error {
	level, truncated, err := w.read(ctx, f, false)
	if err != nil {
		return err
	}
	stands := func(e treeEntry) bool { return w.old.dir(path.Join(f.path, e.Path)) == e.SHA }
	changed := slices.DeleteFunc(slices.Clone(level), func(e treeEntry) bool { return e.mode() != modeTree || stands(e) })
	if truncated || len(changed) > comparedMost {
		return w.whole(ctx, f)
	}
	w.add(f.path, level)
	for _, e := range level {
		if e.mode() == modeTree && stands(e) {
			w.take(w.old, path.Join(f.path, e.Path))
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, e := range changed {
		group.Go(func() error {
			sub, err := f.in(e)
			switch {
			case err != nil:
				return err
			case w.old.count(sub.path) >= compareFrom:
				return w.compare(ctx, sub)
			}
			return w.whole(ctx, sub)
		})
	}
	return group.Wait()
}

// whole reads a directory with all below it in one answer, or in parts when it
// is too large for that.
func (w *walk) whole(ctx context.Context, f folder) error {
	entries, truncated, err := w.read(ctx, f, true)
	if err != nil {
		return err
	}
	if truncated {
		part := &listing{}
		part.add(f.path, entries)
		return w.split(ctx, f, part.sorted())
	}
	w.add(f.path, entries)
	return nil
}

// split reads one level of a directory and then, side by side, the directories
// in it that neither the old listing holds nor part, which may be nil: what an
// answer held that was cut off.
func (w *walk) split(ctx context.Context, f folder, part *listing) error {
	level, truncated, err := w.read(ctx, f, false)
	if err != nil {
		return err
	}
	if truncated {
		return &Error{Kind: ErrUpstream, Op: opTree, Detail: fmt.Sprintf("the folder %.80q is too large for GitHub's API", f.path)}
	}
	w.mu.Lock()
	w.out.split[f.path] = true
	w.mu.Unlock()
	w.add(f.path, level)
	var whole map[string]bool
	if part != nil {
		whole = part.whole()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for _, e := range level {
		if e.mode() != modeTree {
			continue
		}
		sub, err := f.in(e)
		switch {
		case err != nil:
			group.Go(func() error { return err })
		case w.old != nil && w.old.dir(sub.path) == e.SHA:
			w.take(w.old, sub.path)
		case whole[sub.path]:
			w.take(part, sub.path)
		case w.old != nil && (w.old.split[sub.path] || w.old.count(sub.path) >= compareFrom):
			group.Go(func() error { return w.split(ctx, sub, nil) })
		default:
			group.Go(func() error { return w.whole(ctx, sub) })
		}
	}
	return group.Wait()
}

func (w *walk) take(from *listing, dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.take(from, dir)
	w.fullLocked()
}

// fullLocked ends the walk when it has collected more than it may.
func (w *walk) fullLocked() {
	if len(w.out.files)+len(w.out.dirs)+len(w.out.modules) > maxListed || w.text > maxListedText {
		w.stop(beyondBounds(errTooMuch.Error()))
	}
}

func (w *walk) add(dir string, entries []treeEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.add(dir, entries)
	for _, e := range entries {
		w.text += len(dir) + len(e.Path)
	}
	w.fullLocked()
}

const opTree = "GET /repos/{owner}/{repo}/git/trees/{tree_sha}"

// tree reads the tree of a directory, with everything below it when recursive is set.
// truncated reports whether entries are missing.
func (c *Client) tree(ctx context.Context, repo Repo, tree SHA, dir string, recursive bool) (entries []treeEntry, truncated bool, err error) {
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
		entries, truncated, err = decodeTree(resp.Body, dir)
		return resp, err
	})
	return entries, truncated, err
}

// decodeTree reads the answer for a folder entry by entry: a listing of 100,000
// entries is tens of megabytes of JSON, most of which nobody needs. It holds at
// most maxEntryText of it at a time.
func decodeTree(r io.Reader, dir string) (entries []treeEntry, truncated bool, err error) {
	text := &entryReader{r: r}
	d := json.NewDecoder(text)
	text.d = d
	if err := expect(d, '{'); err != nil {
		return nil, false, err
	}
	for beside := int64(0); d.More(); {
		key, err := d.Token()
		if err != nil {
			return nil, false, err
		}
		begun := d.InputOffset()
		switch key {
		case "tree":
			if entries != nil {
				return nil, false, errors.New("it holds two trees")
			}
			entries, err = decodeEntries(d, dir)
			begun = d.InputOffset()
		case "truncated":
			err = d.Decode(&truncated)
		default:
			var skipped json.RawMessage
			err = d.Decode(&skipped)
		}
		if beside += d.InputOffset() - begun + 1; err == nil && beside > maxEntryText {
			err = errTooLarge
		}
		if err != nil {
			return nil, false, err
		}
	}
	return entries, truncated, expect(d, '}')
}

// entryReader fails once its decoder is in the midst of something that is larger
// than any entry.
type entryReader struct {
	r    io.Reader
	d    *json.Decoder
	read int64
}

func (t *entryReader) Read(p []byte) (int, error) {
	if t.read-t.d.InputOffset() > maxEntryText {
		return 0, fmt.Errorf("an entry of a tree is larger than %d KB: %w", maxEntryText>>10, errTooLarge)
	}
	n, err := t.r.Read(p)
	t.read += int64(n)
	return n, err
}

func decodeEntries(d *json.Decoder, dir string) ([]treeEntry, error) {
	if err := expect(d, '['); err != nil {
		return nil, err
	}
	var entries []treeEntry
	text := 0 // bytes of paths
	for d.More() {
		var e treeEntry
		if err := d.Decode(&e); err != nil {
			return nil, err
		}
		if !e.SHA.valid() || e.Size < 0 || e.Size > maxSize {
			return nil, fmt.Errorf("the tree lists %.80q as %.60q with %d bytes", e.Path, e.SHA, e.Size)
		}
		if err := checkPath(dir, e.Path); err != nil {
			return nil, err
		}
		if text += len(dir) + len(e.Path); len(entries) == maxListed || text > maxListedText {
			return nil, errTooMuch
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
