package config_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// knownHere finds the keys that an error names.
var knownHere = regexp.MustCompile(`unknown key; known here: (.*)`)

// grammar returns the keys that Parse knows at each place of a file, by putting a key
// that it does not know into every object.
func grammar(t *testing.T, content []byte) map[string][]string {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	probe := func(path string, object *yaml.Node) {
		before := object.Content
		object.Content = append(slices.Clone(before), &yaml.Node{Kind: yaml.ScalarNode, Value: "no_such_key"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "x"})
		text, err := yaml.Marshal(&root)
		object.Content = before
		if err != nil {
			t.Fatal(err)
		}
		_, err = config.Parse("config.yaml", text, config.Options{})
		var errs config.Errors
		errors.As(err, &errs)
		for _, e := range errs {
			if m := knownHere.FindStringSubmatch(e.Detail); m != nil && strings.HasSuffix(e.Key, "no_such_key") {
				known[path] = append(known[path], strings.Split(m[1], ", ")...)
			}
		}
	}
	var walk func(path string, node *yaml.Node)
	walk = func(path string, node *yaml.Node) {
		switch node.Kind {
		case yaml.DocumentNode, yaml.SequenceNode:
			for _, child := range node.Content {
				walk(path, child)
			}
		case yaml.MappingNode:
			probe(path, node)
			for i := 0; i+1 < len(node.Content); i += 2 {
				if known[path] != nil {
					known[path] = append(known[path], node.Content[i].Value)
				}
				walk(path+"/"+node.Content[i].Value, node.Content[i+1])
			}
		}
	}
	walk("", &root)
	for path, keys := range known {
		slices.Sort(keys)
		known[path] = slices.Compact(keys)
	}
	return known
}

// keysOf returns the keys that a schema knows at each place.
func keysOf(s *jsonschema.Schema, path string, into map[string][]string) {
	for s.Ref != nil && len(s.Properties) == 0 {
		s = s.Ref
	}
	if len(s.Properties) > 0 {
		into[path] = slices.Sorted(maps.Keys(s.Properties))
	}
	for name, child := range s.Properties {
		keysOf(child, path+"/"+name, into)
	}
	if items := s.Items2020; items != nil {
		keysOf(items, path, into)
	}
}

// TestSchemaHasEveryKey compares the schema with the grammar of Parse, in both
// directions, at every place of the full example.
func TestSchemaHasEveryKey(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	inSchema := map[string][]string{}
	keysOf(compiled(t), "", inSchema)
	if diff := cmp.Diff(grammar(t, content), inSchema); diff != "" {
		t.Errorf("the keys of each object (-Parse +schema.json); one that is missing altogether has no example in full.yaml:\n%s", diff)
	}
}

// beyond are the refused files whose mistakes no schema sees, with the reason.
var beyond = map[string]string{
	"aliases":         "anchors are resolved before",
	"documents":       "it reads the first document",
	"trailing-marker": "it reads the first document",
	"encoding":        "bytes are decoded before",
	"names":           "names are unique",
}

// TestSchemaAgreesWithParse validates what Parse accepts, and what it refuses.
func TestSchemaAgreesWithParse(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, good := range []string{
		string(full), "targets: [{repository: octo-org/infra, message: off}]", "queue: {max_waiting: 1, retention: 36h30m, max_history: 16MiB}",
		"limits: {webhook_body: 65536}", "rules: []", "callers: [{name: a, oidc: {issuer: github, claims: {repository_owner_id: [42, '43']}}}]\nrules: []",
		"webhooks: [{name: b, kind: generic, secrets: [{value: x}], generic: {image: /a~1b, version: /0/, bearer: true}}]",
	} {
		if _, err := config.Parse("config.yaml", []byte(good), config.Options{}); err != nil {
			t.Errorf("%d: Parse: %v", i, err)
		}
		if err := schema.Validate(decoded(t, []byte(good))); err != nil {
			t.Errorf("%d: the schema refuses what Parse accepts: %v", i, err)
		}
	}
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if yaml.Unmarshal(content, &value) != nil {
			continue // no YAML
		}
		_, listed := beyond[name]
		switch refused := schema.Validate(value) != nil; {
		case !refused && !listed:
			t.Errorf("%s: Parse refuses it, the schema does not", name)
		case refused && listed:
			t.Errorf("%s: the schema refuses it; take it off the list", name)
		}
	}
}

func decoded(t *testing.T, content []byte) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(content, &value); err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, content))
	}
	return value
}
