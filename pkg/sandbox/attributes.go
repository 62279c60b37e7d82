package sandbox

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitattributes"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// attributeRules are the lines of all .gitattributes files that reach a
// folder; a later one overrides an earlier one.
type attributeRules []gitattributes.MatchAttribute

// with adds the lines of the file in folder. Lines that git would not
// understand are left out.
func (r attributeRules) with(content []byte, folder string) attributeRules {
	var domain []string
	if folder != "" {
		domain = strings.Split(strings.TrimSuffix(folder, "/"), "/")
	}
	out := append(attributeRules(nil), r...)
	for line := range bytes.Lines(content) {
		rule, err := gitattributes.ParseAttributesLine(string(line), domain, false)
		if err == nil && rule.Pattern != nil {
			out = append(out, rule)
		}
	}
	return out
}

// has reports whether an attribute is set for a path: the last line decides that
// speaks of it.
func (r attributeRules) has(path, attribute string) bool {
	names := strings.Split(path, "/")
	for i := len(r) - 1; i >= 0; i-- {
		for _, a := range r[i].Attributes {
			if a.Name() == attribute && r[i].Pattern.Match(names) {
				return a.IsSet()
			}
		}
	}
	return false
}

// expandFormats replaces $Format:…$ as git archive does for files with
// export-subst.
func expandFormats(content []byte, h bare.Hash, c bare.Commit) []byte {
	format := regexp.MustCompile(`\$Format:([^$\n]*)\$`)
	return format.ReplaceAllFunc(content, func(match []byte) []byte {
		inner := string(match[len("$Format:") : len(match)-1])
		return []byte(formatReplacer(h, c).Replace(inner))
	})
}

// formatReplacer knows the placeholders of git-log's pretty formats that
// people write into their files.
func formatReplacer(h bare.Hash, c bare.Commit) *strings.Replacer {
	subject, body, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n\n")
	subject = strings.ReplaceAll(strings.TrimRight(subject, "\n"), "\n", " ")
	var parents, short []string
	for _, p := range c.Parents {
		parents, short = append(parents, p.String()), append(short, p.String()[:7])
	}
	pairs := []string{
		"%%", "%", "%n", "\n",
		"%H", h.String(), "%h", h.String()[:7], "%T", c.Tree.String(), "%t", c.Tree.String()[:7],
		"%P", strings.Join(parents, " "), "%p", strings.Join(short, " "),
		"%s", subject, "%b", body, "%B", c.Message, "%D", "", "%d", "",
	}
	for letter, who := range map[string]bare.Signature{"a": c.Author, "c": c.Committer} {
		pairs = append(pairs,
			"%"+letter+"n", who.Name, "%"+letter+"e", who.Email, "%"+letter+"t", fmt.Sprint(who.When.Unix()),
			"%"+letter+"d", who.When.Format("Mon Jan 2 15:04:05 2006 -0700"),
			"%"+letter+"D", who.When.Format("Mon, 2 Jan 2006 15:04:05 -0700"),
			"%"+letter+"i", who.When.Format("2006-01-02 15:04:05 -0700"),
			"%"+letter+"I", who.When.Format("2006-01-02T15:04:05-07:00"),
			"%"+letter+"s", who.When.Format("2006-01-02"),
		)
	}
	return strings.NewReplacer(pairs...)
}
