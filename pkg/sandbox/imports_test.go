package sandbox_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The embedded GitHub must not share a misreading of GitHub with its users.
func TestImports(t *testing.T) {
	t.Parallel()
	const module, own = "github.com/refty-yapi/refty-node-versions-service/", "pkg/sandbox/"
	seen := 0
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		seen++
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			below, ours := strings.CutPrefix(name, module)
			if ours && !strings.HasPrefix(below, own) || strings.Contains(name, "go-github") {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Errorf("looked at %d files, error %v", seen, err)
	}
}
