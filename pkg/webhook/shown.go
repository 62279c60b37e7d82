package webhook

import (
	"strconv"
	"strings"
)

// maxShown is how many bytes of a payload's text a reason repeats.
const maxShown = 80

// quote returns the beginning of a payload's text, escaped and quoted.
func quote(s string) string { return strconv.QuoteToASCII(shorten(s)) }

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return s[:maxShown]
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// maxCause is how much of a verifier's error is repeated, in bytes.
const maxCause = 200

func shown(err error) string {
	text := err.Error()
	if len(text) > maxCause {
		text = text[:maxCause]
	}
	return strings.Map(printable, text)
}
