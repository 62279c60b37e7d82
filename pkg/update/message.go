package update

import (
	"fmt"
	"strings"
)

// message is the commit's message: what was asked for, the files' number where
// it helps, and trailers that say who asked and where the image came from
// (git-interpret-trailers(1)).
func (p *plan) message() string {
	writing := p.writing()
	var b strings.Builder
	b.WriteString(p.subject(writing))
	if len(writing) > 1 {
		b.WriteString("\n")
		for _, r := range writing {
			fmt.Fprintf(&b, "\n- %s", strings.ReplaceAll(p.headline(r), "\n", "\n  "))
		}
	}
	if trailers := trailers(writing); len(trailers) > 0 {
		between := "\n\n"
		if endsInTrailers(b.String()) {
			between = "\n"
		}
		b.WriteString(between + strings.Join(trailers, "\n"))
	}
	return b.String()
}

// writing returns the requests that change a file.
func (p *plan) writing() []Request {
	var writing []Request
	for i, f := range p.findings {
		if len(f.files) > 0 {
			writing = append(writing, p.requests[i])
		}
	}
	return writing
}

func (p *plan) subject(writing []Request) string {
	if len(writing) == 1 {
		return p.headline(writing[0])
	}
	return fmt.Sprintf("Update %d images", len(writing))
}

// headline is the request's own message, or the target's, or one that is made of
// the image and the version.
func (p *plan) headline(r Request) string {
	if message := strings.TrimSpace(r.Message); message != "" {
		return message
	}
	if p.target.Message != nil {
		return p.target.Message(r.Image, r.Version, r.Digest)
	}
	version := r.Version.String()
	if !r.Digest.IsZero() {
		version += "@" + r.Digest.String()
	}
	return fmt.Sprintf("Update %s to %s", r.Image, version)
}

// trailers says of each request who made it and where the image came from.
func trailers(writing []Request) []string {
	var lines []string
	seen := map[string]bool{}
	add := func(key, value string) {
		line := key + ": " + value
		if value != "" && !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	for _, w := range writing {
		for _, r := range append([]Request{w}, w.alike...) {
			add("Source-Repository", r.Source.Repository)
			add("Source-Revision", r.Source.Revision)
			add("Source-URL", r.Source.URL)
			add("Requested-By", r.Caller)
			add("Update-Id", r.ID)
		}
	}
	return lines
}
