package manifest

import (
	"bytes"
	"slices"
	"strings"
)

// Words is a compact index of one file: the words that may be the last path part of an
// image's name. It makes the content of a file that names no wanted image dispensable
// in a cache.
//
// It is a Bloom filter of about 1.5 bytes for each distinct word: a false positive
// costs one look at the file, a false negative is impossible. The zero value is the index
// of an empty file. Words are immutable and safe for concurrent use.
type Words struct {
	bits []byte
	// all is set when the file may hide words, so that every image may match.
	all bool
	// pairs is set when a key may be that of a pair.
	pairs bool
	// releases is set when a key may list the files of values of a release.
	releases bool
}

const (
	// bitsPerWord and hashesPerWord make about one false hit in 150.
	bitsPerWord, hashesPerWord = 12, 4
	// maxFilter bounds the index of one file in bytes; beyond some 10,000 distinct
	// words it only grows less exact.
	maxFilter = 16 << 10
)

// IndexWords indexes one file.
func IndexWords(content []byte) Words {
	if isUTF16(content) || hidesWords(content) {
		return Words{all: true}
	}
	var hashes []uint64
	pairs, releases := false, false
	for start, end := nextWord(content, 0); start < end; start, end = nextWord(content, end) {
		if hasColon(content, end) {
			key := content[start:end]
			pairs = pairs || (start == 0 || content[start-1] != '/') && maySayPair(key)
			releases = releases || maySayRelease(key)
		}
		if isKey(content, end) {
			continue
		}
		hashes = appendWord(hashes, content[start:end])
		if inner := innerWord(content, start, end); inner < end {
			hashes = appendWord(hashes, content[inner:end])
		}
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	if len(hashes) == 0 {
		return Words{pairs: pairs, releases: releases}
	}
	w := Words{bits: make([]byte, min(len(hashes)*bitsPerWord/8+1, maxFilter)), pairs: pairs, releases: releases}
	for _, h := range hashes {
		for i := range uint64(hashesPerWord) {
			bit := w.bit(h, i)
			w.bits[bit/8] |= 1 << (bit % 8)
		}
	}
	return w
}

// isKey reports whether the word that ends at offset end is a mapping key: no
// name is followed by a colon and a blank.
func isKey(content []byte, end int) bool {
	return end < len(content) && content[end] == ':' && (end+1 == len(content) || bytes.IndexByte([]byte(" \t\r\n"), content[end+1]) >= 0)
}

// pairSuffixes are the endings of keys, in lower case, of which a pair has one: its
// name's or its version's. image is none, because it makes no pair alone.
var pairSuffixes = [...]string{"tag", "version", "digest", "repository", "repo"}

// maySayPair reports whether a key is one of a pair. apiVersion is none.
func maySayPair(key []byte) bool {
	switch key[len(key)-1] {
	case 'g', 'n', 'o', 't', 'y', 'G', 'N', 'O', 'T', 'Y':
	default:
		return false
	}
	if string(key) == "apiVersion" {
		return false
	}
	for _, suffix := range pairSuffixes {
		if from := len(key) - len(suffix); from >= 0 && strings.EqualFold(string(key[from:]), suffix) {
			return true
		}
	}
	return false
}

// maySayRelease reports whether a key lists the files of values of a release.
func maySayRelease(key []byte) bool {
	switch string(key) {
	case "valueFiles", "valuesFiles", "valuesFile", "additionalValuesFiles", "releases":
		return true
	}
	return false
}

// hasColon reports whether a colon follows the word that ends at offset end, so that
// it may be a key.
func hasColon(content []byte, end int) bool {
	if end == len(content) {
		return false
	}
	switch content[end] {
	case ':':
		return true
	case '"', '\'':
		end++
	case ' ', '\t':
	default:
		return false
	}
	for end < len(content) && (content[end] == ' ' || content[end] == '\t') {
		end++
	}
	return end < len(content) && content[end] == ':'
}

// MayHoldRelease reports whether the indexed file may tell of a release. A false
// answer is certain, unless a key is written with ? before it.
func (w Words) MayHoldRelease() bool { return w.all || w.releases }

// MayHoldPair reports whether the indexed file may have fields of a pair: a name
// that has no version, a version that has no name, or both. A false answer is
// certain, unless a key is written with ? before it.
func (w Words) MayHoldPair() bool { return w.all || w.pairs }

// appendWord adds the hash of a word that may be a path part.
func appendWord(hashes []uint64, word []byte) []uint64 {
	if !isEdgeByte(word[0]) || !isEdgeByte(word[len(word)-1]) {
		return hashes
	}
	h := uint64(hashOffset)
	for _, c := range word {
		if 'A' <= c && c <= 'Z' {
			return hashes
		}
		h = (h ^ uint64(c)) * hashPrime
	}
	return append(hashes, h)
}

// isEdgeByte reports whether a path part may begin and end with c.
func isEdgeByte(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// hashWord is FNV-1a with 64 bits: the same in every process, so that an index
// may be stored.
func hashWord(word string) uint64 {
	h := uint64(hashOffset)
	for i := range len(word) {
		h = (h ^ uint64(word[i])) * hashPrime
	}
	return h
}

const hashOffset, hashPrime = 14695981039346656037, 1099511628211

// bit returns the number of the i-th bit of a hash.
func (w Words) bit(h, i uint64) uint64 {
	low, high := h&0xFFFFFFFF, h>>32|1
	return (low + i*high) % (uint64(len(w.bits)) * 8)
}

func (w Words) has(word string) bool {
	if w.all {
		return true
	}
	if len(w.bits) == 0 {
		return false
	}
	h := hashWord(word)
	for i := range uint64(hashesPerWord) {
		if bit := w.bit(h, i); w.bits[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// Size returns about how many bytes of memory the index takes.
func (w Words) Size() int { return 32 + cap(w.bits) }

// MayMatch reports whether the indexed file may name one of the images: a false
// answer is certain, a true one is worth a look at the content.
func (e *Editor) MayMatch(w Words) bool {
	for base := range e.want.bases {
		if w.has(base) {
			return true
		}
	}
	return false
}
