package update_test

import (
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

func TestOwnTrailer(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"Deploy": "",
		"Deploy\n\nSigned-off-by: A <a@example.com>":         "",
		"Deploy\n\nUpdate-Id: 1":                             "Update-Id",
		"Deploy\n\nupdate-ID: 1\n":                           "update-ID",
		"Deploy\n\nImage : x":                                "Image",
		"Deploy\n\nSigned-off-by: a\nRequested-By: b\n\n \n": "Requested-By",
		"Deploy\n\nVersion: 2 is out\n\nThat is all.":        "",
		"Deploy\nSource-URL: x":                              "Source-URL",
		"Deploy\n\nHold-Id: 1\n---\nmore":                    "Hold-Id",
		"Deploy\n\nRule: x\n--- a\n\nmore":                   "Rule",
		"Deploy\n\nUpdate-Id 1":                              "",
		"Deploy\n\n  Update-Id: 1":                           "",
		"":                                                   "",
		strings.Repeat("\n", 4096):                           "",
	} {
		if got := update.OwnTrailer(message); got != want {
			t.Errorf("%q ends in %q, want %q", message, got, want)
		}
	}
}
