package update

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// The bounds of the parts of a body, in bytes. With the marker they stay below the 65,536
// characters that GitHub takes.
const (
	maxCell    = 200
	maxChanges = 12 << 10
	maxAsked   = 6 << 10
	maxSkipped = 3 << 10
	maxShown   = 10 << 10 // of the diff
	maxIntro   = 6 << 10
	maxNote    = 1500 // of the message of a request
	// maxFiles bounds the files of a row.
	maxFiles = 5
	// longDiff is how many lines a diff has that is folded.
	longDiff = 40
)

// pullText is what the pull request of the plan says.
func (p *plan) pullText(of proposal, settings PullSettings) github.PullText {
	var images []Image
	for i := range p.wanted {
		if len(p.findings[i].files) > 0 {
			images = append(images, p.wanted[i].Image)
		}
	}
	text := github.PullText{Draft: settings.Draft}
	intro := ""
	if len(images) == 1 {
		m := images[0]
		text.Title = p.target.headline(m, p.requests[0].Rollback)
		if settings.Title != nil {
			text.Title = settings.Title(m.Repository, m.Version, m.Digest)
		}
		if settings.Body != nil {
			intro = settings.Body(m.Repository, m.Version, m.Digest) + "\n\n"
		}
	} else {
		text.Title = fmt.Sprintf("Update %d images", len(images))
		if settings.Group == GroupTarget {
			text.Title += " on " + p.place().String()
		}
	}
	text.Title = safetext.Line(text.Title, maxCell)
	if len(intro) > maxIntro {
		intro = ""
	}
	text.Body = intro + p.pullDetails() + "\n" + of.marker() + "\n"
	return text
}

// pullDetails are the tables: what changes, who asked, what was left alone, and how to go
// back. All that others wrote stands in code, where GitHub reads nothing of it.
func (p *plan) pullDetails() string {
	changes := part{most: maxChanges}
	for i, w := range p.wanted {
		f := p.findings[i]
		if len(f.files) == 0 {
			continue
		}
		to := code(w.Version.String())
		if !w.Digest.IsZero() {
			to += "<br>" + code(short(w.Digest.String()))
		}
		changes.add(fmt.Sprintf("| %s | %s | %s | %s |\n", code(w.Repository.String()), codes(f.from()), to, codes(paths(f.files))))
	}
	return "| Image | From | To | Files |\n| --- | --- | --- | --- |\n" + changes.String() + "\n" + p.asked() + p.leftAlone() + folded(p.diff()) +
		"\nTo keep an image where it is, put `# versions-service: hold` on its line, or hold it at the service. A version whose pull request " +
		"is closed is not proposed again. To go back once it is merged, roll the image back at the service.\n"
}

// part is text that is bounded: what has no room is counted.
type part struct {
	strings.Builder
	most, left int
}

func (b *part) add(text string) {
	if b.left > 0 || b.Len()+len(text) > b.most {
		b.left++
		return
	}
	_, _ = b.WriteString(text)
}

// String is the text, with how much is left out.
func (b *part) String() string {
	if b.left == 0 {
		return b.Builder.String()
	}
	return fmt.Sprintf("%s\n… and %d more.\n", b.Builder.String(), b.left)
}

// shortDigest is how much of a digest a table has room for; the difference has all of it.
const shortDigest = len("sha256:") + 12

func short(digest string) string {
	if len(digest) <= shortDigest {
		return digest
	}
	return clip(digest, shortDigest) + "…"
}

// from are the versions before.
func (f *finding) from() []string {
	var out []string
	seen := map[string]bool{}
	for _, file := range f.files {
		for _, c := range file.Changes {
			from := c.From
			if c.FromDigest != "" {
				from += "@" + short(c.FromDigest)
			}
			if from != "" && !seen[from] {
				seen[from] = true
				out = append(out, from)
			}
		}
	}
	return out
}

func paths(files []File) []string {
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = f.Path
	}
	return out
}

// asked says who asked for it, and where the image came from.
func (p *plan) asked() string {
	asked := part{most: maxAsked}
	for _, r := range p.requests {
		line := "- Requested"
		if r.Caller != "" {
			line += " by " + code(r.Caller)
		}
		line += ", update " + code(r.ID)
		for _, of := range []struct{ what, text string }{{"from", r.Source.Repository}, {"at", r.Source.Revision}, {"run", r.Source.URL}} {
			if of.text != "" {
				line += ", " + of.what + " " + code(of.text)
			}
		}
		if note := strings.TrimSpace(r.Message); note != "" {
			line += "\n\n" + indent(fenced("text", clip(note, maxNote)))
		}
		asked.add(line + "\n")
	}
	return asked.String()
}

// leftAlone lists the references that the plan does not change.
func (p *plan) leftAlone() string {
	skipped := part{most: maxSkipped}
	for _, f := range p.findings {
		for _, skip := range f.skipped {
			place := skip.Path
			if skip.Line > 0 {
				place += fmt.Sprintf(":%d", skip.Line)
			}
			skipped.add(fmt.Sprintf("| %s | %s |\n", code(place), code(string(skip.Reason))))
		}
	}
	if skipped.Len() == 0 {
		return ""
	}
	return "\nLeft alone:\n\n| Reference | Why |\n| --- | --- |\n" + skipped.String()
}

// folded shows a diff, folded when it is long, and cut when it is very long.
func folded(diff string) string {
	shown := clip(diff, maxShown)
	if len(shown) < len(diff) {
		shown += "\n… the rest is in the pull request's files\n"
	}
	block := fenced("diff", strings.TrimRight(shown, "\n"))
	if strings.Count(diff, "\n") <= longDiff {
		return "\n" + block
	}
	return "\n<details><summary>The difference</summary>\n\n" + block + "\n</details>\n"
}

// fenced is a code block that the text in it cannot end. What nobody sees, or what changes
// the direction of the text, is shown as U+FFFD.
func fenced(language, text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return -1
		case r != '\n' && r != '\t' && !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, text)
	ticks, run := 3, 0
	for _, c := range text {
		if c == '`' {
			run++
			ticks = max(ticks, run+1)
		} else {
			run = 0
		}
	}
	bar := strings.Repeat("`", ticks)
	return bar + language + "\n" + text + "\n" + bar + "\n"
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

func codes(texts []string) string {
	var out []string
	for _, text := range texts[:min(len(texts), maxFiles)] {
		out = append(out, code(text))
	}
	if more := len(texts) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, "<br>")
}

// clip is the beginning of a text, cut at the end of a rune.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// plain are the characters that need no care in a code span of a table.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._/:@+=,~-"

// code is a text of others as code: GitHub looks for no mention, link, keyword or markup in
// it. A text with other characters than the usual ones is written in entities.
func code(text string) string {
	text = safetext.Line(text, maxCell)
	if text == "" {
		return "–"
	}
	if strings.Trim(text, plain) == "" {
		return "`" + text + "`"
	}
	var b strings.Builder
	for _, r := range text {
		if r == ' ' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return "<code>" + b.String() + "</code>"
}

// replacedComment is why the service closes a pull request that others have replaced.
const replacedComment = "Newer updates move all of these images to other versions, so this pull request is closed."

// closingComment is why the service closes a pull request. It is the same for each try.
func closingComment(place Place) string {
	return "There is nothing left to merge: " + code(place.String()) + " has what this pull request proposes, so it is closed."
}
