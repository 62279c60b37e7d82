package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
)

// decode reads the one JSON value of a body. A field whose value has another type
// stays zero; the error is a *MalformedError.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	var other *json.UnmarshalTypeError
	if err == nil || errors.As(err, &other) {
		return nil
	}
	return malformed(body, err)
}

// fill is decode for a part of a decoded body, which cannot fail any more. A
// missing part leaves into unchanged.
func fill(part json.RawMessage, into any) { _ = json.Unmarshal(part, into) }

func malformed(body []byte, err error) error {
	switch trimmed := bytes.TrimSpace(body); {
	case len(trimmed) == 0:
		return &MalformedError{Cause: "it is empty"}
	case bytes.HasPrefix(trimmed, []byte("payload=")):
		return &MalformedError{Cause: "it is a form: set the webhook's content type to application/json"}
	}
	return &MalformedError{Cause: shown(err)}
}

// items returns the elements of a JSON array, or the value itself when it is no
// array.
func items(body []byte) ([]json.RawMessage, error) {
	var many []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		err := decode(body, &many)
		return many, err
	}
	var one json.RawMessage
	if err := decode(body, &one); err != nil {
		return nil, err
	}
	return []json.RawMessage{one}, nil
}
