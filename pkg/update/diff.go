package update

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"
)

// diff is the plan as a unified diff with git's headers, which `git apply` takes.
func (p *plan) diff() string {
	var b strings.Builder
	for _, f := range p.files {
		from, to := quotePath("a/"+f.entry.Path), quotePath("b/"+f.entry.Path)
		fmt.Fprintf(&b, "diff --git %s %s\n", from, to)
		b.WriteString(udiff.Unified(tabbed(from), tabbed(to), string(f.before), string(f.after)))
	}
	return b.String()
}

// tabbed ends a name with a tab where git does: without it what follows a space
// would be taken for a date.
func tabbed(name string) string {
	if strings.Contains(name, " ") && !strings.HasPrefix(name, `"`) {
		return name + "\t"
	}
	return name
}

// quotePath writes a path as git does in its headers: in C's quotes when it
// holds a control character, a quote, a backslash or a byte beyond ASCII
// (git-config(1), core.quotePath).
func quotePath(path string) string {
	plain := func(c byte) bool { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' }
	var b strings.Builder
	quoted := false
	for i := range len(path) {
		switch c := path[i]; {
		case plain(c):
			b.WriteByte(c)
			continue
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		default:
			fmt.Fprintf(&b, `\%03o`, c)
		}
		quoted = true
	}
	if !quoted {
		return path
	}
	return `"` + b.String() + `"`
}
