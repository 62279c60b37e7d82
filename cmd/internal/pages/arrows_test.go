package pages_test

import (
	"flag"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/pages"
)

const module = "github.com/refty-yapi/refty-node-versions-service"

// roomRow is a row of the map: a room, what it knows, and which rooms it imports.
var roomRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\|([^|]*)\\|$")

var update = flag.Bool("pages.update", false, "write the tables that come from the code into their pages")

// TestMapIsTrue compares the map in CONTRIBUTING.md with what the packages
// import; -pages.update writes it. Tests are left out: they may import everything.
func TestMapIsTrue(t *testing.T) {
	t.Parallel()
	page, err := pages.Read(root, "CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string][]string{}
	for _, row := range roomRow.FindAllStringSubmatch(page.Text, -1) {
		drawn[row[1]] = regexp.MustCompile("[^`, ]+").FindAllString(row[2], -1)
	}
	found := imports(t, func(pkg string) string { return room(drawn, pkg) })
	if *update {
		text := roomRow.ReplaceAllStringFunc(page.Text, func(row string) string {
			cells := strings.Split(row, "|")
			cells[3] = " "
			if to := found[strings.Trim(cells[1], " `")]; len(to) > 0 {
				cells[3] = " `" + strings.Join(to, "`, `") + "` "
			}
			return strings.Join(cells, "|")
		})
		if err := os.WriteFile(filepath.Join(root, page.Path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(drawn, found, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("CONTRIBUTING.md: the rooms import something else (-drawn +found):\n%s", diff)
	}
}

// room is the longest row that the package is in, or the package itself.
func room(rows map[string][]string, pkg string) string {
	if pkg == "." {
		return "openapi.yaml"
	}
	for name := pkg; name != "."; name = path.Dir(name) {
		if _, ok := rows[name]; ok {
			return name
		}
	}
	return pkg
}

// imports are the rooms that each room imports, in order.
func imports(t *testing.T, room func(pkg string) string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(base) != ".go" || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		from := room(filepath.ToSlash(pkg))
		if _, ok := found[from]; !ok {
			found[from] = nil
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			rest, ok := strings.CutPrefix(imported, module)
			if !ok {
				continue
			}
			to := room(path.Clean("." + rest))
			if to != from && !slices.Contains(found[from], to) {
				found[from] = append(found[from], to)
				slices.Sort(found[from])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
