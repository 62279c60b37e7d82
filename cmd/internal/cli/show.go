package cli

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	outputText   = "text"
	outputJSON   = "json"
	outputGitHub = "github"
)

// json prints an answer as it came, indented. "##[" would begin an older command of
// GitHub Actions, and can only be inside of a text of JSON.
func (s *session) json(body []byte) {
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(body), "", "  ") != nil {
		return
	}
	fmt.Fprintf(s.stdout, "%s\n", bytes.ReplaceAll(out.Bytes(), []byte("##["), []byte(`#\u0023[`)))
}

// text prints what show writes. In a job of GitHub Actions no line of it is taken
// for a command.
func (s *session) text(show func(w io.Writer)) {
	var out bytes.Buffer
	show(&out)
	if s.env["GITHUB_ACTIONS"] != "true" && s.output != outputGitHub {
		_, _ = s.stdout.Write(out.Bytes())
		return
	}
	guard := rand.Text()
	fmt.Fprintf(s.stdout, "::stop-commands::%s\n%s::%s::\n", guard, out.Bytes(), guard)
}

// showUpdate prints an outcome in the form that is wanted, and returns the exit code
// as an error.
func (s *session) showUpdate(u update, body []byte) error {
	code := u.exitCode()
	if s.output == outputJSON {
		s.json(body)
	} else {
		s.text(func(w io.Writer) { s.style.update(w, u) })
	}
	if s.output == outputGitHub {
		s.annotateUpdate(u)
	}
	switch code {
	case exitDone:
		return nil
	case exitTimeout:
		why := u.why()
		if why != "" {
			why = ": " + why
		}
		fmt.Fprintf(s.stderr, "%s: not finished in time; the service goes on with the update %s%s\n", name, line(u.ID), line(why))
	case exitPartly:
		fmt.Fprintf(s.stderr, "%s: some targets failed\n", name)
	case exitFault:
		fmt.Fprintf(s.stderr, "%s: this program does not know the status %s\n", name, line(u.Status))
	default:
		fmt.Fprintf(s.stderr, "%s: the update failed\n", name)
	}
	return shown(code)
}

func (s *session) showProblem(p problem) {
	text := line(p.Detail)
	if p.Detail == "" {
		text = line(p.Title)
	}
	about := "HTTP " + strconv.Itoa(p.Status)
	if p.Code != "" {
		about += ", " + line(p.Code)
	}
	if p.RequestID != "" && p.exitCode() == exitAway {
		about += ", request " + line(p.RequestID)
	}
	fmt.Fprintf(s.stderr, "%s: %s (%s)\n", name, text, about)
	if s.output == outputGitHub {
		s.annotate("error", nil, text)
		s.summarise("### versions-service\n\n" + markdown(text) + "\n")
	}
}

// title names what the update moves.
func (u update) title() string {
	const most = 3
	if len(u.Images) == 0 && u.Image == "" {
		return "no image"
	}
	if len(u.Images) == 0 {
		return strings.TrimSpace(line(u.Image) + " " + line(u.Version))
	}
	var all []string
	for _, i := range u.Images[:min(most, len(u.Images))] {
		all = append(all, line(i.Image)+" "+line(i.Version))
	}
	if more := len(u.Images) - most; more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}

// update prints one line for the update, each target, and each file of it.
func (s style) update(w io.Writer, u update) {
	fmt.Fprintf(w, "%s: %s\n", s.paint(bold, u.title()), s.status(u.Status))
	for i, t := range u.Targets {
		s.target(w, t)
		if last := i == len(u.Targets)-1 && u.HoldID == "" && len(u.LeftOut) == 0; t.Diff != "" && !last {
			fmt.Fprintln(w)
		}
	}
	if u.HoldID != "" {
		fmt.Fprintf(w, "  the hold %s keeps it there\n", line(u.HoldID))
	}
	for _, l := range u.LeftOut {
		fmt.Fprintf(w, "  left out %s: %s\n", line(l.Image), line(l.Reason))
	}
}

func (s style) target(w io.Writer, t target) {
	fmt.Fprintf(w, "  %s: %s%s\n", t.where(), s.status(t.Status), t.outcome())
	if t.Problem != nil {
		fmt.Fprintf(w, "    %s %s\n", s.paint(red, line(t.Problem.Code)+":"), line(t.Problem.Detail))
	}
	for _, h := range t.Holds {
		fmt.Fprintf(w, "    %s\n", s.paint(yellow, h.met()))
	}
	for _, f := range t.Files {
		fmt.Fprintf(w, "    %s  %s\n", line(f.Path)+":"+linesOf(f.Changes), line(moves(f.Changes)))
	}
	for _, k := range t.Skipped {
		fmt.Fprintf(w, "    %s\n", s.paint(faint, line(spot(k.Path, k.Line)+"  left alone: "+k.Reason)))
	}
	if len(t.MergedVersions) > 0 {
		fmt.Fprintf(w, "    %s\n", s.paint(yellow, "one file had several versions, which become one: "+line(strings.Join(t.MergedVersions, ", "))))
	}
	if t.Diff != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSuffix(s.diff(t.Diff), "\n"))
	}
}

func (t target) where() string {
	at := line(t.Repository)
	if t.Branch != "" {
		at += "@" + line(t.Branch)
	}
	if t.Name != "" {
		at = line(t.Name) + " (" + at + ")"
	}
	return at
}

// outcome is the commit or pull request, with its address, and the reason if there
// is one.
func (t target) outcome() string {
	text := ""
	switch {
	case t.PullRequest != nil:
		text = fmt.Sprintf(" #%d %s", t.PullRequest.Number, line(t.PullRequest.URL))
	case t.Commit != nil:
		sha := line(t.Commit.SHA)
		text = " " + sha[:min(7, len(sha))] + " " + line(t.Commit.URL)
	}
	if t.Reason != "" {
		text += " (" + line(t.Reason) + ")"
	}
	return text
}

// spot is a file, and the line in it when that is known.
func spot(path string, at int) string {
	if at == 0 {
		return path
	}
	return path + ":" + strconv.Itoa(at)
}

func linesOf(changes []change) string {
	var all []string
	for _, c := range changes {
		all = append(all, strconv.Itoa(c.Line))
	}
	return strings.Join(all, ",")
}

// moves says once what changes in a file, however often it does.
func moves(changes []change) string {
	var all []string
	for _, c := range changes {
		text := version(c.From, c.FromDigest) + " -> " + version(c.To, c.ToDigest)
		if c.Image != "" {
			text = c.Image + " " + text
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, "; ")
}

func version(tag, digest string) string {
	const short = len("sha256:") + 12
	if len(digest) > short {
		digest = digest[:short]
	}
	switch {
	case digest != "":
		return tag + "@" + digest
	case tag == "":
		return "(none)"
	}
	return tag
}
