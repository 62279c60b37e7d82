package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// decode reads the one JSON value of a body. Values of a type that into does
// not have are left zero; the error is a *MalformedError.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	var other *json.UnmarshalTypeError
	if err == nil || errors.As(err, &other) {
		return nil
	}
	return malformed(body, err)
}

func malformed(body []byte, err error) error {
	switch trimmed := bytes.TrimSpace(body); {
	case len(trimmed) == 0:
		return &MalformedError{Cause: "it is empty"}
	case bytes.HasPrefix(trimmed, []byte("payload=")):
		return &MalformedError{Cause: "it is a form: set the webhook's content type to application/json"}
	}
	return &MalformedError{Cause: strings.Map(printable, shorten(err.Error()))}
}

// items returns the elements of a JSON array, or the value itself when it is
// none, in the form that decode takes.
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

const (
	// firstYear is when no registry was there yet: earlier times are mistakes.
	firstYear = 2000
	// milliseconds is where a number is no longer seconds since 1970, which would
	// be in the year 5138, but thousandths of them.
	milliseconds = 1e11
)

// moment is a time as senders write it: RFC 3339, the same with a zone without
// a colon, or seconds or milliseconds since 1970 with or without a fraction.
// Anything else reads as zero.
type moment struct{ time.Time }

// UnmarshalJSON never fails, so that a time cannot spoil what stands beside it.
func (m *moment) UnmarshalJSON(text []byte) error {
	var quoted string
	if json.Unmarshal(text, &quoted) == nil {
		m.Time = parseTime(quoted)
	} else {
		m.Time = parseUnix(string(text))
	}
	return nil
}

func parseTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return parseUnix(text)
}

func parseUnix(text string) time.Time {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0) {
		return time.Time{}
	}
	if seconds >= milliseconds {
		seconds /= 1000
	}
	if seconds >= milliseconds {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000)))
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// maxShown is how many bytes of a payload's text a reason repeats.
const maxShown = 48

// quote returns the beginning of a payload's text, escaped and quoted.
func quote(s string) string { return strconv.QuoteToASCII(shorten(s)) }

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return s[:maxShown]
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
