package service

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// said is a decision that an example states: # CALLER CLAIMS IMAGE:VERSION TARGET [override]: allowed.
var said = regexp.MustCompile(`(?m)^# (\S+) (\{.*\}) (\S+):(\S+) (\S+)( override)?: (allowed|denied)$`)

// Each example of rules is a good file without findings, and decides as it says.
func TestRulesByExample(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../pkg/config/testdata/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := readConfig(path, os.ReadFile, config.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if warnings, err := review(path, file, nil); err != nil || warnings != nil {
				t.Errorf("findings %v, %v", warnings, err)
			}
			rules, err := newPolicy(file)
			if err != nil {
				t.Fatal(err)
			}
			decisions := said.FindAllSubmatch(content, -1)
			if len(decisions) == 0 || len(decisions) != bytes.Count(content, []byte(": allowed\n"))+bytes.Count(content, []byte(": denied\n")) {
				t.Fatalf("%d decisions can be read", len(decisions))
			}
			for _, d := range decisions {
				m := policy.Move{Target: string(d[5]), Override: len(d[6]) > 0}
				if m.Image, err = image.ParseRepository(string(d[3])); err != nil {
					t.Fatal(err)
				}
				if m.Version, err = image.ParseTag(string(d[4])); err != nil {
					t.Fatal(err)
				}
				claims, err := caller.ParseClaims(d[2])
				if err != nil {
					t.Fatal(err)
				}
				got := rules.Decide(policy.Caller{Names: []string{string(d[1])}, Claims: claims}, m)
				if got.Allowed != (string(d[7]) == "allowed") {
					t.Errorf("%s: %+v", d[0], got)
				}
			}
		})
	}
}

// The schema of the file has the kinds of webhooks that there are.
func TestSchemaHasEveryKind(t *testing.T) {
	t.Parallel()
	var found struct {
		Kinds []webhook.Kind `json:"enum"`
	}
	_, after, ok := strings.Cut(config.Schema(), `"kind": `)
	if err := json.NewDecoder(strings.NewReader(after)).Decode(&found); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if !slices.Equal(found.Kinds, webhook.Kinds()) {
		t.Errorf("kinds %v, want %v", found.Kinds, webhook.Kinds())
	}
}

// A window that cannot be meant is an error at its line.
func TestFreezeThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	for window, want := range map[string]string{
		`{schedule: "0 0 31 2 *", duration: 1h}`:                     ":5: targets[0].freeze[0].schedule: never begins: no month has that day",
		`{schedule: "0 * * * *", duration: 2h}`:                      ":5: targets[0].freeze[0].duration: is longer than the 1h0m0s until the window begins again",
		`{schedule: "0 0 * * *", duration: 24h}`:                     ":5: targets[0].freeze[0].duration: never ends, since the next window begins then: frozen says so",
		`{schedule: "0 0 * * *", duration: 1h, timezone: Mars/Base}`: `:5: targets[0].freeze[0].timezone: "Mars/Base" is no time zone, such as Europe/Berlin`,
	} {
		if err := os.WriteFile(path, []byte("targets:\n  - repository: octo-org/infra\n    branch: main\n    freeze:\n      - "+window+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readConfig(path, os.ReadFile, config.Options{}); err == nil || err.Error() != path+want {
			t.Errorf("%s: %v", window, err)
		}
	}
}
