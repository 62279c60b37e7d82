package config_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

var update = flag.Bool("update", false, "write testdata/refused/*.txt anew")

// TestRefusals parses testdata/refused/*.yaml, each a file with some slips, and
// compares all that is said of it with the .txt beside it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	o := config.Options{
		Getenv: func(name string) string {
			return map[string]string{"SET": "x", "BLANK": " \n"}[name]
		},
		ReadFile: func(path string) ([]byte, error) {
			switch path {
			case "/run/secrets/set":
				return []byte("x\n"), nil
			case "/run/secrets/blank":
				return []byte("\n"), nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		},
		Targets: []string{"apart"},
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := config.Parse("config.yaml", content, o)
			var errs config.Errors
			if !errors.As(err, &errs) || len(errs) == 0 || got != nil {
				t.Fatalf("got %v, %v; want nil and config.Errors", got, err)
			}
			said := errs.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(said), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), said); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			lines := bytes.Count(content, []byte("\n")) + 1
			for _, e := range errs {
				if e.Line > lines {
					t.Errorf("line %d of a file of %d lines: %v", e.Line, lines, e)
				}
			}
		})
	}
}
