package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// fields is a request's body, checked field by field with the texts that
// GitHub's own schema check has.
type fields map[string]any

func parseFields(body []byte) (fields, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	f, ok := v.(map[string]any)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Body should be a JSON object")
	}
	return f, nil
}

func schemaError(format string, args ...any) *refusal {
	return invalid("Invalid request.\n\n"+format, args...)
}

// text returns a required string.
func (f fields) text(name string) (string, error) {
	v, ok := f[name]
	if !ok {
		return "", schemaError("%q wasn't supplied.", name)
	}
	s, ok := v.(string)
	if !ok {
		return "", schemaError("For 'properties/%s', %s is not a string.", name, inspect(v))
	}
	return s, nil
}

// textOr returns a string that may be left out.
func (f fields) textOr(name, otherwise string) (string, error) {
	if _, ok := f[name]; !ok {
		return otherwise, nil
	}
	return f.text(name)
}

func (f fields) flag(name string) (bool, error) {
	v, ok := f[name]
	if !ok {
		return false, nil
	}
	b, ok := v.(bool)
	if !ok {
		return false, schemaError("For 'properties/%s', %s is not a boolean.", name, inspect(v))
	}
	return b, nil
}

func (f fields) list(name string) ([]any, error) {
	v, ok := f[name]
	if !ok {
		return nil, schemaError("%q wasn't supplied.", name)
	}
	l, ok := v.([]any)
	if !ok {
		return nil, schemaError("For 'properties/%s', %s is not an array.", name, inspect(v))
	}
	return l, nil
}

// object returns an object that may be left out; ok reports whether it is there.
func (f fields) object(name string) (o fields, ok bool, err error) {
	v, ok := f[name]
	if !ok {
		return nil, false, nil
	}
	o, isObject := v.(map[string]any)
	if !isObject {
		return nil, false, schemaError("For 'properties/%s', %s is not an object.", name, inspect(v))
	}
	return o, true, nil
}

// inspect shows a JSON value the way Ruby does, which GitHub's texts quote.
func inspect(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return strconv.Quote(v)
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case []any:
		return "an array"
	default:
		return "an object"
	}
}

// texts returns a list of strings that may be left out.
func (f fields) texts(name string) ([]string, error) {
	if _, ok := f[name]; !ok {
		return nil, nil
	}
	list, err := f.list(name)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, schemaError("For 'items', %s is not a string.", inspect(v))
		}
		texts[i] = s
	}
	return texts, nil
}

// parseFieldsOrList takes a bare list for the object that has only it.
func parseFieldsOrList(body []byte, name string) (fields, error) {
	var list []any
	if json.Unmarshal(body, &list) == nil {
		return fields{name: list}, nil
	}
	return parseFields(body)
}
