package pages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/pages"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// readmeLines is what the front door may take; what is longer moves to the page
// beside what it describes.
const readmeLines = 250

func page(t *testing.T, path string) pages.Page {
	t.Helper()
	p, err := pages.Read(root, path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadmeIsAFrontDoor(t *testing.T) {
	t.Parallel()
	if n := strings.Count(page(t, "README.md").Text, "\n"); n > readmeLines {
		t.Errorf("README.md has %d lines, more than %d", n, readmeLines)
	}
}

// TestEveryProblemIsDocumented expects a row for each code of a problem in the
// guide to the interface.
func TestEveryProblemIsDocumented(t *testing.T) {
	t.Parallel()
	section, _ := page(t, "api/README.md").Section("errors")
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range doc.Components.Schemas["ProblemCode"].Value.Enum {
		row := regexp.MustCompile("(?m)^\\|[^|]*`" + code.(string) + "`[^|]*\\|[^|]+\\|[^|]+\\|[^|]+\\|$")
		if !row.MatchString(section.Text) {
			t.Errorf("api/README.md has no row for %s that says what to do", code)
		}
	}
}

// helpLine is a variable in what --help prints: its name, default and meaning.
var helpLine = regexp.MustCompile(`(?m)^  ([A-Z][A-Z0-9_]+) {2,}(\S+) {2,}(.+)$`)

// TestVariablesAreDocumented compares the table of variables with what the
// program prints; -pages.update writes it.
func TestVariablesAreDocumented(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	if code := (service.Build{}).Main(t.Context(), []string{"--help"}, nil, &help, &help); code != 0 {
		t.Fatalf("code %d: %s", code, help.String())
	}
	table := "| variable | default | meaning |\n| --- | --- | --- |\n"
	printed := helpLine.FindAllStringSubmatch(help.String(), -1)
	known := map[string]bool{}
	for _, line := range printed {
		known[line[1]] = true
		fallback := "–"
		if line[2] != "-" {
			fallback = "`" + line[2] + "`"
		}
		table += "| `" + line[1] + "` | " + fallback + " | " + line[3] + " |\n"
	}
	for _, name := range service.Variables() {
		if secret, ok := strings.CutSuffix(name, "_FILE"); !known[name] && (!ok || !known[secret]) {
			t.Errorf("--help does not print %s", name)
		}
	}

	const path = "pkg/config/README.md"
	text := page(t, path).Text
	there := regexp.MustCompile(`(?m)^\| variable \|.*\n(\|.*\n)+`).FindString(text)
	if there == table {
		return
	}
	if *update && there != "" {
		if err := os.WriteFile(filepath.Join(root, path), []byte(strings.Replace(text, there, table, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s: write the table with -pages.update (-want +got):\n%s", path, cmp.Diff(table, there))
}

// TestEveryKindOfWebhookIsDocumented expects each kind in the table, and a
// section with a request and with what is to be set here.
func TestEveryKindOfWebhookIsDocumented(t *testing.T) {
	t.Parallel()
	p := page(t, "pkg/webhook/README.md")
	variables := map[string]bool{}
	for _, name := range service.Variables() {
		variables[name] = true
	}
	for _, kind := range webhook.Kinds() {
		row := regexp.MustCompile("(?m)^\\| `" + string(kind) + "` \\| \\[[^]]+\\]\\(#([^)]+)\\)").FindStringSubmatch(p.Text)
		if row == nil {
			t.Errorf("%s has no row that leads to a section for %s", p.Path, kind)
			continue
		}
		section, _ := p.Section(row[1])
		if !strings.Contains(section.Text, "http://127.0.0.1:8080/v1/webhooks/") {
			t.Errorf("%s, #%s: has no request", p.Path, row[1])
		}
		variable := "WEBHOOK_" + strings.ToUpper(string(kind)) + "_SECRET"
		if variables[variable] && !strings.Contains(section.Text, variable) {
			t.Errorf("%s, #%s: does not name %s", p.Path, row[1], variable)
		}
		if !variables[variable] && !strings.Contains(section.Text, "kind: "+string(kind)) {
			t.Errorf("%s, #%s: has no source of kind %s for the file", p.Path, row[1], kind)
		}
	}
}

// TestDocumentedConfigurationIsGood checks every configuration that a reader may
// copy, as check-config does.
func TestDocumentedConfigurationIsGood(t *testing.T) {
	t.Parallel()
	files := []string{"../../../pkg/config/testdata/full.yaml", "../../../cmd/sandbox/play/config.yaml"}
	dir := t.TempDir()
	all, err := pages.All(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		for _, b := range p.Blocks() {
			if !b.IsConfiguration() {
				continue
			}
			name := filepath.Join(dir, fmt.Sprintf("%s-%d.yaml", strings.ReplaceAll(p.Path, "/", "-"), b.Line))
			if err := os.WriteFile(name, []byte(b.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
	}
	if len(files) < 8 {
		t.Errorf("only %d configurations were found", len(files))
	}
	for _, name := range files {
		var out strings.Builder
		if code := (service.Build{}).Main(t.Context(), []string{"check-config", name}, nil, &out, &out); code != 0 {
			content, _ := os.ReadFile(name)
			t.Errorf("%s\n%s", out.String(), content)
		}
	}
}
