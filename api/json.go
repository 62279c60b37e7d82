package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// maxDepth bounds the nesting of a body; no request needs more than a few levels.
const maxDepth = 32

// strictJSON refuses what encoding/json lets pass or reads in its own way: more
// than one value, a field that stands twice in an object, text that is not UTF-8
// (RFC 8259, sections 4 and 8.1). The error is a short sentence.
func strictJSON(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return errors.New("it is empty")
	}
	if !utf8.Valid(body) {
		return errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := value(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("there is more after the first value, at byte %d", d.InputOffset())
	}
	return nil
}

// value reads one value, however deep.
func value(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	token, err := next(d)
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return object(d, depth)
	case json.Delim('['):
		for d.More() {
			if err := value(d, depth+1); err != nil {
				return err
			}
		}
		_, err := next(d)
		return err
	}
	return nil
}

// object reads the rest of an object.
func object(d *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		token, err := next(d)
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if seen[name] {
			return fmt.Errorf("the field %s stands twice", safetext.Quote(name, maxShown))
		}
		seen[name] = true
		if err := value(d, depth+1); err != nil {
			return err
		}
	}
	_, err := next(d)
	return err
}

// next reads a token; its errors are sentences.
func next(d *json.Decoder) (json.Token, error) {
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
