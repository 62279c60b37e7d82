package bare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// Repository is one bare repository on disk. It is safe for concurrent use,
// also beside git processes that work on the same folder.
type Repository struct {
	dir      string
	contents *cache[Object]
	trees    *cache[[]Entry]
	stats    sync.Map // Hash → stat
	parents  sync.Map // Hash → []Hash
	packs    *packs
	// deflaters are *zlib.Writer, each of which is worth most of a megabyte.
	deflaters sync.Pool
}

// Init makes an empty bare repository in dir, which must be empty or not
// there, with HEAD on the given branch.
func Init(dir, branch string) (*Repository, error) {
	if found, err := os.ReadDir(dir); err == nil && len(found) > 0 {
		return nil, fmt.Errorf("init %s: folder is not empty", dir)
	}
	for _, d := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags", "info"} {
		if err := os.MkdirAll(filepath.Join(dir, d), dirMode); err != nil {
			return nil, fmt.Errorf("init: %w", err)
		}
	}
	files := map[string]string{
		"HEAD":        "ref: refs/heads/" + branch + "\n",
		"config":      "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
		"description": "A repository of the embedded GitHub.\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), fileMode); err != nil {
			return nil, fmt.Errorf("init: %w", err)
		}
	}
	return Open(dir)
}

// Open uses a bare repository that is there already.
func Open(dir string) (*Repository, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(abs, "HEAD")); err != nil {
		return nil, fmt.Errorf("open %s: not a bare repository: %w", dir, err)
	}
	return &Repository{
		dir:      abs,
		contents: newCache[Object](objectCacheBytes),
		trees:    newCache[[]Entry](treeCacheBytes),
		packs:    newPacks(abs),
	}, nil
}

// Dir returns the absolute path of the repository.
func (r *Repository) Dir() string { return r.dir }

// SetHeadBranch makes HEAD name a branch, which need not exist.
func (r *Repository) SetHeadBranch(branch string) error {
	if err := CheckRefName("refs/heads/" + branch); err != nil {
		return err
	}
	next := filepath.Join(r.dir, "HEAD.lock")
	if err := os.WriteFile(next, []byte("ref: refs/heads/"+branch+"\n"), 0o600); err != nil {
		return fmt.Errorf("write HEAD: %w", err)
	}
	if err := os.Rename(next, filepath.Join(r.dir, "HEAD")); err != nil {
		return fmt.Errorf("write HEAD: %w", err)
	}
	return nil
}

// HeadBranch returns the branch that HEAD names; it need not exist.
func (r *Repository) HeadBranch() (string, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, "HEAD"))
	if err != nil {
		return "", fmt.Errorf("read HEAD: %w", err)
	}
	branch, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "ref: refs/heads/")
	if !ok {
		return "", errors.New("read HEAD: it names no branch")
	}
	return branch, nil
}
