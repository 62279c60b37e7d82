package webhook

import "github.com/refty-yapi/refty-node-versions-service/pkg/safetext"

const (
	// maxShown is how many bytes of a payload's text a reason repeats.
	maxShown = 80
	// maxCause is how many bytes of a library's error are repeated.
	maxCause = 200
)

// quote returns the beginning of a payload's text, escaped and quoted.
func quote(s string) string { return safetext.Quote(s, maxShown) }

// shown returns somebody else's error as one line.
func shown(err error) string { return safetext.Line(err.Error(), maxCause) }

// plain returns the beginning of a payload's text as one line, which is never empty.
func plain(s string) string {
	if line := safetext.Line(s, maxShown); line != "" {
		return line
	}
	return quote(s)
}

// maxReason bounds a reason, which may quote a text of the payload, in bytes.
const maxReason = 300

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
