package webhook

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

const (
	// firstYear is before any registry existed: earlier times are mistakes.
	firstYear = 2000
	// milliseconds is the smallest number that counts milliseconds since 1970: as
	// seconds it would be in the year 5138.
	milliseconds = 1e11
)

// timestamp is a time in any form that senders use: RFC 3339, the same with a zone without
// a colon, or seconds or milliseconds since 1970 with or without a fraction.
// Anything else reads as zero.
type timestamp struct{ time.Time }

// UnmarshalJSON never fails, so that a time cannot spoil what stands beside it.
func (t *timestamp) UnmarshalJSON(text []byte) error {
	var quoted string
	if json.Unmarshal(text, &quoted) == nil {
		t.Time = parseTime(quoted)
	} else {
		t.Time = parseUnix(string(text))
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
