package sandbox

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// Repository is one repository of the embedded GitHub, seen from the side of
// a test: what a colleague at the keyboard could do to it. None of it appears
// in the request log or is touched by a fault. It is safe for concurrent use,
// and git may work on Dir at the same time.
type Repository struct {
	id     int64
	branch string // the default one
	clock  func() time.Time
	keys   *signingKeys
	git    *bare.Repository

	created time.Time
	listed  atomic.Int64 // bytes of the last recursive listing: the next is about as long

	mu       sync.RWMutex
	name     string // owner/name
	private  bool
	archived bool
	rules    map[string]Protection // by branch
	writes   map[string]*refWrite  // by full reference name: the last one

	pulls pullStore
}

// refWrite is what a stale read needs to know of the last write of a
// reference.
type refWrite struct {
	before bare.Hash
	at     time.Time
	reads  int
}

// File is one file of a commit.
type File struct {
	Content []byte
	// Mode is git's, in six digits; empty means that of the file it replaces,
	// or 100644.
	Mode string
	// Remove takes the file away.
	Remove bool
}

// Files are the changed files of a commit, by their slash-separated path.
type Files map[string]File

// CommitInfo is a commit as Log shows it.
type CommitInfo struct {
	SHA, Tree         string
	Parents           []string
	Author, Committer string // Name <mail>
	When              time.Time
	Message           string
	Signature         string // armoured, or empty
}

// Name returns owner/name as it is now.
func (r *Repository) Name() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.name
}

func (r *Repository) setName(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = name
}

// Dir returns the absolute path of the bare git repository; it ends in .git.
func (r *Repository) Dir() string { return r.git.Dir() }

// SetPrivate hides the repository from callers that have no access to it.
func (r *Repository) SetPrivate(private bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.private = private
}

// SetArchived makes the repository read-only.
func (r *Repository) SetArchived(archived bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.archived = archived
}

// SetDefaultBranch makes another branch the default one. It must be there; the old
// one stays.
func (r *Repository) SetDefaultBranch(branch string) error {
	if _, err := r.head(branch); err != nil {
		return err
	}
	if err := r.git.SetHeadBranch(branch); err != nil {
		return fmt.Errorf("default branch %s: %w", branch, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.branch = branch
	return nil
}

func (r *Repository) defaultBranch() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.branch
}

func (r *Repository) visibility() (private, archived bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.private, r.archived
}

// packFrom is the number of files from which a change is stored as one pack instead of one
// file per object.
const packFrom = 100

// store has a change of that many files written to a sink, and what it stored readable.
func (r *Repository) store(files int, write func(bare.Sink) (bare.Hash, error)) (tree bare.Hash, err error) {
	if files < packFrom {
		return write(r.git)
	}
	pack, err := r.git.NewPack()
	if err != nil {
		return bare.Hash{}, err
	}
	defer func() { err = errors.Join(err, pack.Close()) }()
	return write(pack)
}

// pushAttempts bounds how often Commit starts again when somebody else moves
// the branch meanwhile.
const pushAttempts = 100

// Commit writes files on top of a branch as a colleague's push would, past
// every protection, and returns the new commit. The branch is made when it is
// not there: from the default branch's head, or from nothing. A branch that
// moves meanwhile is built upon again.
func (r *Repository) Commit(branch string, files Files, message string) (sha string, err error) {
	for range pushAttempts {
		sha, err = r.commitOnce(branch, files, message)
		if !errors.Is(err, bare.ErrRefChanged) && !errors.Is(err, bare.ErrRefLocked) {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("commit to %s of %s: %w", branch, r.Name(), err)
	}
	return sha, nil
}

func (r *Repository) commitOnce(branch string, files Files, message string) (sha string, err error) {
	ref := "refs/heads/" + branch
	head, err := r.git.Ref(ref)
	if err != nil && !errors.Is(err, bare.ErrNoRef) {
		return "", err
	}
	parent := head
	if head.IsZero() {
		if parent, err = r.git.Ref("refs/heads/" + r.defaultBranch()); err != nil && !errors.Is(err, bare.ErrNoRef) {
			return "", err
		}
	}
	var base bare.Hash
	var parents []bare.Hash
	if !parent.IsZero() {
		c, err := r.git.Commit(parent)
		if err != nil {
			return "", err
		}
		base, parents = c.Tree, []bare.Hash{parent}
	}
	tree, err := r.store(len(files), func(sink bare.Sink) (bare.Hash, error) { return r.writeFiles(base, files, sink) })
	if err != nil {
		return "", err
	}
	who := bare.Signature{Name: "Mona Lisa", Email: "mona@example.com", When: r.clock().UTC()}
	h, err := r.git.Put(bare.KindCommit, bare.Commit{
		Tree: tree, Parents: parents, Author: who, Committer: who, Message: message,
	}.Encode())
	if err != nil {
		return "", err
	}
	return h.String(), r.swap(ref, head, h)
}

func (r *Repository) writeFiles(base bare.Hash, files Files, sink bare.Sink) (tree bare.Hash, err error) {
	changes := make([]bare.Change, 0, len(files))
	for path, f := range files {
		c := bare.Change{Path: path, Mode: bare.ModeFile, Remove: f.Remove}
		if f.Mode != "" {
			mode, ok := bare.ParseMode(f.Mode)
			if !ok || mode.Kind() != bare.KindBlob {
				return bare.Hash{}, fmt.Errorf("%w mode %q of %s", ErrInvalid, f.Mode, path)
			}
			c.Mode = mode
		} else if !base.IsZero() {
			if old, err := r.git.Lookup(base, path); err == nil && old.Mode.Kind() == bare.KindBlob {
				c.Mode = old.Mode
			}
		}
		if !f.Remove {
			if c.Hash, err = sink.Put(bare.KindBlob, f.Content); err != nil {
				return bare.Hash{}, err
			}
		}
		changes = append(changes, c)
	}
	return r.git.EditTree(base, changes, sink)
}

// swap moves a reference and remembers what it was for stale reads.
func (r *Repository) swap(ref string, from, to bare.Hash) error {
	if err := r.git.Swap(ref, from, to); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes[ref] = &refWrite{before: from, at: r.clock()}
	return nil
}

// Head returns the commit a branch is at, or ErrNotFound.
func (r *Repository) Head(branch string) (string, error) {
	if err := r.settleMerges(); err != nil {
		return "", err
	}
	h, err := r.head(branch)
	return h.String(), err
}

func (r *Repository) head(branch string) (bare.Hash, error) {
	h, err := r.git.Ref("refs/heads/" + branch)
	if err != nil {
		return h, fmt.Errorf("branch %s of %s: %w: %w", branch, r.Name(), ErrNotFound, err)
	}
	return h, nil
}

// Reset sets a branch to any commit of the repository, as a forced push does:
// back, forth or sideways.
func (r *Repository) Reset(branch, sha string) error {
	to, ok := bare.ParseHash(sha)
	if !ok {
		return fmt.Errorf("reset %s to %q: %w", branch, sha, ErrInvalid)
	}
	if _, err := r.git.Commit(to); err != nil {
		return fmt.Errorf("reset %s: %w", branch, err)
	}
	ref := "refs/heads/" + branch
	for range pushAttempts {
		from, err := r.git.Ref(ref)
		if err != nil && !errors.Is(err, bare.ErrNoRef) {
			return err
		}
		err = r.swap(ref, from, to)
		if !errors.Is(err, bare.ErrRefChanged) && !errors.Is(err, bare.ErrRefLocked) {
			return err
		}
	}
	return fmt.Errorf("reset %s: %w", branch, bare.ErrRefChanged)
}

// Rewind takes the last n commits (first parents) off a branch.
func (r *Repository) Rewind(branch string, n int) (sha string, err error) {
	h, err := r.head(branch)
	for range n {
		if err != nil {
			return "", err
		}
		var c bare.Commit
		if c, err = r.git.Commit(h); err == nil {
			if len(c.Parents) == 0 {
				return "", fmt.Errorf("rewind %s by %d: %w: no parent", branch, n, ErrNotFound)
			}
			h = c.Parents[0]
		}
	}
	if err != nil {
		return "", err
	}
	return h.String(), r.Reset(branch, h.String())
}

// DeleteBranch takes a branch away.
func (r *Repository) DeleteBranch(branch string) error {
	h, err := r.head(branch)
	if err != nil {
		return err
	}
	return r.swap("refs/heads/"+branch, h, bare.Hash{})
}

// ReadFile returns a file's content on a branch or at a commit, or ErrNotFound.
func (r *Repository) ReadFile(revision, path string) ([]byte, error) {
	commit, err := r.resolve(revision)
	if err != nil {
		return nil, err
	}
	c, err := r.git.Commit(commit)
	if err != nil {
		return nil, err
	}
	e, err := r.git.Lookup(c.Tree, path)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w: %w", path, revision, ErrNotFound, err)
	}
	return r.git.GetKind(e.Hash, bare.KindBlob)
}

// Log returns the commits of a branch or below a commit, newest first.
func (r *Repository) Log(revision string) ([]CommitInfo, error) {
	from, err := r.resolve(revision)
	if err != nil {
		return nil, err
	}
	var hashes []bare.Hash
	if err := r.git.Log(from, func(h bare.Hash) bool { hashes = append(hashes, h); return true }); err != nil {
		return nil, err
	}
	infos := make([]CommitInfo, 0, len(hashes))
	for _, h := range hashes {
		c, err := r.git.Commit(h)
		if err != nil {
			return nil, err
		}
		infos = append(infos, commitInfo(h, c))
	}
	return infos, nil
}

func commitInfo(h bare.Hash, c bare.Commit) CommitInfo {
	person := func(s bare.Signature) string { return s.Name + " <" + s.Email + ">" }
	info := CommitInfo{
		SHA: h.String(), Tree: c.Tree.String(),
		Author: person(c.Author), Committer: person(c.Committer), When: c.Committer.When,
		Message: c.Message, Signature: c.PGPSignature,
	}
	for _, p := range c.Parents {
		info.Parents = append(info.Parents, p.String())
	}
	return info
}

// resolve finds the commit that a SHA, a branch, a tag or a full reference
// name stands for.
func (r *Repository) resolve(revision string) (bare.Hash, error) {
	if h, ok := bare.ParseHash(revision); ok {
		return r.peel(h)
	}
	revision = strings.TrimPrefix(revision, "refs/")
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/"} {
		if h, err := r.git.Ref(prefix + revision); err == nil {
			return r.peel(h)
		}
	}
	return bare.Hash{}, fmt.Errorf("revision %q: %w", revision, ErrNotFound)
}

// peel follows annotated tags to the commit.
func (r *Repository) peel(h bare.Hash) (bare.Hash, error) {
	for {
		o, err := r.git.Get(h)
		if err != nil {
			return bare.Hash{}, fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		switch o.Kind {
		case bare.KindCommit:
			return h, nil
		case bare.KindTag:
			first, _, _ := strings.Cut(string(o.Content), "\n")
			if target, ok := bare.ParseHash(strings.TrimPrefix(first, "object ")); ok {
				h = target
				continue
			}
		}
		return bare.Hash{}, fmt.Errorf("%s is not a commit: %w", h, ErrNotFound)
	}
}
