package manifest_test

import (
	"testing"

	goccy "github.com/goccy/go-yaml"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

func TestNeedsQuotes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"1", "34", "1.10", "1.", "1e5", "7e10", "1E5", "1.5e3", "0123", "08", "0o17", "0x1f", "0XFF", "0b101", "1_000", "1_0.5",
		"on", "NO", "Yes", "y", "N", "off", "TRUE", "null", "Null", "~", "", "2031-01-02", "2031-1-2", "12:30:45", "1:2",
		".5", "-1", "+1", ".inf", "-.INF", ".NaN", "4028571", "12345e7",
	} {
		if !manifest.NeedsQuotes(s) {
			t.Errorf("%q would not stay a string", s)
		}
	}
	for _, s := range []string{
		"v1", "1.2.3", "latest", "05-06-42a252", "10-10-ver", "1.10-alpine", "4f49932", "1e5a", "2031-01-02-rc", "one", "nope",
		"0x", "0xfg", "_1", "1-2", "e5", "2031-01-02.1", "null1", "1.2e", "sha-1234567",
	} {
		if manifest.NeedsQuotes(s) {
			t.Errorf("%q is a string without quotes", s)
		}
	}
}

// TestPlainVersionsAreStrings checks the rule against two parsers: what is left
// plain is a string to both.
func TestPlainVersionsAreStrings(t *testing.T) {
	t.Parallel()
	version := rapid.OneOf(versions(), rapid.StringMatching(`[0-9_]{1,3}[0-9eEoxXbB._-]{0,6}`), rapid.StringMatching(`[a-zA-Z]{1,5}`))
	rapid.Check(t, func(rt *rapid.T) {
		s := version.Draw(rt, "version")
		if manifest.NeedsQuotes(s) {
			return
		}
		text := []byte("tag: " + s + "\n")
		var a, b map[string]any
		if err := yaml.Unmarshal(text, &a); err != nil || a["tag"] != s {
			rt.Fatalf("%q reads as %#v, %v", s, a["tag"], err)
		}
		if err := goccy.Unmarshal(text, &b); err != nil || b["tag"] != s {
			rt.Fatalf("%q reads as %#v to the second parser, %v", s, b["tag"], err)
		}
	})
}
