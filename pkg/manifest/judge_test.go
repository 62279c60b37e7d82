package manifest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// leaf is one node as the second parser sees it.
type leaf struct {
	kind ast.NodeType
	text string
}

// leaves lists the nodes of a tree in order.
type leaves []leaf

// Visit adds one node.
func (l *leaves) Visit(n ast.Node) ast.Visitor {
	text := ""
	switch n := n.(type) {
	case *ast.CommentGroupNode, *ast.CommentNode:
		return nil
	case *ast.LiteralNode:
		text = n.Value.Value
		*l = append(*l, leaf{n.Type(), text})
		return nil
	case *ast.TagNode:
		if n.Start.Value == "!!str" {
			*l = append(*l, leaf{ast.StringType, n.Value.GetToken().Value})
			return nil
		}
	case *ast.AnchorNode:
		// What it stands before comes next.
	case *ast.StringNode:
		text = n.Value
	case ast.ScalarNode:
		text = fmt.Sprint(n.GetValue())
	}
	*l = append(*l, leaf{n.Type(), text})
	return l
}

// judge parses a file with a parser that the package does not use.
func judge(content []byte) (leaves, error) {
	file, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	var all leaves
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(&all, doc.Body)
		}
		all = append(all, leaf{ast.DocumentType, ""})
	}
	return all, nil
}

// taggedInFlow finds what the second parser splits at its colon: a plain scalar of a flow
// mapping behind a tag or an anchor.
var taggedInFlow = regexp.MustCompile(`[{\[,][^\n]*[!&]\w*[ \t]+[^\s,'"]+:[^\s,]`)

// checkJudged checks that a second parser sees the same tree before and after
// but for scalars, which hold a wanted version or an emptied digest and are
// strings. It reports whether that parser takes the file at all.
func checkJudged(t failer, before []byte, r manifest.Result, updates []manifest.Update) bool {
	t.Helper()
	was, err := judge(before)
	if err != nil || taggedInFlow.Match(before) || taggedInFlow.Match(r.Content) {
		return false
	}
	is, err := judge(r.Content)
	if err != nil {
		t.Fatalf("a second parser refuses the edited file: %v\n%s", err, r.Content)
	}
	if len(was) != len(is) {
		t.Fatalf("a second parser sees %d nodes, before %d:\n%s", len(is), len(was), r.Content)
	}
	splices := 0
	for _, c := range r.Changes {
		splices += len(c.Splices)
	}
	for i := range was {
		if was[i] == is[i] {
			continue
		}
		splices--
		if is[i].kind != ast.StringType && is[i].kind != ast.LiteralType || !holdsUpdate(is[i].text, updates) {
			t.Fatalf("a second parser reads %+v for %+v in\n%s", is[i], was[i], r.Content)
		}
	}
	if splices < 0 {
		t.Fatalf("a second parser sees more changes than were told: %+v in\n%s", r.Changes, r.Content)
	}
	return true
}

func holdsUpdate(text string, updates []manifest.Update) bool {
	if text == "" {
		return true
	}
	for _, u := range updates {
		if strings.Contains(text, u.Version.String()) || !u.Digest.IsZero() && strings.Contains(text, strings.TrimPrefix(u.Digest.String(), "sha256:")) {
			return true
		}
	}
	return false
}

func TestGoldenJudged(t *testing.T) {
	t.Parallel()
	judged := 0
	for _, c := range goldens(t) {
		r := editorWith(t, c.options, c.updates...).Edit(c.in)
		if checkJudged(t, c.in, r, c.updates) {
			judged++
		} else {
			t.Logf("%s: the second parser refuses it", c.name)
		}
	}
	if judged < 30 {
		t.Errorf("the second parser takes only %d cases", judged)
	}
}
