package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
)

const (
	opCommits = "GET /repos/{owner}/{repo}/commits"
	// ancestorsPage is how many commits one request brings, GitHub's own limit.
	ancestorsPage = 100
	// maxKeptMessage is how much of the end of a message is kept, in bytes.
	maxKeptMessage = 4 << 10
	// maxDifferentFolders bounds the folders that are read to compare two trees.
	// Beyond it two listings are cheaper.
	maxDifferentFolders = 24
)

// past is what is remembered of commits and folders, all of it by name for ever.
type past struct {
	folders   *cache.Cache[SHA, []treeEntry] // one level of each
	ancestors *cache.Cache[SHA, Ancestor]
	fetching  *singleflight.Group // of folders
}

func newPast(memory *cache.Budget) past {
	return past{
		folders:   cache.New(memory, "folders", SHA.Key, folderCost),
		ancestors: cache.New(memory, "commits", SHA.Key, Ancestor.cost), fetching: &singleflight.Group{},
	}
}

// Ancestor is a commit of a branch's past.
type Ancestor struct {
	Commit, Tree SHA
	// Parent is the first one: what the branch was before. It is empty for a root.
	Parent SHA
	Author string    // the author's name
	At     time.Time // the committer's
	URL    string    // for people
	// Message is the end of the message, which has the trailers.
	Message string
}

func (a Ancestor) cost() int64 {
	const fixed = 4*40 + 24
	return int64(fixed + len(a.Author) + len(a.URL) + len(a.Message) + cache.Overhead)
}

func folderCost(entries []treeEntry) int64 {
	const fixed = 3*16 + 40 + 8
	n := cache.Overhead
	for _, e := range entries {
		n += fixed + len(e.Path)
	}
	return int64(n)
}

// Difference is a file that differs between two trees. A file that one of them does not
// have is a zero Entry there.
type Difference struct {
	Path     string
	Old, New Entry
}

// Ancestor returns a commit of the repository. It is asked for together with those
// before it, so that a walk down a branch takes one request for each hundred commits.
func (b *Branch) Ancestor(ctx context.Context, repo Repo, commit SHA) (Ancestor, error) {
	c := b.client
	if known, ok := c.past.ancestors.Get(commit); ok {
		return known, nil
	}
	if !commit.valid() {
		return Ancestor{}, nonsense(opCommits, http.StatusOK, fmt.Errorf("%.60q is not the name of a commit", commit))
	}
	var found []*gh.RepositoryCommit
	err := c.ask(ctx, request{op: opCommits, repo: repo}, func(ctx context.Context) (resp *gh.Response, err error) {
		options := &gh.CommitsListOptions{SHA: string(commit), ListOptions: gh.ListOptions{PerPage: ancestorsPage}}
		found, resp, err = c.api.Repositories.ListCommits(ctx, repo.Owner, repo.Name, options)
		return resp, err
	})
	if err != nil {
		return Ancestor{}, err
	}
	var wanted *Ancestor
	for _, one := range found {
		a := ancestorOf(one)
		if !a.Commit.valid() || !a.Tree.valid() || a.Parent != "" && !a.Parent.valid() {
			return Ancestor{}, nonsense(opCommits, http.StatusOK, fmt.Errorf("the commit %.60q has the tree %.60q", a.Commit, a.Tree))
		}
		c.past.ancestors.Put(a.Commit, a)
		if a.Commit == commit {
			wanted = &a
		}
	}
	if wanted == nil {
		return Ancestor{}, nonsense(opCommits, http.StatusOK, fmt.Errorf("the list of %s does not begin with it", commit))
	}
	return *wanted, nil
}

func ancestorOf(one *gh.RepositoryCommit) Ancestor {
	git := one.GetCommit()
	message := git.GetMessage()
	message = message[max(0, len(message)-maxKeptMessage):]
	a := Ancestor{
		Commit: SHA(one.GetSHA()), Tree: SHA(git.GetTree().GetSHA()), URL: one.GetHTMLURL(), Message: strings.Clone(message),
		Author: git.GetAuthor().GetName(), At: git.GetCommitter().GetDate().UTC(),
	}
	if len(one.Parents) > 0 {
		a.Parent = SHA(one.Parents[0].GetSHA())
	}
	return a
}

// At returns the tree of a commit of the branch's past as a snapshot, to Read from.
// Nothing can be committed on it.
func (b *Branch) At(ctx context.Context, now *Snapshot, commit, tree SHA) (*Snapshot, error) {
	return b.list(ctx, head{repo: now.Repo, branch: now.Branch, commit: commit, tree: tree}, now)
}

// Differences returns the files that differ between two trees, sorted by path, where
// enter reports which folders are of interest. Only folders that differ are read, side
// by side. ok is false where too many do; then nothing is returned.
func (b *Branch) Differences(ctx context.Context, repo Repo, from, to SHA, enter func(dir string) bool) (found []Difference, ok bool, err error) {
	read := 0
	for level := []folderPair{{"", from, to}}; len(level) > 0; {
		if read += len(level); read > maxDifferentFolders {
			return nil, false, nil
		}
		sides, err := b.sides(ctx, repo, level)
		if err != nil {
			return nil, false, err
		}
		var next []folderPair
		for i, p := range level {
			for _, d := range differ(p.dir, sides[i][0], sides[i][1]) {
				var below folderPair
				d.Old, below.from = d.Old.split()
				d.New, below.to = d.New.split()
				if below.dir = d.Path; (below.from != "" || below.to != "") && enter(d.Path) {
					next = append(next, below)
				}
				if d.Old != d.New {
					found = append(found, d)
				}
			}
		}
		level = next
	}
	slices.SortFunc(found, func(a, b Difference) int { return cmp.Compare(a.Path, b.Path) })
	return found, true, nil
}

// folderPair is a folder in two trees, of which one may not have it.
type folderPair struct {
	dir      string
	from, to SHA
}

// sides returns the entries of each folder in both trees.
func (b *Branch) sides(ctx context.Context, repo Repo, folders []folderPair) ([][2][]treeEntry, error) {
	sides := make([][2][]treeEntry, len(folders))
	group, each := errgroup.WithContext(ctx)
	for i, p := range folders {
		for side, tree := range []SHA{p.from, p.to} {
			group.Go(func() (err error) {
				sides[i][side], err = b.client.folder(each, repo, tree, p.dir)
				return err
			})
		}
	}
	return sides, group.Wait()
}

// split parts an entry into a file and the tree of a folder, one of which is zero, as
// both are for a submodule.
func (e Entry) split() (file Entry, tree SHA) {
	switch e.Mode {
	case modeTree:
		return Entry{}, e.SHA
	case modeSubmodule:
		return Entry{}, ""
	}
	return e, ""
}

// differ pairs the entries of one folder that differ.
func differ(dir string, from, to []treeEntry) []Difference {
	at := map[string]*Difference{}
	var order []string
	for side, entries := range [][]treeEntry{from, to} {
		for _, e := range entries {
			d := at[e.Path]
			if d == nil {
				path := e.Path
				if dir != "" {
					path = dir + "/" + e.Path
				}
				d = &Difference{Path: path}
				at[e.Path] = d
				order = append(order, e.Path)
			}
			entry := Entry{Path: d.Path, Mode: e.mode(), SHA: e.SHA, Size: e.Size}
			if side == 0 {
				d.Old = entry
			} else {
				d.New = entry
			}
		}
	}
	var all []Difference
	for _, name := range order {
		if d := at[name]; d.Old != d.New {
			all = append(all, *d)
		}
	}
	return all
}

// folder returns one level of a tree; nothing for "". The entries are shared.
func (c *Client) folder(ctx context.Context, repo Repo, tree SHA, dir string) ([]treeEntry, error) {
	if tree == "" {
		return nil, nil
	}
	if known, ok := c.past.folders.Get(tree); ok {
		return known, nil
	}
	// Whoever asks for the same tree meanwhile waits for this answer; with the context
	// of one that is gone, the others ask themselves.
	entries, err, _ := c.past.fetching.Do(repo.String()+" "+string(tree), func() (any, error) {
		entries, truncated, err := c.tree(ctx, repo, tree, dir, false)
		if err == nil && truncated {
			err = &Error{Kind: ErrUpstream, Op: opTree, Detail: fmt.Sprintf("the folder %.80q is too large for GitHub's API", dir)}
		}
		if err == nil {
			c.past.folders.Put(tree, entries)
		}
		return entries, err
	})
	if err != nil && ctx.Err() == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return c.folder(ctx, repo, tree, dir)
	}
	if err != nil {
		return nil, err
	}
	return entries.([]treeEntry), nil
}

// Blobs is Read for contents of the past: each is a request of its own.
func (b *Branch) Blobs(ctx context.Context, repo Repo, entries []Entry, visit func(i int, content []byte) error) error {
	r := &reading{branch: b, client: b.client, snapshot: &Snapshot{Repo: repo}, entries: entries, visit: visit}
	unknown, err := r.fromCache()
	if err != nil {
		return err
	}
	r.miss(unknown)
	return r.fromBlobs(ctx)
}
