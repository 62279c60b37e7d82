package manifest

import (
	"bytes"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Words is a compact index of one file: the words that may be the last path part of an
// image's name. It makes the content of a file that names no wanted image dispensable
// in a cache.
//
// It is a Bloom filter of about 1.5 bytes for each distinct word: a false positive
// costs one look at the file, a false negative is impossible. The zero value is the index
// of an empty file. Words are immutable and safe for concurrent use.
type Words struct {
	// filter is a byte of traits and then the bits. It is empty for a file without either.
	filter string
}

// traits are what an index tells beside the words.
type traits byte

const (
	// hidden is set when the file may hide words, so that every image may match.
	hidden traits = 1 << iota
	// pairKeys is set when a key may be that of a pair.
	pairKeys
	// releaseKeys is set when a key may list the files of values of a release.
	releaseKeys
)

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
		return Words{string([]byte{byte(hidden)})}
	}
	words := wordSets.Get().(*wordSet)
	defer words.release()
	var found traits
	for at := 0; ; {
		start, end, class := nextClassed(content, at)
		if start == end {
			break
		}
		at = end
		if hasColon(content, end) {
			found |= traitsOf(content, start, end)
			if isKey(content, end) {
				continue
			}
		}
		if class&classUpper == 0 {
			words.add(content[start:end])
		}
		if inner := innerWord(content, start, end); inner < end && (class&classUpper == 0 || !hasUpper(content[inner:end])) {
			words.add(content[inner:end])
		}
	}
	return newWords(found, words.hashes)
}

// newWords packs an index.
func newWords(found traits, hashes []uint64) Words {
	if found == 0 && len(hashes) == 0 {
		return Words{}
	}
	size := 0
	if len(hashes) > 0 {
		size = min(len(hashes)*bitsPerWord/8+1, maxFilter)
	}
	packed := make([]byte, 1+size)
	packed[0] = byte(found)
	bits := packed[1:]
	for _, h := range hashes {
		for i := range uint64(hashesPerWord) {
			bit := bitOf(h, i, len(bits))
			bits[bit/8] |= 1 << (bit % 8)
		}
	}
	return Words{string(packed)}
}

// traitsOf returns what the key between start and end tells.
func traitsOf(content []byte, start, end int) (found traits) {
	key := content[start:end]
	if (start == 0 || content[start-1] != '/') && maySayPair(key) {
		found |= pairKeys
	}
	if maySayRelease(key) {
		found |= releaseKeys
	}
	return found
}

// wordSet collects the hashes of distinct words.
type wordSet struct {
	slots  []uint64 // a hash table; 0 is an empty slot
	hashes []uint64
}

// smallWordSet and largeWordSet are how many slots a new set has, and one that is used
// again at most.
const smallWordSet, largeWordSet = 1 << 10, 1 << 15

var wordSets = sync.Pool{New: func() any { return &wordSet{slots: make([]uint64, smallWordSet)} }}

// release hands the set back for another file.
func (s *wordSet) release() {
	if len(s.slots) > largeWordSet {
		return
	}
	clear(s.slots)
	s.hashes = s.hashes[:0]
	wordSets.Put(s)
}

// add adds a word without upper-case letters, if it may be a path part.
func (s *wordSet) add(word []byte) {
	if !isEdgeByte(word[0]) || !isEdgeByte(word[len(word)-1]) {
		return
	}
	h := max(xxhash.Sum64(word), 1)
	if !s.insert(h) {
		return
	}
	if s.hashes = append(s.hashes, h); 2*len(s.hashes) <= len(s.slots) {
		return
	}
	s.slots = make([]uint64, 4*len(s.slots))
	for _, h := range s.hashes {
		s.insert(h)
	}
}

// insert reports whether the hash is a new one.
func (s *wordSet) insert(h uint64) bool {
	mask := uint64(len(s.slots) - 1) //nolint:gosec // there is a slot
	for at := h & mask; ; at = (at + 1) & mask {
		switch s.slots[at] {
		case 0:
			s.slots[at] = h
			return true
		case h:
			return false
		}
	}
}

// The classes of bytes of which words are made.
const className, classUpper byte = 1, 2

var byteClasses = func() (classes [256]byte) {
	for c := range classes {
		if nameBytes[c] {
			classes[c] = className
		}
		if 'A' <= c && c <= 'Z' {
			classes[c] |= classUpper
		}
	}
	return classes
}()

// nextClassed is nextWord, with the classes of the word's bytes.
func nextClassed(content []byte, at int) (start, end int, class byte) {
	for at < len(content) && byteClasses[content[at]] == 0 {
		at++
	}
	start = at
	for at < len(content) {
		c := byteClasses[content[at]]
		if c == 0 {
			break
		}
		class |= c
		at++
	}
	return start, at, class
}

func hasUpper(word []byte) bool {
	for _, c := range word {
		if 'A' <= c && c <= 'Z' {
			return true
		}
	}
	return false
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
func (w Words) MayHoldRelease() bool { return w.traits()&(hidden|releaseKeys) != 0 }

// MayHoldPair reports whether the indexed file may have fields of a pair: a name
// that has no version, a version that has no name, or both. A false answer is
// certain, unless a key is written with ? before it.
func (w Words) MayHoldPair() bool { return w.traits()&(hidden|pairKeys) != 0 }

func (w Words) traits() traits {
	if w.filter == "" {
		return 0
	}
	return traits(w.filter[0])
}

// isEdgeByte reports whether a path part may begin and end with c.
func isEdgeByte(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// hashWord is the same in every process, so that an index may be stored.
func hashWord(word string) uint64 { return max(xxhash.Sum64String(word), 1) }

// bitOf returns the number of the i-th bit of a hash in so many bytes.
func bitOf(h, i uint64, bytes int) uint64 {
	low, high := h&0xFFFFFFFF, h>>32|1
	return (low + i*high) % (uint64(bytes) * 8) //nolint:gosec // a length
}

func (w Words) has(word string) bool {
	if w.traits()&hidden != 0 {
		return true
	}
	if len(w.filter) <= 1 {
		return false
	}
	bits, h := w.filter[1:], hashWord(word)
	for i := range uint64(hashesPerWord) {
		if bit := bitOf(h, i, len(bits)); bits[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// Size returns about how many bytes of memory the index takes.
func (w Words) Size() int { return 16 + len(w.filter) }

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
