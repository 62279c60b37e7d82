package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeIsComplete looks that the README tells of every variable and of
// every problem's code.
func TestReadmeIsComplete(t *testing.T) {
	t.Parallel()
	text := readme(t)
	for _, name := range service.Variables() {
		if !strings.HasSuffix(name, "_FILE") && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("README.md does not tell of %s", name)
		}
	}
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range doc.Components.Schemas["ProblemCode"].Value.Enum {
		switch code {
		case "not_found", "method_not_allowed": // of HTTP itself
		default:
			if !strings.Contains(text, "`"+code.(string)+"`") {
				t.Errorf("README.md does not tell of %s", code)
			}
		}
	}
}

var (
	headings   = regexp.MustCompile(`(?m)^#{2,4} (.+)$`)
	links      = regexp.MustCompile(`\]\(#([^)]+)\)`)
	notInLinks = regexp.MustCompile(`[^a-z0-9 _-]`)
	// configurations are the YAML blocks that are a configuration file.
	configurations = regexp.MustCompile("(?s)\n```yaml\n((?:targets|webhooks):\n.*?\n)```\n")
)

// anchors are the names by which GitHub links to the sections of a text, each
// with its section.
func anchors(text string) map[string]string {
	found := map[string]string{}
	at := headings.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		name := notInLinks.ReplaceAllString(strings.ToLower(text[m[2]:m[3]]), "")
		found[strings.ReplaceAll(name, " ", "-")] = text[m[1]:end]
	}
	return found
}

// TestReadmeLinks looks that every link within the README leads somewhere.
func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	text := readme(t)
	known := anchors(text)
	for _, link := range links.FindAllStringSubmatch(text, -1) {
		if _, ok := known[link[1]]; !ok {
			t.Errorf("README.md links to #%s, which is no section", link[1])
		}
	}
}

// TestReadmeHasEveryKindOfWebhook looks that each kind is in the table, and has
// a section with a request and with what is to be set here.
func TestReadmeHasEveryKindOfWebhook(t *testing.T) {
	t.Parallel()
	text := readme(t)
	sections := anchors(text)
	variables := map[string]bool{}
	for _, name := range service.Variables() {
		variables[name] = true
	}
	for _, kind := range webhook.Kinds() {
		row := regexp.MustCompile("(?m)^\\| `" + string(kind) + "` \\| \\[[^]]+\\]\\(#([^)]+)\\)").FindStringSubmatch(text)
		if row == nil {
			t.Errorf("README.md has no row that leads to a section for %s", kind)
			continue
		}
		section := sections[row[1]]
		if !strings.Contains(section, "http://127.0.0.1:8080/v1/webhooks/") {
			t.Errorf("README.md, #%s: has no request", row[1])
		}
		variable := "WEBHOOK_" + strings.ToUpper(string(kind)) + "_SECRET"
		if variables[variable] && !strings.Contains(section, variable) {
			t.Errorf("README.md, #%s: does not tell of %s", row[1], variable)
		}
		if !variables[variable] && !strings.Contains(section, "kind: "+string(kind)) {
			t.Errorf("README.md, #%s: has no source of kind %s for the file", row[1], kind)
		}
	}
}

// TestDocumentedConfigurationIsGood checks every configuration that a reader may
// copy, as check-config does.
func TestDocumentedConfigurationIsGood(t *testing.T) {
	t.Parallel()
	files := []string{"../../../pkg/config/testdata/full.yaml", "../../../cmd/sandbox/play/config.yaml"}
	dir := t.TempDir()
	for i, block := range configurations.FindAllStringSubmatch(readme(t), -1) {
		name := filepath.Join(dir, fmt.Sprintf("readme-%d.yaml", i+1))
		if err := os.WriteFile(name, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	if len(files) < 8 {
		t.Errorf("only %d configurations were found", len(files))
	}
	for _, name := range files {
		var out strings.Builder
		none := func(string) string { return "" }
		if code := (service.Build{}).Main(t.Context(), []string{"check-config", name}, none, &out, &out); code != 0 {
			content, _ := os.ReadFile(name)
			t.Errorf("%s\n%s", out.String(), content)
		}
	}
}
