package service_test

import (
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

// TestReadmeIsComplete looks that the README tells of every variable and of
// every problem's code.
func TestReadmeIsComplete(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	for _, name := range service.Variables() {
		if !strings.HasSuffix(name, "_FILE") && !strings.Contains(readme, "`"+name+"`") {
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
			if !strings.Contains(readme, "`"+code.(string)+"`") {
				t.Errorf("README.md does not tell of %s", code)
			}
		}
	}
}
