package manifest

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the largest file in bytes that is read. Nearly all generated
// manifests of public repositories stay below.
const MaxSize = 5 << 20

// maxSeparators is how many line breaks, commas and the like a file may have. Each
// may begin a node of the tree, which takes some 200 bytes of memory, and a file
// that changes is parsed twice: without this limit a file of nothing but
// separators would take several hundred times its size. The densest real files,
// which are lists of short words, have 400,000 in MaxSize bytes.
const maxSeparators = 450_000

// separators counts what may begin a node. A comment costs about as much as two
// nodes, because the parser keeps it three times on its way to the tree. The two
// braces of a template action are one.
func separators(content []byte) (n int) {
	for _, s := range []string{"\n", ",", ": ", "- ", "? ", "[", "{"} {
		n += bytes.Count(content, []byte(s))
	}
	n += 2 * (bytes.Count(content, []byte(" #")) + bytes.Count(content, []byte("\n#")))
	return n - bytes.Count(content, []byte("{{"))
}

// IsManifest reports whether a path of a repository, with slashes, is a file
// that may hold image references: .yaml and .yml in any case, and a file called
// Kustomization. Hidden folders are no exception.
func IsManifest(name string) bool {
	base := path.Base(name)
	switch strings.ToLower(path.Ext(base)) {
	case ".yaml", ".yml":
		return true
	}
	return base == "Kustomization"
}

// file is one file with the sites that a walk found in it.
type file struct {
	original []byte
	src      *source
	// docs are the parsed documents; none when no parser takes the file.
	docs   []*yaml.Node
	parsed bool
	sites  []*site
}

// read finds the wanted images of a file. A reason that is not empty skips the whole
// file, which then has no sites.
func read(name string, content []byte, want *wanted) (*file, Reason) {
	if len(content) > MaxSize || separators(content) > maxSeparators {
		return nil, TooLarge
	}
	f := &file{original: content}
	text, isUTF8 := readable(content)
	f.src = newSource(text)
	var err error
	if f.docs, err = parse(text); err == nil {
		f.parsed = true
		f.sites, err = findInDocuments(name, f.src, f.docs, want)
	} else {
		f.sites, err = findInLines(name, f.src, want)
	}
	switch {
	case errors.Is(err, errTooMany):
		return nil, TooLarge
	case err != nil:
		return nil, Unparsable
	}
	if IsJSON(name) {
		if reason := f.checkJSON(); reason != "" {
			return nil, reason
		}
	}
	f.sites = direct(f.src, f.sites)
	if !isUTF8 {
		for _, s := range f.sites {
			s.reason = NotUTF8
		}
	}
	return f, ""
}

// readable returns a file as UTF-8. A file in another encoding is converted only to
// find its names: lines are kept, byte offsets are not.
func readable(content []byte) (text []byte, isUTF8 bool) {
	if units, ok := utf16Units(content); ok {
		return []byte(string(utf16.Decode(units))), false
	}
	if utf8.Valid(content) {
		return content, true
	}
	return bytes.ToValidUTF8(content, []byte("?")), false
}

// utf16Units returns the code units of a file that begins with a byte order
// mark of UTF-16, without the mark.
func utf16Units(content []byte) ([]uint16, bool) {
	little := bytes.HasPrefix(content, []byte{0xFF, 0xFE})
	if !little && !bytes.HasPrefix(content, []byte{0xFE, 0xFF}) {
		return nil, false
	}
	units := make([]uint16, 0, len(content)/2)
	for i := 2; i+1 < len(content); i += 2 {
		unit := uint16(content[i])<<8 | uint16(content[i+1])
		if little {
			unit = unit<<8 | unit>>8
		}
		units = append(units, unit)
	}
	return units, true
}

// verify reads an edited file back. A file that the parser refused must still be
// refused: only whole lines of it were edited.
func (f *file) verify(edited []byte, patches []patch, texts []*innerText) bool {
	after, err := parse(edited)
	if !f.parsed {
		return err != nil
	}
	values := patchedValues(patches)
	for _, t := range slices.Compact(texts) {
		if !t.holds(values[t.node]) {
			return false
		}
	}
	if f.src.json && !isJSON(edited) {
		return false
	}
	return err == nil && sameDocuments(f.docs, after, values)
}
