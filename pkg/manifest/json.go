package manifest

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
)

// JSON is edited as YAML's flow style, with two differences: a version always has
// quotes, and the file must be JSON before and after an edit. JSON that the YAML parser
// refuses is left alone.

// IsJSON reports whether a path of a repository, with slashes, is a file of JSON:
// .json in any case.
func IsJSON(name string) bool { return strings.EqualFold(path.Ext(name), ".json") }

// isJSON reports whether a content is one value of JSON, with or without a byte
// order mark.
func isJSON(content []byte) bool { return json.Valid(bytes.TrimPrefix(content, byteOrderMark)) }

// checkJSON returns why a file with a name of JSON must not be edited, or "".
func (f *file) checkJSON() Reason {
	if f.src.json = true; !f.parsed || !isJSON(f.original) {
		return Unparsable
	}
	return ""
}
