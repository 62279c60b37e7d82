package cli

import (
	"regexp"
	"strings"
	"unicode"
)

// maxLine is how much of one text is shown, in bytes.
const maxLine = 4 << 10

// line returns text of unknown origin as one printable line. It holds no "##[", by
// which an older command of GitHub Actions begins anywhere in a line.
func line(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case b.Len() > maxLine:
			return b.String() + "..."
		case unicode.IsSpace(r) || unicode.IsControl(r):
			b.WriteByte(' ')
		case !unicode.IsPrint(r):
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(disarm(b.String()))
}

// lines returns text of several lines with nothing in it that a terminal obeys. Line
// ends stay as they are.
func lines(text string) string {
	return disarm(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, loneCR.ReplaceAllString(text, "\uFFFD$1")))
}

// loneCR is a carriage return that ends no line: a terminal writes over what was there.
var loneCR = regexp.MustCompile("\r([^\n]|$)")

func disarm(text string) string {
	return strings.ReplaceAll(text, "##[", "## [")
}

// style colours text on a terminal, or leaves it as it is.
type style bool

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	bold   = "1"
	faint  = "2"
)

func (s style) paint(colour, text string) string {
	if !s || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// status colours the status of an update.
func (s style) status(status string) string {
	colour := faint
	switch status {
	case "committed", "proposed", "planned":
		colour = green
	case "failed":
		colour = red
	case "queued", "held":
		colour = yellow
	}
	return s.paint(colour, line(status))
}

// diff colours a unified diff.
func (s style) diff(text string) string {
	text = lines(text)
	if !s {
		return text
	}
	var b strings.Builder
	for l := range strings.Lines(text) {
		body := strings.TrimSuffix(l, "\n")
		colour := ""
		switch {
		case strings.HasPrefix(l, "diff "), strings.HasPrefix(l, "--- "), strings.HasPrefix(l, "+++ "):
			colour = bold
		case strings.HasPrefix(l, "@@"):
			colour = cyan
		case strings.HasPrefix(l, "+"):
			colour = green
		case strings.HasPrefix(l, "-"):
			colour = red
		}
		if colour != "" {
			body = s.paint(colour, body)
		}
		b.WriteString(body + strings.TrimPrefix(l, strings.TrimSuffix(l, "\n")))
	}
	return b.String()
}
