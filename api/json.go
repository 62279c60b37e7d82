package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// maxDepth bounds the nesting of a body; no request needs more than a few levels.
	maxDepth = 32
	// maxElements bounds how many elements of an array are kept when the schema has no
	// bound.
	maxElements = 100
)

// strictJSON reads a body as one value of a schema. It refuses what encoding/json
// accepts: more than one value, an object with a field twice, text that is not UTF-8
// (RFC 8259, sections 4 and 8.1). The error is a short sentence.
//
// The value holds only what the check against the schema needs, so that the schema
// bounds its size, not the body: of unknown fields the names of the first
// maxFieldErrors and no values, and of an array one element more than it may have.
// leftOut counts the other unknown fields.
func strictJSON(body []byte, schema *openapi3.Schema) (value any, leftOut int, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, 0, errors.New("it is empty")
	}
	if !utf8.Valid(body) {
		return nil, 0, errors.New("it is not UTF-8")
	}
	d := &strictDecoder{Decoder: json.NewDecoder(bytes.NewReader(body))}
	d.UseNumber()
	if value, err = d.value(schema, 0); err != nil {
		return nil, 0, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, 0, fmt.Errorf("there is more after the first value, at byte %d", d.InputOffset())
	}
	return value, d.leftOut, nil
}

type strictDecoder struct {
	*json.Decoder
	unknown, leftOut int // fields that the schema does not have
}

// value reads one value; with a nil schema it discards it.
func (d *strictDecoder) value(schema *openapi3.Schema, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	token, err := d.next()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return d.object(schema, depth)
		}
		return d.array(schema, depth)
	case json.Number:
		number, err := token.Float64()
		if err != nil {
			return nil, fmt.Errorf("the number %s is too large", brief(token.String()))
		}
		return number, nil
	default:
		return token, nil
	}
}

// array reads the rest of an array.
func (d *strictDecoder) array(schema *openapi3.Schema, depth int) (any, error) {
	elements := []any{}
	var of *openapi3.Schema
	most := maxElements
	if schema != nil && schema.Items != nil {
		of = schema.Items.Value
		if schema.MaxItems != nil {
			most = int(*schema.MaxItems) //nolint:gosec // a number of openapi.yaml
		}
	}
	for d.More() {
		if len(elements) > most {
			of = nil
		}
		element, err := d.value(of, depth+1)
		if err != nil {
			return nil, err
		}
		if of != nil {
			elements = append(elements, element)
		}
	}
	_, err := d.next()
	return elements, err
}

// object reads the rest of an object.
func (d *strictDecoder) object(schema *openapi3.Schema, depth int) (any, error) {
	fields := map[string]any{}
	for d.More() {
		token, err := d.next()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("the field %s stands twice", safetext.Quote(name, maxShown))
		}
		var of *openapi3.Schema
		keep := schema != nil
		if known := property(schema, name); known != nil {
			of = known
		} else if keep {
			if d.unknown++; d.unknown > maxFieldErrors {
				keep = false
				d.leftOut++
			}
		}
		value, err := d.value(of, depth+1)
		if err != nil {
			return nil, err
		}
		if keep {
			fields[name] = value
		}
	}
	_, err := d.next()
	return fields, err
}

// property returns the schema of an object's field, or nil for an unknown field.
func property(schema *openapi3.Schema, name string) *openapi3.Schema {
	if schema == nil || schema.Properties[name] == nil {
		return nil
	}
	return schema.Properties[name].Value
}

// next reads a token; its errors are sentences.
func (d *strictDecoder) next() (json.Token, error) {
	token, err := d.Token()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("unexpected end at byte %d", d.InputOffset())
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("%s at byte %d", brief(syntax.Error()), syntax.Offset)
	default:
		return nil, errors.New(brief(err.Error()))
	}
}
