package pages_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/pages"
)

const root = "../../.."

// TestLinks follows every link of every page: a file of this module that is
// there, a section that the page has, or an address elsewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	all, err := pages.All(root)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]pages.Page{}
	for _, page := range all {
		known[page.Path] = page
	}
	followed := 0
	for _, page := range all {
		for _, link := range page.Links() {
			followed++
			target, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: %v", page.Path, err)
				continue
			}
			if target.Scheme != "" {
				if target.Scheme != "https" || target.Host == "" {
					t.Errorf("%s: %s is no https address", page.Path, link)
				}
				continue
			}
			file := page.Path
			if target.Path != "" {
				file = path.Join(path.Dir(page.Path), target.Path)
			}
			if strings.HasPrefix(file, "..") {
				t.Errorf("%s: %s leads out of the module", page.Path, link)
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil {
				t.Errorf("%s: %s leads nowhere", page.Path, link)
				continue
			}
			if target.Fragment != "" && !known[file].Has(target.Fragment) {
				t.Errorf("%s: %s: %s has no such section", page.Path, link, file)
			}
		}
	}
	if len(all) < 10 || followed < 50 {
		t.Errorf("only %d pages and %d links were found", len(all), followed)
	}
}

// TestDataBlocks expects that what a reader copies as YAML or JSON is that.
func TestDataBlocks(t *testing.T) {
	t.Parallel()
	all, err := pages.All(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all {
		for _, b := range page.Blocks() {
			var value any
			switch b.Language {
			case "yaml":
				err = yaml.Unmarshal([]byte(b.Text), &value)
			case "json":
				text := b.Text
				if !strings.HasPrefix(text, "{") { // a part of an object
					text = "{" + text + "}"
				}
				err = json.Unmarshal([]byte(text), &value)
			case "sh", "text", "diff", "mermaid", "ruby", "groovy": // sh is run
				err = nil
			default:
				err = fmt.Errorf("nothing reads the language %q", b.Language)
			}
			if err != nil {
				t.Errorf("%s:%d: %v", page.Path, b.Line, err)
			}
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	text := "Before.\n\n# One & two: `three`\n\n[a](x.md#y) `[b](z)`\n\n   ```sh needs gh, jq\n   # no heading\n     deep\n   ```\n\n## See [four](https://example.com/)\n\n```json\n{\"a\": \"[c](d)\"}\n```\n"
	page := pages.Parse("a.md", text)
	var anchors []string
	for _, s := range page.Sections {
		anchors = append(anchors, s.Anchor)
	}
	if diff := cmp.Diff([]string{"", "one--two-three", "see-four"}, anchors); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
	want := []pages.Block{
		{Language: "sh", Needs: []string{"gh", "jq"}, Text: "# no heading\n  deep\n", Line: 7},
		{Language: "json", Text: "{\"a\": \"[c](d)\"}\n", Line: 14},
	}
	if diff := cmp.Diff(want, page.Blocks()); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"x.md#y"}, page.Links()); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}
