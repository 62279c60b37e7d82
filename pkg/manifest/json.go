package manifest

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
)

// JSON is YAML's flow style but for two things: a version is never a string without
// quotes, and some of what the parser takes is no JSON. So the file is checked to be
// JSON before and after an edit, and what the parser does not take, though it is
// JSON, is left alone.

// IsJSON reports whether a path of a repository, with slashes, is a file of JSON:
// .json in any case.
func IsJSON(name string) bool { return strings.EqualFold(path.Ext(name), ".json") }

// isJSON reports whether a content is one value of JSON, with or without a byte
// order mark.
func isJSON(content []byte) bool { return json.Valid(bytes.TrimPrefix(content, byteOrderMark)) }

// checkJSON says of a file that its name calls JSON whether it may be edited.
func (f *file) checkJSON() Reason {
	if f.src.json = true; !f.parsed || !isJSON(f.original) {
		return Unparsable
	}
	return ""
}
