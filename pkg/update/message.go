package update

import (
	"fmt"
	"slices"
	"strings"
)

// message is the commit's message: what was asked for, and trailers that say what is
// moved, who asked and where the images came from (git-interpret-trailers(1)).
func (p *plan) message() string {
	writing := p.writing()
	headlines := p.headlines(writing)
	var b strings.Builder
	if promotes := writing[0].Promotes; len(headlines) == 1 && promotes == "" {
		b.WriteString(headlines[0])
	} else {
		moved := map[int]bool{}
		for _, w := range writing {
			for _, part := range w.parts {
				moved[part] = true
			}
		}
		if len(writing) == 1 && promotes != "" {
			fmt.Fprintf(&b, "Promote %s from %s to %s\n", counted(len(moved), "image"), promotes, p.target.place().ID)
		} else {
			fmt.Fprintf(&b, "Update %s\n", counted(len(moved), "image"))
		}
		for _, line := range headlines {
			fmt.Fprintf(&b, "\n- %s", strings.ReplaceAll(line, "\n", "\n  "))
		}
	}
	between := "\n\n"
	if endsInTrailers(b.String()) {
		between = "\n"
	}
	if trailers := p.trailers(writing); len(trailers) > 0 {
		b.WriteString(between + strings.Join(trailers, "\n"))
	}
	return b.String()
}

// author is a request that changes a file.
type author struct {
	Request
	parts []int // the indexes, in plan.wanted, of its images that change one
}

// writing returns the requests that change a file.
func (p *plan) writing() []author {
	var writing []author
	for i, r := range p.requests {
		w := author{Request: r}
		for _, part := range p.parts[i] {
			if len(p.findings[part].files) > 0 {
				w.parts = append(w.parts, part)
			}
		}
		if w.parts != nil {
			writing = append(writing, w)
		}
	}
	return writing
}

// headlines are, in the order of the requests, the message of each that has one, and
// one for each image of the others. What several requests ask for alike, the last of
// them says.
func (p *plan) headlines(writing []author) []string {
	said := map[int]bool{}
	var lines []string
	for _, w := range slices.Backward(writing) {
		fresh := slices.DeleteFunc(slices.Clone(w.parts), func(part int) bool { return said[part] })
		for _, part := range fresh {
			said[part] = true
		}
		message := strings.TrimSpace(w.Message)
		switch {
		case len(fresh) == 0:
		case message != "":
			lines = append(lines, message)
		default:
			for _, part := range slices.Backward(fresh) {
				lines = append(lines, p.target.headline(p.wanted[part].Image, w.Rollback))
			}
		}
	}
	slices.Reverse(lines)
	return lines
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// headline is the target's for an image, or one that is made of the image and the version.
func (t *Target) headline(m Image, rollback bool) string {
	if t.Message != nil {
		return t.Message(m.Repository, m.Version, m.Digest)
	}
	version := m.Version.String()
	if !m.Digest.IsZero() {
		version += "@" + m.Digest.String()
	}
	if rollback {
		return fmt.Sprintf("Roll %s back to %s", m.Repository, version)
	}
	return fmt.Sprintf("Update %s to %s", m.Repository, version)
}

// trailers says of each request what it moves, who made it, by which rule, and where the
// images came from.
func (p *plan) trailers(writing []author) []string {
	id := p.target.place().ID
	var lines []string
	add := func(key, value string) {
		if value != "" {
			lines = append(lines, key+": "+value)
		}
	}
	for _, w := range writing {
		var rules []string
		for _, part := range w.parts {
			m := w.image(p.wanted[part].Image)
			add("Image", m.Repository.String())
			add("Version", m.Version.String())
			add("Digest", m.Digest.String())
			for _, permit := range m.Permits {
				if permit.Target == id && !slices.Contains(rules, permit.Rule) {
					rules = append(rules, permit.Rule)
				}
			}
		}
		add("Requested-By", w.Caller)
		for _, rule := range rules {
			add("Rule", rule)
		}
		add("Source-Repository", w.Source.Repository)
		add("Source-Revision", w.Source.Revision)
		add("Source-URL", w.Source.URL)
		add("Override-Reason", w.OverrideReason)
		if hold := w.UnderHold(); hold != "" {
			add("Hold-Id", hold)
			add("Hold-Reason", w.HoldReason)
		}
		add("Update-Id", w.ID)
	}
	return lines
}

// image returns the request's own form of an image that it asks for, with the digest that
// is written, which may be the registry's.
func (w *author) image(wanted Image) Image {
	m := w.Images[slices.IndexFunc(w.Images, func(m Image) bool { return m.Repository.Equal(wanted.Repository) })]
	m.Digest = wanted.Digest
	return m
}
