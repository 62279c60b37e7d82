package webhook

import (
	"encoding/json"
	"iter"
)

// envelope is one event around a payload: a CloudEvent 1.0 in any of the three
// modes of its HTTP binding, or an event in Event Grid's own schema, which has
// the same facts under other names.
type envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Time        timestamp       `json:"time"`
	Data        json.RawMessage `json:"data"`
	DataBase64  string          `json:"data_base64"`

	GridType string    `json:"eventType"`
	GridTime timestamp `json:"eventTime"`

	// whole is the event itself, for formats without an envelope.
	whole json.RawMessage
}

// envelopes reads the events of a body: the body is the data of one whose
// attributes are headers (binary mode), a single one (structured mode), or an
// array (batched mode, Event Grid).
func envelopes(r Request, content []byte) (iter.Seq[*envelope], error) {
	if kind := r.Header.Get("Ce-Type"); kind != "" {
		var data json.RawMessage
		if err := decode(content, &data); err != nil {
			return nil, err
		}
		one := envelope{
			SpecVersion: r.Header.Get("Ce-Specversion"),
			ID:          r.Header.Get("Ce-Id"),
			Type:        kind,
			Time:        timestamp{parseTime(r.Header.Get("Ce-Time"))},
			Data:        data,
		}
		return func(yield func(*envelope) bool) { yield(&one) }, nil
	}
	parts, err := items(content)
	if err != nil {
		return nil, err
	}
	return func(yield func(*envelope) bool) {
		for _, part := range parts {
			e := envelope{}
			fill(part, &e)
			e.whole = part
			e.unify()
			if !yield(&e) {
				return
			}
		}
	}, nil
}

// unify copies Event Grid's fields to those of CloudEvents, and decodes data that
// came as base64.
func (e *envelope) unify() {
	if e.Type == "" {
		e.Type = e.GridType
	}
	if e.Time.IsZero() {
		e.Time = e.GridTime
	}
	if e.Data == nil && e.DataBase64 != "" {
		if data, ok := unbase64(e.DataBase64); ok && json.Valid(data) {
			e.Data = data
		}
	}
}
