package manifest

import (
	"bytes"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// maxSimilar is how many names one file tells of.
const maxSimilar = 16

// Similar returns the images that a file names whose last path part is base, each
// once, in file order.
func Similar(name string, content []byte, base string) []image.Repository {
	f, reason := read(name, content, &wanted{any: true, versions: []string{""}, bases: map[string]struct{}{base: {}}})
	if reason != "" {
		return nil
	}
	var found []image.Repository
	seen := map[string]bool{}
	for _, s := range f.sites {
		if !seen[s.repo.Name()] && len(found) < maxSimilar {
			seen[s.repo.Name()] = true
			found = append(found, s.repo)
		}
	}
	return found
}

// nameKeys are the ends of keys that are followed by an image's name.
var nameKeys = [...][]byte{[]byte("mage:"), []byte("epository:")}

// longestName is the longest name in bytes that is looked at.
const longestName = 300

// NameEndings yields what may be the last path parts of the images that a file
// names, as far as a look at its lines can tell: it costs no parsing, and some may
// be missing or none.
func NameEndings(content []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, key := range nameKeys {
			for at := 0; ; {
				n := bytes.Index(content[at:], key)
				if n < 0 {
					break
				}
				at += n + len(key)
				if word := lastPart(content[at:]); word != "" && !yield(word) {
					return
				}
			}
		}
	}
}

// lastPart returns the last path part of the name at the beginning of a line.
func lastPart(line []byte) string {
	line = bytes.TrimLeft(line[:min(len(line), longestName)], " \t\"'")
	end := 0
	for end < len(line) && isTokenByte(line[end]) {
		end++
	}
	if end >= longestName-len("  \"") {
		return "" // there may be more of it
	}
	line = line[:end]
	line = line[bytes.LastIndexByte(line, '/')+1:]
	if n := bytes.IndexAny(line, ":@"); n >= 0 {
		line = line[:n]
	}
	return string(line)
}

// MayHold reports whether the indexed file may have the word as the last path part
// of a name: a false answer is certain.
func (w Words) MayHold(word string) bool { return w.has(word) }
