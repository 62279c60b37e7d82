package safetext

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// ellipsis marks a cut.
	ellipsis = "…"
	// hidden replaces a rune that is neither printable nor white space.
	hidden = utf8.RuneError
)

// Line returns text as one line of at most most bytes, and an ellipsis where it
// was longer. Runs of white space and control characters become one space; other
// runes that are not printable, and bytes that are not UTF-8, become U+FFFD.
func Line(text string, most int) string {
	var b strings.Builder
	gap := false
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			gap = b.Len() > 0
			continue
		}
		if !unicode.IsPrint(r) {
			r = hidden
		}
		size := utf8.RuneLen(r)
		if gap {
			size++
		}
		if b.Len()+size > most {
			return b.String() + ellipsis
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Quote returns the first most bytes of text as a quoted, escaped piece of ASCII,
// as Go writes it, and an ellipsis behind it where the text is longer. Less is
// shown rather than a part of a rune.
func Quote(text string, most int) string {
	if len(text) <= most {
		return strconv.QuoteToASCII(text)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(text[:cut]) + ellipsis
}
