package cli

import (
	"fmt"
	"html"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"
)

const (
	// maxAnnotations is how many of one kind GitHub shows for a step.
	maxAnnotations = 10
	// maxRows and maxDiff bound a job summary, of which GitHub takes a mebibyte.
	maxRows = 200
	maxDiff = 128 << 10
)

// property is one of a workflow command's, such as title.
type property struct{ name, value string }

// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
var (
	escapeData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	escapeProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// annotate prints an annotation: error, warning or notice.
func (s *session) annotate(level string, properties []property, text string) {
	properties = append([]property{{"title", name}}, properties...)
	var all []string
	for _, p := range properties {
		all = append(all, p.name+"="+escapeProperty.Replace(line(p.value)))
	}
	fmt.Fprintf(s.stdout, "::%s %s::%s\n", level, strings.Join(all, ","), escapeData.Replace(line(text)))
}

// annotateUpdate prints the annotations of an update, and its job summary.
func (s *session) annotateUpdate(u update) {
	left := maxAnnotations
	for _, t := range u.Targets {
		text := u.title() + ": " + t.where() + ": " + line(t.Status) + t.outcome()
		switch {
		case t.Status == "failed" && t.Problem != nil:
			s.annotate("error", nil, text+": "+t.Problem.Detail)
		case t.Problem != nil:
			s.annotate("warning", nil, text+": "+t.Problem.Detail)
		default:
			s.annotate("notice", nil, text)
		}
		for _, h := range t.Holds {
			s.annotate("warning", nil, t.where()+": "+h.met())
		}
		for _, k := range t.Skipped {
			if left--; left < 0 {
				break
			}
			s.annotate("warning", s.place(t, k.Path, k.Line), spot(k.Path, k.Line)+" is left alone: "+k.Reason)
		}
	}
	s.summarise(summary(u))
}

// place is where an annotation stands, if the job runs in the target's repository.
func (s *session) place(t target, path string, at int) []property {
	if t.Repository == "" || !strings.EqualFold(t.Repository, s.env["GITHUB_REPOSITORY"]) {
		return nil
	}
	p := []property{{"file", path}}
	if at > 0 {
		p = append(p, property{"line", strconv.Itoa(at)})
	}
	return p
}

// summarise adds Markdown to the job's summary.
func (s *session) summarise(text string) {
	path := s.env["GITHUB_STEP_SUMMARY"]
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the runner names the file
	if err == nil {
		_, err = file.WriteString(text)
		if wrong := file.Close(); err == nil {
			err = wrong
		}
	}
	if err != nil {
		fmt.Fprintf(s.stderr, "%s: the job's summary is not written: %s\n", name, line(err.Error()))
	}
}

// summary is an update in Markdown.
func summary(u update) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s: %s\n\n", markdown(u.title()), markdown(u.Status))
	rows := 0
	for _, t := range u.Targets {
		fmt.Fprintf(&b, "**%s**: %s%s\n\n", markdown(t.where()), markdown(t.Status), t.links())
		if t.Problem != nil {
			fmt.Fprintf(&b, "> %s\n\n", markdown(t.Problem.Code+": "+t.Problem.Detail))
		}
		for _, h := range t.Holds {
			fmt.Fprintf(&b, "> %s\n\n", markdown(h.met()))
		}
		if len(t.Files)+len(t.Skipped) == 0 {
			continue
		}
		b.WriteString("| file | change |\n| --- | --- |\n")
		row := func(path, change string) {
			if rows++; rows <= maxRows {
				fmt.Fprintf(&b, "| %s | %s |\n", markdown(path), markdown(change))
			}
		}
		for _, f := range t.Files {
			row(f.Path+":"+linesOf(f.Changes), moves(f.Changes))
		}
		for _, k := range t.Skipped {
			row(spot(k.Path, k.Line), "left alone: "+k.Reason)
		}
		b.WriteString("\n")
		if t.Diff != "" {
			b.WriteString(fence(t.Diff))
		}
	}
	if rows > maxRows {
		fmt.Fprintf(&b, "%d more files are left out here.\n", rows-maxRows)
	}
	for _, l := range u.LeftOut {
		fmt.Fprintf(&b, "- left out %s\n", markdown(l.Image+": "+l.Reason))
	}
	return b.String()
}

// links are the commit and the pull request.
func (t target) links() string {
	text := ""
	if t.Commit != nil {
		text += " " + link(t.Commit.SHA[:min(7, len(t.Commit.SHA))], t.Commit.URL)
	}
	if t.PullRequest != nil {
		text += " " + link("#"+strconv.Itoa(t.PullRequest.Number), t.PullRequest.URL)
	}
	return text
}

// link is a link to an http or https address, or the text alone.
func link(text, to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsFunc(to, unicode.IsSpace) {
		return markdown(text)
	}
	return `<a href="` + html.EscapeString(u.String()) + `">` + markdown(text) + "</a>"
}

// markdown returns text as Markdown shows it: no sign of it has a meaning.
func markdown(text string) string {
	var b strings.Builder
	for _, r := range line(text) {
		if r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r)) && !strings.ContainsRune("-./", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// fence is a diff as a block of code, of which no line of the diff is the end.
func fence(diff string) string {
	note := ""
	if len(diff) > maxDiff {
		cut := strings.LastIndexByte(diff[:maxDiff], '\n') + 1
		diff, note = diff[:cut], "The diff goes on.\n\n"
	}
	marks := "```"
	for strings.Contains(diff, marks) {
		marks += "`"
	}
	return "<details><summary>diff</summary>\n\n" + marks + "diff\n" + strings.TrimSuffix(lines(diff), "\n") + "\n" + marks + "\n\n</details>\n\n" + note
}
