package update

import (
	"regexp"
	"slices"
	"strings"
)

// ownTrailers are the trailers that the service writes, or keeps for itself.
func ownTrailers() []string {
	return []string{
		"Image", "Version", "Digest", "Requested-By", "Rule", "Source-Repository", "Source-Revision", "Source-URL",
		"Override-Reason", "Hold-Id", "Hold-Reason", "Update-Id",
	}
}

// trailer is a line that git reads as one (git-interpret-trailers(1)).
var trailer = regexp.MustCompile(`^([A-Za-z0-9-]+)[ \t]*:`)

// divider begins a line that ends a message for some of git's commands.
const divider = "\n---"

// OwnTrailer returns a trailer of the service's own, in any case, that a message
// ends in: joined by the service's trailers it would pass for one of them. It
// returns "" where there is none.
func OwnTrailer(message string) string {
	for part := range strings.SplitSeq(message, divider) {
		for line := range strings.Lines(lastParagraph(part)) {
			match := trailer.FindStringSubmatch(line)
			if len(match) > 1 && slices.ContainsFunc(ownTrailers(), func(own string) bool { return strings.EqualFold(own, match[1]) }) {
				return match[1]
			}
		}
	}
	return ""
}

// endsInTrailers reports whether the last paragraph of a message, which is not its
// first, consists of trailers. Others then join them without a blank line between.
func endsInTrailers(message string) bool {
	last := lastParagraph(message)
	if last == "" || last == strings.TrimSpace(message) {
		return false
	}
	first := true
	for line := range strings.Lines(last) {
		continues := !first && (line[0] == ' ' || line[0] == '\t')
		if !continues && !trailer.MatchString(line) && !strings.HasPrefix(line, "(cherry picked from commit ") {
			return false
		}
		first = false
	}
	return true
}

// lastParagraph returns what follows the last blank line of a message.
func lastParagraph(message string) string {
	message = strings.TrimSpace(message)
	start := len(message)
	for start > 0 {
		begin := strings.LastIndexByte(message[:start-1], '\n') + 1
		if strings.TrimSpace(message[begin:start]) == "" {
			break
		}
		start = begin
	}
	return message[start:]
}
