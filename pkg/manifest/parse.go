package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse reads all documents of a file. Aliases are not expanded.
func parse(content []byte) ([]*yaml.Node, error) {
	docs, err := decode(content)
	if err == nil {
		return docs, nil
	}
	masked, ok := maskSlashes(content)
	if !ok {
		return nil, err
	}
	if docs, err = decode(masked); err != nil {
		return nil, err
	}
	for _, doc := range docs {
		unmaskSlashes(doc)
	}
	return docs, nil
}

func decode(content []byte) (docs []*yaml.Node, err error) {
	// The parser is a translation of a C library, and panics on some malformed files,
	// which must not stop the others.
	defer func() {
		if r := recover(); r != nil {
			docs, err = nil, fmt.Errorf("parse YAML: %v", r)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		doc := new(yaml.Node)
		switch err := decoder.Decode(doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, fmt.Errorf("parse YAML: %w", err)
		}
		docs = append(docs, doc)
	}
}

// The parser knows YAML 1.1 alone, where \/ is no escape; YAML 1.2 took it over
// from JSON, and some JSON writers put it before each slash. A file that it
// refuses is read again with \P in its place, an escape of equal length that
// nobody writes, and the values are mended afterwards. All places stay right.
const (
	slashEscape = `\/`
	maskEscape  = `\P`
	maskValue   = "\u2029"
)

// maskSlashes returns content with \P for \/, or false when there is none or the
// mask could be confused with the content.
func maskSlashes(content []byte) ([]byte, bool) {
	if !bytes.Contains(content, []byte(slashEscape)) || bytes.Contains(content, []byte(maskEscape)) || bytes.Contains(content, []byte(maskValue)) {
		return nil, false
	}
	masked := bytes.Clone(content)
	for i := 0; i+1 < len(masked); i++ {
		if masked[i] == '\\' {
			if masked[i+1] == '/' {
				masked[i+1] = maskEscape[1]
			}
			i++
		}
	}
	return masked, true
}

func unmaskSlashes(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if n.Style&yaml.DoubleQuotedStyle != 0 {
			n.Value = strings.ReplaceAll(n.Value, maskValue, "/")
		} else {
			n.Value = strings.ReplaceAll(n.Value, maskEscape, slashEscape)
		}
	}
	for _, child := range n.Content {
		unmaskSlashes(child)
	}
}
