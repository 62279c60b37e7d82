package bare

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	slashpath "path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Errors of references.
var (
	// ErrNoRef: there is no reference of that name.
	ErrNoRef = errors.New("reference not found")
	// ErrRefChanged: the reference does not have the value expected of it.
	ErrRefChanged = errors.New("reference has changed")
	// ErrRefLocked: somebody else holds the reference's lock.
	ErrRefLocked = errors.New("reference is locked")
	// ErrRefConflict: git cannot hold a and a/b side by side.
	ErrRefConflict = errors.New("reference cannot be beside another")
	// ErrBadRefName: git would not take the name.
	ErrBadRefName = errors.New("malformed reference name")
)

// Ref is a reference and the object it names.
type Ref struct {
	Name string // in full, such as refs/heads/main
	Hash Hash
}

// CheckRefName reports whether git would take the full name of a reference, by
// the rules of git-check-ref-format. The error wraps ErrBadRefName.
func CheckRefName(name string) error {
	bad := fmt.Errorf("%w: %q", ErrBadRefName, name)
	if !strings.HasPrefix(name, "refs/") || strings.Count(name, "/") < 2 || strings.HasSuffix(name, ".") {
		return bad
	}
	if strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.ContainsAny(name, " ~^:?*[\\\x7f") {
		return bad
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || strings.HasSuffix(part, lockSuffix) {
			return bad
		}
	}
	for _, c := range []byte(name) {
		if c < ' ' {
			return bad
		}
	}
	return nil
}

// Ref returns what a reference names. The error wraps ErrNoRef or
// ErrBadRefName.
func (r *Repository) Ref(name string) (Hash, error) {
	if err := CheckRefName(name); err != nil {
		return Hash{}, err
	}
	h, err := r.looseRef(name)
	if err == nil || !errors.Is(err, ErrNoRef) {
		return h, err
	}
	packed, err := r.packedRefs()
	if err != nil {
		return Hash{}, err
	}
	if h, ok := packed[name]; ok {
		return h, nil
	}
	return Hash{}, fmt.Errorf("%w: %s", ErrNoRef, name)
}

func (r *Repository) refPath(name string) string {
	return filepath.Join(r.dir, filepath.FromSlash(name))
}

func (r *Repository) looseRef(name string) (Hash, error) {
	path := r.refPath(name)
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return Hash{}, fmt.Errorf("%w: %s", ErrNoRef, name)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Hash{}, fmt.Errorf("%w: %s", ErrNoRef, name)
	}
	if err != nil {
		return Hash{}, fmt.Errorf("read %s: %w", name, err)
	}
	h, ok := ParseHash(strings.TrimSpace(string(b)))
	if !ok {
		return Hash{}, fmt.Errorf("read %s: %w", name, ErrMalformed)
	}
	return h, nil
}

// packedRefs reads the file that git pack-refs writes.
func (r *Repository) packedRefs() (map[string]Hash, error) {
	refs := map[string]Hash{}
	f, err := os.Open(filepath.Join(r.dir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return refs, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read packed-refs: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		digits, name, _ := strings.Cut(lines.Text(), " ")
		if h, ok := ParseHash(digits); ok {
			refs[name] = h
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read packed-refs: %w", err)
	}
	return refs, nil
}

// Refs returns all references whose full name begins with prefix, sorted by
// name.
func (r *Repository) Refs(prefix string) ([]Ref, error) {
	all, err := r.packedRefs()
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(filepath.Join(r.dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, lockSuffix) {
			return ignoreGone(err)
		}
		rel, err := filepath.Rel(r.dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if h, err := r.looseRef(name); err == nil {
			all[name] = h
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list references: %w", err)
	}
	var refs []Ref
	for name, h := range all {
		if strings.HasPrefix(name, prefix) {
			refs = append(refs, Ref{name, h})
		}
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
	return refs, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Swap sets a reference from old to new in one step. The zero hash stands for
// a reference that is not there: as old it creates, as new it deletes. The
// error wraps ErrRefChanged when the present value is not old, ErrRefLocked
// when another writer is at it for longer than a moment, ErrBadRefName.
func (r *Repository) Swap(name string, from, to Hash) error {
	if err := CheckRefName(name); err != nil {
		return err
	}
	if err := r.lockRef(name); err != nil {
		return err
	}
	used, err := r.swapLocked(name, from, to)
	if !used {
		// Only then: once renamed, a file of that name is another writer's lock.
		err = errors.Join(err, os.Remove(r.refPath(name)+lockSuffix))
	}
	return err
}

// swapLocked runs under the lock. used reports whether the lock's file has become the
// reference.
func (r *Repository) swapLocked(name string, from, to Hash) (used bool, err error) {
	now, err := r.Ref(name)
	if err != nil && !errors.Is(err, ErrNoRef) {
		return false, err
	}
	if now != from {
		return false, fmt.Errorf("%w: %s is at %s, not at %s", ErrRefChanged, name, now, from)
	}
	if to.IsZero() {
		return false, r.deleteRef(name)
	}
	if now.IsZero() {
		if err := r.checkBeside(name); err != nil {
			return false, err
		}
	}
	if err := r.writeRef(name, to); err != nil {
		return false, err
	}
	return true, nil
}

// checkBeside refuses a new reference that lies below another one, or above it, packed
// ones too.
func (r *Repository) checkBeside(name string) error {
	below, err := r.Refs(name + "/")
	if err != nil {
		return err
	}
	if len(below) > 0 {
		return fmt.Errorf("%w: %s exists; cannot create %s", ErrRefConflict, below[0].Name, name)
	}
	for above := slashpath.Dir(name); strings.Count(above, "/") >= 2; above = slashpath.Dir(above) {
		if _, err := r.Ref(above); err == nil {
			return fmt.Errorf("%w: %s exists; cannot create %s", ErrRefConflict, above, name)
		}
	}
	return nil
}

// lockSuffix makes the name of a reference's lock, as in git.
const lockSuffix = ".lock"

const (
	// lockWait is how long a writer waits for a reference's lock: as long as
	// git itself does by default (core.filesRefLockTimeout).
	lockWait = 100 * time.Millisecond
	lockPoll = time.Millisecond
)

// lockRef takes git's lock of a reference, the file NAME.lock.
func (r *Repository) lockRef(name string) error {
	path := r.refPath(name) + lockSuffix
	for deadline := time.Now().Add(lockWait); ; {
		if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
			if beside := r.checkBeside(name); beside != nil {
				return beside
			}
			return fmt.Errorf("%w: %s: %w", ErrRefLocked, name, err)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
		if err == nil {
			return f.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s: %w", ErrRefLocked, name, err)
		}
		time.Sleep(lockPoll)
	}
}

// writeRef is called under the lock and uses the lock's file for the value,
// as git does.
func (r *Repository) writeRef(name string, h Hash) error {
	path := r.refPath(name)
	if err := os.WriteFile(path+lockSuffix, []byte(h.String()+"\n"), fileMode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err := os.Rename(path+lockSuffix, path)
	if err != nil && removeEmptyDirs(path) {
		err = os.Rename(path+lockSuffix, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// removeEmptyDirs clears folders without files that stand where a reference
// is to be written; git leaves such folders behind.
func removeEmptyDirs(path string) bool {
	var dirs []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if err != nil {
		return false
	}
	slices.Reverse(dirs)
	for _, d := range dirs {
		if os.Remove(d) != nil {
			return false
		}
	}
	return true
}

// deleteRef is called under the lock.
func (r *Repository) deleteRef(name string) error {
	packed, err := r.packedRefs()
	if err != nil {
		return err
	}
	if _, ok := packed[name]; ok {
		if err := r.dropPacked(name); err != nil {
			return err
		}
	}
	if err := ignoreGone(os.Remove(r.refPath(name))); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// dropPacked rewrites packed-refs without one reference and the peeled line
// that may follow it.
func (r *Repository) dropPacked(name string) error {
	path := filepath.Join(r.dir, "packed-refs")
	lock, err := os.OpenFile(path+lockSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("%w: packed-refs: %w", ErrRefLocked, err)
	}
	b, err := os.ReadFile(path)
	var kept strings.Builder
	dropped := false
	for line := range strings.Lines(string(b)) {
		peeled := strings.HasPrefix(line, "^")
		if !peeled {
			dropped = strings.HasSuffix(strings.TrimSpace(line), " "+name)
		}
		if !dropped {
			kept.WriteString(line)
		}
	}
	if err == nil {
		_, err = lock.WriteString(kept.String())
	}
	if err := errors.Join(err, lock.Close()); err != nil {
		return errors.Join(fmt.Errorf("rewrite packed-refs: %w", err), os.Remove(path+lockSuffix))
	}
	return os.Rename(path+lockSuffix, path)
}
