package bare

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	gitcache "github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

const (
	// objectCacheBytes bounds the contents kept in memory.
	objectCacheBytes = 64 << 20
	// treeCacheBytes bounds the decoded trees kept in memory: enough for a
	// repository of 100,000 entries.
	treeCacheBytes = 48 << 20
	// deltaCacheBytes bounds what go-git keeps to resolve deltas.
	deltaCacheBytes = 8 << 20
)

// Put stores one object and returns its name. Storing it again is no error.
// An object that only a pack holds is stored a second time, which git allows:
// looking into the packs would cost every new object more, and memory may
// know objects that git has pruned since.
func (r *Repository) Put(kind Kind, content []byte) (Hash, error) {
	h := HashOf(kind, content)
	if _, err := os.Stat(r.loosePath(h)); err == nil {
		return h, nil
	}
	if err := r.writeLoose(h, kind, content); err != nil {
		return Hash{}, fmt.Errorf("store %s %s: %w", kind, h, err)
	}
	r.remember(h, Object{kind, bytes.Clone(content)})
	return h, nil
}

// Get returns the object named h. The error wraps ErrNotFound when there is
// none.
func (r *Repository) Get(h Hash) (Object, error) {
	if o, ok := r.contents.get(h); ok {
		return o, nil
	}
	o, err := r.readLoose(h)
	if errors.Is(err, fs.ErrNotExist) {
		o, err = r.packs.get(h)
	}
	if err != nil {
		return Object{}, fmt.Errorf("object %s: %w", h, err)
	}
	r.remember(h, o)
	return o, nil
}

// GetKind is Get for one kind; the error wraps ErrWrongKind for another.
func (r *Repository) GetKind(h Hash, kind Kind) ([]byte, error) {
	o, err := r.Get(h)
	if err != nil {
		return nil, err
	}
	if o.Kind != kind {
		return nil, fmt.Errorf("%w: %s is a %s, not a %s", ErrWrongKind, h, o.Kind, kind)
	}
	return o.Content, nil
}

// Stat tells the kind and the size of an object. Sizes stay in memory, so
// that listing a large tree twice reads no blob.
func (r *Repository) Stat(h Hash) (Kind, int64, error) {
	if m, ok := r.stats.Load(h); ok {
		s := m.(stat)
		return s.kind, s.size, nil
	}
	o, err := r.Get(h)
	if err != nil {
		return 0, 0, err
	}
	return o.Kind, int64(len(o.Content)), nil
}

type stat struct {
	kind Kind
	size int64
}

func (r *Repository) remember(h Hash, o Object) {
	r.stats.Store(h, stat{o.Kind, int64(len(o.Content))})
	r.contents.put(h, o, len(o.Content)+100)
}

func (r *Repository) loosePath(h Hash) string {
	name := h.String()
	return filepath.Join(r.dir, "objects", name[:2], name[2:])
}

func (r *Repository) writeLoose(h Hash, kind Kind, content []byte) error {
	var packed bytes.Buffer
	z, ok := r.deflaters.Get().(*zlib.Writer)
	if !ok {
		var err error
		if z, err = zlib.NewWriterLevel(&packed, zlib.BestSpeed); err != nil {
			return err
		}
	}
	defer r.deflaters.Put(z)
	z.Reset(&packed)
	for _, part := range [][]byte{objectHeader(kind, len(content)), content} {
		if _, err := z.Write(part); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	path := r.loosePath(h)
	err := writeAtomically(path, packed.Bytes())
	if errors.Is(err, fs.ErrNotExist) { // the first object of its folder
		if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
			return err
		}
		err = writeAtomically(path, packed.Bytes())
	}
	return err
}

// writeAtomically gives path its content in one step, and lets nobody change it.
func writeAtomically(path string, content []byte) (err error) {
	name := filepath.Join(filepath.Dir(path), "tmp_obj_"+strconv.FormatUint(rand.Uint64(), 36)) //nolint:gosec // a name that nobody else has, and no secret
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)                       //nolint:gosec // everybody may read it, as in git
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(name, path)
}

func (r *Repository) readLoose(h Hash) (Object, error) {
	f, err := os.Open(r.loosePath(h))
	if err != nil {
		return Object{}, err
	}
	defer func() { _ = f.Close() }()
	z, err := zlib.NewReader(f)
	if err != nil {
		return Object{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	b := bufio.NewReader(z)
	header, err := b.ReadString(0)
	if err != nil {
		return Object{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	word, digits, _ := strings.Cut(strings.TrimSuffix(header, "\x00"), " ")
	kind, err := parseKind(word)
	if err != nil {
		return Object{}, err
	}
	size, err := strconv.Atoi(digits)
	if err != nil || size < 0 {
		return Object{}, fmt.Errorf("%w: size %.20q", ErrMalformed, digits)
	}
	content, err := io.ReadAll(b)
	if err != nil {
		return Object{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(content) != size {
		return Object{}, fmt.Errorf("%w: %d bytes, %d announced", ErrMalformed, len(content), size)
	}
	return Object{kind, content}, nil
}

// packs reads the packs of a repository through go-git, which is not safe for
// concurrent use and indexes the packs once: hence the lock, and the second
// look after the folder has changed.
type packs struct {
	dir string

	mu      sync.Mutex
	storage *filesystem.ObjectStorage
	indexed map[string]bool // the pack files the index covers
}

func newPacks(dir string) *packs { return &packs{dir: dir} }

func (p *packs) get(h Hash) (Object, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.storage == nil {
		p.open()
	}
	o, err := p.read(h)
	if err == nil || !p.changed() {
		return o, err
	}
	if err := p.close(); err != nil {
		return Object{}, err
	}
	p.open()
	if o, err = p.read(h); err != nil && !errors.Is(err, ErrNotFound) { // git is writing a pack
		err = errors.Join(err, p.close()) // so that it is indexed anew
	}
	return o, err
}

func (p *packs) read(h Hash) (Object, error) {
	o, err := p.storage.EncodedObject(plumbing.AnyObject, plumbing.Hash(h))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return Object{}, ErrNotFound
	}
	if err != nil {
		return Object{}, err
	}
	reader, err := o.Reader()
	if err != nil {
		return Object{}, err
	}
	content, err := io.ReadAll(reader)
	if err := errors.Join(err, reader.Close()); err != nil {
		return Object{}, err
	}
	return Object{Kind(o.Type()), content}, nil //nolint:gosec // go-git numbers the kinds as packs do
}

func (p *packs) open() {
	p.indexed = p.list()
	p.storage = filesystem.NewObjectStorageWithOptions(
		dotgit.New(osfs.New(p.dir)),
		gitcache.NewObjectLRU(deltaCacheBytes),
		filesystem.Options{KeepDescriptors: true},
	)
}

func (p *packs) list() map[string]bool {
	names, _ := filepath.Glob(filepath.Join(p.dir, "objects", "pack", "*.idx"))
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// changed reports whether git has added or removed a pack since open.
func (p *packs) changed() bool {
	now := p.list()
	if len(now) != len(p.indexed) {
		return true
	}
	for n := range now {
		if !p.indexed[n] {
			return true
		}
	}
	return false
}

func (p *packs) close() error {
	if p.storage == nil {
		return nil
	}
	err := p.storage.Close()
	p.storage = nil
	return err
}

// Close releases the open packs. The repository may be used again after it.
func (r *Repository) Close() error {
	r.packs.mu.Lock()
	defer r.packs.mu.Unlock()
	return r.packs.close()
}
