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
	lines := p.headlines(writing)
	return compose(p.title(writing, lines), lines, p.trailers(writing))
}

// title is the first line of the message, "" when that is the only one of the headlines.
func (p *plan) title(writing []author, headlines []string) string {
	promotes := writing[0].Promotes
	if len(headlines) == 1 && promotes == "" {
		return ""
	}
	moved := map[int]bool{}
	for _, w := range writing {
		for _, part := range w.parts {
			moved[part] = true
		}
	}
	if len(writing) == 1 && promotes != "" {
		return fmt.Sprintf("Promote %s from %s to %s", counted(len(moved), "image"), promotes, p.target.place().ID)
	}
	return fmt.Sprintf("Update %s", counted(len(moved), "image"))
}

// compose makes a message of a title, of headlines, which are listed below a title, and
// of trailers.
func compose(title string, headlines, trailers []string) string {
	var b strings.Builder
	b.WriteString(title)
	if title == "" {
		b.WriteString(headlines[0])
		headlines = headlines[1:]
	} else if len(headlines) > 0 {
		b.WriteByte('\n')
	}
	for _, line := range headlines {
		fmt.Fprintf(&b, "\n- %s", strings.ReplaceAll(line, "\n", "\n  "))
	}
	between := "\n\n"
	if endsInTrailers(b.String()) {
		between = "\n"
	}
	if len(trailers) > 0 {
		b.WriteString(between + strings.Join(trailers, "\n"))
	}
	return b.String()
}

// shareMessage leaves each result of a commit that several requests made together the
// message's title and what is said of its own request: with all that is said of the
// others, the answers would grow with the square of their number.
func (p *plan) shareMessage(results []Result) {
	writing := p.writing()
	if len(writing) < 2 {
		return
	}
	title := p.title(writing, p.headlines(writing))
	for i, w := range p.authors() {
		if results[i].Commit == nil {
			continue
		}
		commit, own := *results[i].Commit, []author{w}
		if title == "" {
			first, _, _ := strings.Cut(commit.Message, "\n")
			commit.Message = compose(first, nil, p.trailers(own))
		} else {
			commit.Message = compose(title, p.headlines(own), p.trailers(own))
		}
		results[i].Commit = &commit
	}
}

// author is a request and what it changes.
type author struct {
	Request
	parts []int // the indexes, in plan.wanted, of its images that change one
}

// authors returns the requests, each with the images that change a file.
func (p *plan) authors() []author {
	authors := make([]author, len(p.requests))
	for i, r := range p.requests {
		authors[i].Request = r
		for _, part := range p.parts[i] {
			if len(p.findings[part].files) > 0 {
				authors[i].parts = append(authors[i].parts, part)
			}
		}
	}
	return authors
}

// writing returns the requests that change a file.
func (p *plan) writing() []author {
	return slices.DeleteFunc(p.authors(), func(a author) bool { return a.parts == nil })
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
