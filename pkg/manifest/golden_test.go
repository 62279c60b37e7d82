package manifest_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

var updateGolden = flag.Bool("update", false, "write what the golden tests expect")

// golden is one case of testdata/golden: a folder with in.yaml, out.yaml and
// report, and with updates where the usual ones do not do. A case whose name begins with
// pinned is for a target that pins digests.
type golden struct {
	name    string
	path    string // in its repository, if it matters
	in      []byte
	updates []manifest.Update
	options manifest.Options
}

// goldens reads all cases.
func goldens(t testing.TB) []golden {
	t.Helper()
	paths, err := filepath.Glob("testdata/golden/*/in.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	var cases []golden
	for _, path := range paths {
		dir := filepath.Dir(path)
		c := golden{name: filepath.Base(dir), in: readFile(t, path)}
		c.options.Pin = strings.HasPrefix(c.name, "pinned")
		if path, err := os.ReadFile(filepath.Join(dir, "path")); err == nil {
			c.path = strings.TrimSpace(string(path))
		}
		lines := "ghcr.io/octo-org/app v2.0.0\nredis 8.10\n"
		if own, err := os.ReadFile(filepath.Join(dir, "updates")); err == nil {
			lines = string(own)
		}
		for line := range strings.Lines(lines) {
			c.updates = append(c.updates, goldenUpdate(t, strings.Fields(line)))
		}
		cases = append(cases, c)
	}
	return cases
}

// goldenUpdate reads an image, a version, and if given a digest and present=PATTERN.
func goldenUpdate(t testing.TB, fields []string) manifest.Update {
	t.Helper()
	var digest []string
	var present []image.Pattern
	for _, f := range fields[2:] {
		text, ok := strings.CutPrefix(f, "present=")
		if !ok {
			digest = append(digest, f)
			continue
		}
		pattern, err := image.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		present = append(present, pattern)
	}
	u := update(t, fields[0], fields[1], digest...)
	u.Present = present
	return u
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden compares the edited bytes and a report of what was changed, what
// was current and what was skipped.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range goldens(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("testdata/golden", c.name)
			result := editorWith(t, c.options, c.updates...).EditFile(c.path, c.in)
			report := []byte(reportOf(result))
			if *updateGolden {
				writeFile(t, filepath.Join(dir, "out.yaml"), result.Content)
				writeFile(t, filepath.Join(dir, "report"), report)
			}
			if want := readFile(t, filepath.Join(dir, "out.yaml")); !bytes.Equal(want, result.Content) {
				t.Errorf("content (-want +got):\n%s", cmp.Diff(string(want), string(result.Content)))
			}
			if diff := cmp.Diff(string(readFile(t, filepath.Join(dir, "report"))), string(report)); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// reportOf writes a result down, one line for each reference.
func reportOf(r manifest.Result) string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "change  %s update %d: %s -> %s\n", placeOf(c.Place), c.Update, versionOf(c.From, c.FromDigest), versionOf(c.To, c.ToDigest))
	}
	for _, f := range r.Current {
		fmt.Fprintf(&b, "current %s update %d: %s\n", placeOf(f.Place), f.Update, versionOf(f.Tag, f.Digest))
	}
	for _, s := range r.Skips {
		fmt.Fprintf(&b, "skip    %s update %d: %s\n", placeOf(s.Place), s.Update, s.Reason)
	}
	return b.String()
}

func placeOf(p manifest.Place) string {
	return fmt.Sprintf("%d %d:%d %q", p.Document, p.Line, p.Column, p.Pointer)
}

// versionOf shortens digests, which are long and mostly alike.
func versionOf(tag, digest string) string {
	if digest == "" {
		return fmt.Sprintf("%q", tag)
	}
	return fmt.Sprintf("%q @%.12s", tag, digest)
}

// TestShapesAreDocumented checks that the table of shapes names every case.
func TestShapesAreDocumented(t *testing.T) {
	t.Parallel()
	doc := string(readFile(t, "doc.go"))
	for _, c := range goldens(t) {
		name := c.name
		if base, ok := strings.CutSuffix(name, "digest-given"); ok {
			name = base
		}
		if !strings.Contains(doc, strings.TrimSuffix(name, "-")) {
			t.Errorf("doc.go does not name the case %s", c.name)
		}
	}
}
