package manifest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

func TestJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, out string // no out: left alone
		reason        manifest.Reason
	}{
		{"a task", `{"containerDefinitions": [{"name": "a", "image": "ghcr.io/octo-org/app:1"}]}`, `{"containerDefinitions": [{"name": "a", "image": "ghcr.io/octo-org/app:1.10"}]}`, ""},
		{"without blanks", `{"a":[{"image":"ghcr.io/octo-org/app:1"},{"b":null}]}`, `{"a":[{"image":"ghcr.io/octo-org/app:1.10"},{"b":null}]}`, ""},
		{"tabs", "{\n\t\"image\":\t\"ghcr.io/octo-org/app:1\"\n}", "{\n\t\"image\":\t\"ghcr.io/octo-org/app:1.10\"\n}", ""},
		{"a pair", `{"image": {"repository": "ghcr.io/octo-org/app", "tag": "1"}}`, `{"image": {"repository": "ghcr.io/octo-org/app", "tag": "1.10"}}`, ""},
		{"a number becomes text", `{"image": {"repository": "ghcr.io/octo-org/app", "tag": 34}}`, `{"image": {"repository": "ghcr.io/octo-org/app", "tag": "1.10"}}`, ""},
		{"a number that reads as another", `{"image": {"repository": "ghcr.io/octo-org/app", "tag": 1.10}}`, `{"image": {"repository": "ghcr.io/octo-org/app", "tag": "1.10"}}`, ""},
		{"no version", `{"image": {"repository": "ghcr.io/octo-org/app", "tag": null}}`, "", manifest.Untagged},
		{"an array", `["ghcr.io/octo-org/app:1", "x"]`, `["ghcr.io/octo-org/app:1.10", "x"]`, ""},
		{"text alone", `"ghcr.io/octo-org/app:1"`, `"ghcr.io/octo-org/app:1.10"`, ""},
		{"escaped slashes", `{"image": "ghcr.io\/octo-org\/app:1"}`, "", manifest.Escaped},
		{"escapes beside it", `{"n": "\u00e9\n", "image": "ghcr.io/octo-org/app:1"}`, `{"n": "\u00e9\n", "image": "ghcr.io/octo-org/app:1.10"}`, ""},
		{"JSON that is no YAML", `{"n": "\ud83d\ude00", "image": "ghcr.io/octo-org/app:1"}`, "", manifest.Unparsable},
		{"a long key", `{"` + strings.Repeat("k", 2000) + `": "ghcr.io/octo-org/app:1"}`, "", manifest.Unparsable},
		{"YAML that is no JSON", "image: ghcr.io/octo-org/app:1", "", manifest.Unparsable},
		{"comments", "{\"image\": \"ghcr.io/octo-org/app:1\"} # x", "", manifest.Unparsable},
		{"a comma too many", `{"image": "ghcr.io/octo-org/app:1",}`, "", manifest.Unparsable},
		{"several values", "{\"image\": \"ghcr.io/octo-org/app:1\"}\n{}", "", manifest.Unparsable},
	}
	e, err := manifest.NewEditor([]manifest.Update{update(t, "ghcr.io/octo-org/app", "1.10")}, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, variant := range map[string]func(string) string{
				"as it is": func(s string) string { return s },
				"CRLF":     func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") + "\r\n" },
				"mark":     func(s string) string { return "\ufeff" + s + "\n" },
			} {
				in := variant(tt.in)
				want := in
				if tt.out != "" {
					want = variant(tt.out)
				}
				got := e.EditFile("a.json", []byte(in))
				if string(got.Content) != want {
					t.Errorf("%s: %q", name, got.Content)
				}
				if tt.reason != "" && (len(got.Skips) != 1 || got.Skips[0].Reason != tt.reason) {
					t.Errorf("%s: %+v, want %s", name, got.Skips, tt.reason)
				}
				if again := e.EditFile("a.json", got.Content); len(again.Changes) > 0 {
					t.Errorf("%s: a second edit changes %+v", name, again.Changes)
				}
			}
		})
	}
}

// FuzzJSON checks that what was JSON stays JSON, with the same values but for the
// changed ones.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"image": "ghcr.io/octo-org/app:1", "a": {"repository": "ghcr.io/octo-org/app", "tag": 1.0}}`))
	f.Add([]byte(`[{"image":{"name":"ghcr.io/octo-org/app","tag":"1"}},"--image=ghcr.io/octo-org/app:1@` + digestA + `"]`))
	e, err := manifest.NewEditor([]manifest.Update{update(f, "ghcr.io/octo-org/app", "1.10")}, manifest.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got := e.EditFile("a.json", content)
		checkConfined(t, content, got)
		if len(got.Changes) == 0 {
			return
		}
		if !json.Valid([]byte(strings.TrimPrefix(string(got.Content), "\ufeff"))) {
			t.Fatalf("%q is no JSON", got.Content)
		}
		if again := e.EditFile("a.json", got.Content); len(again.Changes) > 0 {
			t.Fatalf("a second edit changes %+v", again.Changes)
		}
	})
}
