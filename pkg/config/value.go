package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// value is a node of the document and the key that leads to it.
type value struct {
	*reader
	node *yaml.Node
	key  string
}

// field is one key that an object may have.
type field struct {
	name     string
	required bool
	// unset is what to do about a key without a value; "" for what fits most keys.
	unset string
	read  func(value)
}

// refuse reports what is wrong with the value.
func (v value) refuse(format string, args ...any) {
	v.add(&Error{Line: v.node.Line, Key: v.key, Detail: fmt.Sprintf(format, args...)})
}

// refuseFor reports an error of the value that another function found.
func (v value) refuseFor(err error) {
	v.add(&Error{Line: v.node.Line, Key: v.key, Detail: brief(err.Error()), Err: err})
}

// inside returns the value at a key of this one.
func (v value) inside(key string, node *yaml.Node) value {
	if v.key != "" && !strings.HasPrefix(key, "[") {
		key = "." + key
	}
	return value{reader: v.reader, node: node, key: v.key + key}
}

// hook reports the error of a hook, at the key that the error names.
func (v value) hook(err error) {
	if err == nil {
		return
	}
	var at *Error
	if !errors.As(err, &at) || at.Key == "" {
		v.refuseFor(err)
		return
	}
	place := v.inside(at.Key, v.node)
	found := v.node.Line
	for key := place.key; key != v.key; key = key[:strings.LastIndexAny(key, ".[")] {
		if l, ok := v.lines[key]; ok {
			found = l
			break
		}
	}
	v.add(&Error{Line: found, Key: place.key, Detail: brief(at.Detail), Err: err})
}

// plainKey is a key that is shown as it is.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// object reads a mapping with these fields. It returns those that are present, in the
// order of the file, and reports whether there was no error.
func (v value) object(fields ...field) (given []value, ok bool) {
	before := v.found
	if !v.is(yaml.MappingNode, "keys and values") {
		return nil, false
	}
	if len(v.node.Content) == 0 {
		v.refuse("nothing is in it: leave it out or fill it")
		return nil, false
	}
	seen := make(map[string]int, len(fields))
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		if at, ok := v.member(key, node, fields, seen); ok {
			given = append(given, at)
		}
	}
	for _, f := range fields {
		if _, ok := seen[f.name]; !ok && f.required {
			v.add(&Error{Line: v.node.Line, Key: v.inside(f.name, v.node).key, Detail: "is missing"})
		}
	}
	return given, v.found == before
}

// member reads one key of a mapping and what belongs to it.
func (v value) member(key, node *yaml.Node, fields []field, seen map[string]int) (value, bool) {
	if key.Kind != yaml.ScalarNode || key.Anchor != "" {
		v.add(&Error{Line: key.Line, Key: v.key, Detail: "a key here is not plain text"})
		return value{}, false
	}
	shown := key.Value
	if !plainKey.MatchString(shown) {
		shown = quote(shown)
	}
	at := v.inside(shown, node)
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
	if i < 0 {
		at.add(&Error{Line: key.Line, Key: at.key, Detail: "unknown key; known here: " + names(fields)})
		return at, false
	}
	if first, ok := seen[key.Value]; ok {
		at.add(&Error{Line: key.Line, Key: at.key, Detail: fmt.Sprintf("is given twice: first in line %d", first)})
		return at, false
	}
	seen[key.Value] = key.Line
	v.lines[at.key] = node.Line
	if isNull(node) {
		at.refuse("has no value: %s", cmp.Or(fields[i].unset, "leave it out or give it one"))
		return at, true
	}
	fields[i].read(at)
	return at, true
}

func names(fields []field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return strings.Join(all, ", ")
}

// is reports whether the node is of the kind, and refuses it otherwise. The error names
// the node's kind, and not its text, which may be a secret.
func (v value) is(kind yaml.Kind, wanted string) bool {
	switch {
	case v.node.Kind == yaml.AliasNode || v.node.Anchor != "":
		v.refuse("anchors and aliases are not taken: write the value out, in quotes if it begins with & or *")
		return false
	case v.node.Kind == kind:
		return true
	}
	v.refuse("must be %s, not %s", wanted, kindName(v.node))
	return false
}

func kindName(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	switch node.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	case "!!null":
		return "nothing"
	}
	return "a value with a tag"
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// text returns the value's text, which is never empty.
func (v value) text() (string, bool) {
	if !v.is(yaml.ScalarNode, "text") {
		return "", false
	}
	if v.node.ShortTag() != "!!str" {
		v.refuse("must be text, not %s: put it into quotes", kindName(v.node))
		return "", false
	}
	if strings.TrimSpace(v.node.Value) == "" {
		v.refuse("is empty: leave it out or fill it")
		return "", false
	}
	return v.node.Value, true
}

// object reads a mapping with these fields.
func object(fields ...field) func(value) {
	return func(v value) { v.object(fields...) }
}

// list reads a list of which element reads each one. The list keeps its length
// even if an element is refused.
func list[T any](into *[]T, element func(*T) func(value)) func(value) {
	return func(v value) {
		if !v.is(yaml.SequenceNode, "a list") {
			return
		}
		if len(v.node.Content) == 0 {
			v.refuse("the list is empty: leave it out or fill it")
			return
		}
		*into = make([]T, len(v.node.Content))
		for i, node := range v.node.Content {
			at := v.inside("["+strconv.Itoa(i)+"]", node)
			v.lines[at.key] = node.Line
			element(&(*into)[i])(at)
		}
	}
}

// parsed reads text that parse takes and makes a T of.
func parsed[T any](into *T, parse func(string) (T, error)) func(value) {
	return func(v value) {
		text, ok := v.text()
		if !ok {
			return
		}
		got, err := parse(text)
		if err != nil {
			v.refuseFor(err)
			return
		}
		*into = got
	}
}

// each is parsed for the elements of a list.
func each[T any](parse func(string) (T, error)) func(*T) func(value) {
	return func(into *T) func(value) { return parsed(into, parse) }
}

// boolean reads true or false.
func boolean(into *bool) func(value) {
	return func(v value) {
		if !v.is(yaml.ScalarNode, "true or false") {
			return
		}
		if v.node.ShortTag() != "!!bool" {
			v.refuse("must be true or false, not %s", kindName(v.node))
			return
		}
		*into = strings.EqualFold(v.node.Value, "true")
	}
}

// decimal is a whole number that YAML 1.1 and 1.2 read alike.
var decimal = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,17})$`)

// number reads a whole number within bounds.
func number(into *int, lowest, highest int) func(value) {
	return func(v value) {
		if !v.is(yaml.ScalarNode, "a number") {
			return
		}
		n, err := strconv.Atoi(v.node.Value)
		if err != nil || v.node.ShortTag() != "!!int" || !decimal.MatchString(v.node.Value) || n < lowest || n > highest {
			v.refuse("must be a whole number from %d to %d", lowest, highest)
			return
		}
		*into = n
	}
}

// duration reads a duration such as 720h within bounds.
func duration(into *time.Duration, shortest, longest time.Duration) func(value) {
	return func(v value) {
		if !v.is(yaml.ScalarNode, "a duration") {
			return
		}
		d, err := time.ParseDuration(v.node.Value)
		if err != nil || d < shortest || d > longest {
			v.refuse("must be a duration from %s to %s, such as 720h", hours(shortest), hours(longest))
			return
		}
		*into = d
	}
}

// hours prints whole hours as such.
func hours(d time.Duration) string { return strings.TrimSuffix(d.String(), "0m0s") }

// size reads a number of bytes such as 1MiB within bounds.
func size(into *int64, least, most int64) func(value) {
	return func(v value) {
		if !v.is(yaml.ScalarNode, "a size") {
			return
		}
		n, err := humanize.ParseBytes(v.node.Value)
		if err != nil || n < uint64(least) || n > uint64(most) { //nolint:gosec // bounds are not negative
			v.refuse("must be a size from %s to %s, such as 1MiB", sizeText(least), sizeText(most))
			return
		}
		*into = int64(n) //nolint:gosec // within bounds
	}
}

// sizeText prints a bound.
func sizeText(n int64) string {
	return strings.ReplaceAll(humanize.IBytes(uint64(n)), ".0 ", " ") //nolint:gosec // bounds are not negative
}

// maxShown is how many bytes of a text of the file an error repeats.
const maxShown = 80

// quote returns the beginning of a text, escaped.
func quote(text string) string { return safetext.Quote(text, maxShown) }

// maxDetail is how many bytes of another package's error are shown.
const maxDetail = 300

// brief returns another package's error as one line.
func brief(text string) string { return safetext.Line(text, maxDetail) }
