package bare

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // packs are named by SHA-1
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Sink takes new objects: a Repository stores each at once, a Pack collects
// them.
type Sink interface {
	Put(kind Kind, content []byte) (Hash, error)
}

// Pack collects objects and stores them all at once in Close, which is how
// many thousand of them are written in a second. Until then nobody can read
// them. It is for one goroutine.
//
// See https://git-scm.com/docs/gitformat-pack for the format of both files.
type Pack struct {
	repo    *Repository
	file    *os.File
	out     *bufio.Writer
	deflate *zlib.Writer
	packed  bytes.Buffer
	offset  int64
	entries []packEntry
	seen    map[Hash]stat
}

type packEntry struct {
	hash   Hash
	offset int64
	crc    uint32
}

// packHeaderSize is the length of "PACK", the version and the object count.
const packHeaderSize = 12

// NewPack begins a pack. Close must be called.
func (r *Repository) NewPack() (*Pack, error) {
	file, err := os.CreateTemp(filepath.Join(r.dir, "objects", "pack"), "tmp_pack_")
	if err != nil {
		return nil, fmt.Errorf("new pack: %w", err)
	}
	p := &Pack{repo: r, file: file, out: bufio.NewWriterSize(file, 1<<20), seen: map[Hash]stat{}}
	if p.deflate, err = zlib.NewWriterLevel(&p.packed, zlib.BestSpeed); err != nil {
		return nil, fmt.Errorf("new pack: %w", err)
	}
	if _, err := p.out.Write(make([]byte, packHeaderSize)); err != nil {
		return nil, fmt.Errorf("new pack: %w", err)
	}
	p.offset = packHeaderSize
	return p, nil
}

// Put adds one object unless the pack has it already.
func (p *Pack) Put(kind Kind, content []byte) (Hash, error) {
	h := HashOf(kind, content)
	if _, ok := p.seen[h]; ok {
		return h, nil
	}
	p.packed.Reset()
	p.packed.Write(packEntryHeader(kind, len(content)))
	p.deflate.Reset(&p.packed)
	if _, err := p.deflate.Write(content); err != nil {
		return Hash{}, fmt.Errorf("pack %s: %w", h, err)
	}
	if err := p.deflate.Close(); err != nil {
		return Hash{}, fmt.Errorf("pack %s: %w", h, err)
	}
	if _, err := p.out.Write(p.packed.Bytes()); err != nil {
		return Hash{}, fmt.Errorf("pack %s: %w", h, err)
	}
	p.entries = append(p.entries, packEntry{h, p.offset, crc32.ChecksumIEEE(p.packed.Bytes())})
	p.offset += int64(p.packed.Len())
	p.seen[h] = stat{kind, int64(len(content))}
	return h, nil
}

// packEntryHeader is the kind in three bits and the size in groups of 4, 7,
// 7… bits, lowest first.
func packEntryHeader(kind Kind, size int) []byte {
	b := byte(kind)<<4 | byte(size&0x0f)
	size >>= 4
	var out []byte
	for size > 0 {
		out = append(out, b|0x80)
		b = byte(size & 0x7f)
		size >>= 7
	}
	return append(out, b)
}

// Close stores everything that was put and makes it readable.
func (p *Pack) Close() error {
	name, err := p.finish()
	if err != nil {
		return errors.Join(fmt.Errorf("close pack: %w", err), p.file.Close(), os.Remove(p.file.Name()))
	}
	if len(p.entries) == 0 {
		return os.Remove(p.file.Name())
	}
	if err := p.publish(name); err != nil {
		return fmt.Errorf("close pack: %w", err)
	}
	for h, s := range p.seen {
		p.repo.stats.Store(h, s)
	}
	return nil
}

// publish gives both files their names. git looks for the index, so the pack itself comes
// first; go-git looks for the pack, so it has to wait for both.
func (p *Pack) publish(name Hash) error {
	index := p.index(name)
	base := filepath.Join(p.repo.dir, "objects", "pack", "pack-"+name.String())
	p.repo.packs.mu.Lock()
	defer p.repo.packs.mu.Unlock()
	if err := os.Rename(p.file.Name(), base+".pack"); err != nil {
		return err
	}
	return writeAtomically(base+".idx", index)
}

// finish writes the header, now that the count is known, and the checksum,
// which is the pack's name.
func (p *Pack) finish() (Hash, error) {
	if err := p.out.Flush(); err != nil {
		return Hash{}, err
	}
	header := binary.BigEndian.AppendUint32([]byte("PACK"), 2)
	header = binary.BigEndian.AppendUint32(header, uint32(len(p.entries))) //nolint:gosec // far below 2^32 objects
	if _, err := p.file.WriteAt(header, 0); err != nil {
		return Hash{}, err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return Hash{}, err
	}
	d := sha1.New() //nolint:gosec // packs are named by SHA-1
	if _, err := io.Copy(d, p.file); err != nil {
		return Hash{}, err
	}
	name := Hash(d.Sum(nil))
	if _, err := p.file.Write(name[:]); err != nil {
		return Hash{}, err
	}
	return name, errors.Join(p.file.Chmod(0o444), p.file.Close())
}

// index returns the version 2 index: fan-out, names, checksums, offsets.
func (p *Pack) index(pack Hash) []byte {
	slices.SortFunc(p.entries, func(a, b packEntry) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	be := binary.BigEndian
	out := be.AppendUint32([]byte("\xfftOc"), 2)
	next := 0
	for first := range 256 {
		for next < len(p.entries) && int(p.entries[next].hash[0]) <= first {
			next++
		}
		out = be.AppendUint32(out, uint32(next))
	}
	for _, e := range p.entries {
		out = append(out, e.hash[:]...)
	}
	for _, e := range p.entries {
		out = be.AppendUint32(out, e.crc)
	}
	var large []byte // offsets from 2 GiB on stand in a table of their own
	for _, e := range p.entries {
		if e.offset < 1<<31 {
			out = be.AppendUint32(out, uint32(e.offset)) //nolint:gosec // checked
			continue
		}
		out = be.AppendUint32(out, 1<<31|uint32(len(large)/8)) //nolint:gosec // an index into few entries
		large = be.AppendUint64(large, uint64(e.offset))
	}
	out = append(out, large...)
	out = append(out, pack[:]...)
	sum := sha1.Sum(out) //nolint:gosec // the format asks for it
	return append(out, sum[:]...)
}
